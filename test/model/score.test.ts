import { afterAll, describe, expect, test } from "vitest";
import { RunError } from "../../src/base/errors.js";
import { type ScoreRequest, score, type TokenScores } from "../../src/model/score.js";
import { openTestBackend, rowsKeepTheirBits } from "../backend.js";
import { CHECKPOINTS, loadTruth } from "../parity-fixture.js";
import { damage, openInference, plainLogprobs, someIds } from "./inference-fixture.js";

const backend = await openTestBackend();
afterAll(() => backend.close());

/** Two orders of f32 sums over a few layers: 2e-6 relative each, logits up to 10. */
const TOLERANCE = 2e-4;

describe.each(CHECKPOINTS)("%s", (checkpoint) => {
  const truth = loadTruth(checkpoint);
  const rows = Array.from({ length: truth.rows }, (_, row) => [
    ...truth.ints("input_ids").subarray(row * truth.seqLen, (row + 1) * truth.seqLen),
  ]);

  test.each([
    ["base", null],
    ["adapter", "adapter"],
  ] as const)("perplexities of %s are those of transformers + PEFT", async (name, adapter) => {
    const decoder = await openInference(backend, checkpoint, { adapter });
    const scores = await score(
      decoder,
      rows.map((ids) => ({ ids, from: 1 })),
    );
    const means = scores.map(({ logprobs }) => -logprobs.reduce((sum, x) => sum + x, 0) / logprobs.length);
    truth.json.perplexity[name].rows.forEach((perplexity: number, row: number) => {
      expect(Math.abs(means[row]! - Math.log(perplexity))).toBeLessThan(1e-5);
    });
    decoder.free();
  });

  test("log-probabilities and most likely tokens are those of the training forward", async () => {
    const decoder = await openInference(backend, checkpoint, { adapter: "adapter" });
    const ids = someIds(decoder.config.vocabSize, 67, 5);
    const plain = await plainLogprobs(decoder, ids);
    const [{ logprobs, greedy }] = (await score(decoder, [{ ids, from: 20 }])) as [
      { logprobs: number[]; greedy: boolean[] },
    ];
    expect(logprobs.length).toBe(47);
    logprobs.forEach((logprob, i) => {
      const row = plain[19 + i]!;
      expect(Math.abs(logprob - row[ids[20 + i]!]!)).toBeLessThan(TOLERANCE);
      const best = row.reduce((most, x) => Math.max(most, x));
      if (Math.abs(best - row[ids[20 + i]!]!) > 1e-3) expect(greedy[i]).toBe(false);
    });
    const most = plain.slice(19, -1).map((row) => row.indexOf(Math.max(...row)));
    const [chosen] = await score(decoder, [{ ids: [...ids.slice(0, 20), most[0]!], from: 20 }]);
    expect(chosen!.greedy).toEqual([true]);
    decoder.free();
  });
});

describe.each([
  ["qwen3", "f32"],
  ["llama-odd", "f32"],
  ["qwen3", "bf16"],
  ["qwen2-odd", "bf16"],
] as const)("%s %s", async (checkpoint, dtype) => {
  const decoder = await openInference(backend, checkpoint, { adapter: "adapter", dtype });
  afterAll(() => decoder.free());
  const { vocabSize } = decoder.config;
  const rounding = dtype === "f32" ? 1e-5 : 0.05;

  function expectClose(got: TokenScores[], want: TokenScores[]): void {
    expect(got.map(({ logprobs }) => logprobs.length)).toEqual(want.map(({ logprobs }) => logprobs.length));
    got.forEach(({ logprobs }, i) => {
      logprobs.forEach((logprob, j) => {
        expect(Math.abs(logprob - want[i]!.logprobs[j]!)).toBeLessThan(rounding);
      });
    });
  }

  function expectSame(got: TokenScores[], want: TokenScores[]): void {
    if (rowsKeepTheirBits(backend)) expect(got).toEqual(want);
    else expectClose(got, want);
  }

  /** The scores of the requests one by one, all of them behind the same prefix of `prefix` tokens. */
  async function oneByOne(requests: ScoreRequest[], prefix: number): Promise<TokenScores[]> {
    const scores = [];
    for (const request of requests) {
      const { ids } = request;
      const other = { ids: [...ids.slice(0, prefix), 2, 2], from: prefix + 1 };
      scores.push((await score(decoder, [request, other]))[0]!);
    }
    return scores;
  }

  test("no common beginning, more tokens than one pass or the cache holds: the same bits as alone", async () => {
    const lengths = [300, 2, 511, 33, 400, 7, 290, 350, 300, 450, 12];
    const requests = lengths.map((length, i) => {
      const ids = someIds(vocabSize, length, 100 + i);
      return { ids: [3 + i, ...ids.slice(1)], from: 1 + (i % Math.min(length - 1, 5)) };
    });
    expectSame(await score(decoder, requests), await oneByOne(requests, 0));
  });

  test("several answers to each question share its tokens: the same bits as alone", async () => {
    const header = someIds(vocabSize, 11, 2);
    const requests = [0, 1, 2, 3].flatMap((question) => {
      const asked = [...header, 3 + question, ...someIds(vocabSize, 31 + question, 60 + question)];
      return [1, 5, 3, 9].map((length, i) => ({
        ids: [...asked, ...someIds(vocabSize, length, 70 + 10 * question + i)],
        from: asked.length,
      }));
    });
    expectSame(await score(decoder, requests), await oneByOne(requests, 11));
  });

  test("the same request twice, one that another begins with, one that is scored from earlier on", async () => {
    const ids = someIds(vocabSize, 30, 9);
    const requests = [ids, ids, ids.slice(0, 25), [...ids, 5, 6], [7, ...ids]].map((ids) => ({ ids, from: 20 }));
    requests.splice(2, 0, { ids, from: 12 });
    expectSame(await score(decoder, requests), await oneByOne(requests, 0));
  });

  test("a common beginning changes nothing but rounding", async () => {
    const common = someIds(vocabSize, 90, 1);
    const requests = [3, 20, 1, 64].map((length, i) => {
      const ids = [...common, 3 + i, ...someIds(vocabSize, length, 40 + i)];
      return { ids, from: 85 + 2 * i };
    });
    // Keys are summed in blocks counted from the start of a range, so another prefix rounds differently.
    expectClose(await score(decoder, requests), await oneByOne(requests, 0));
  });
});

test("progress counts every request once; too long a request is refused", async () => {
  const decoder = await openInference(backend, "llama");
  const requests = Array.from({ length: 9 }, (_, i) => ({ ids: someIds(200, 400, i), from: 1 }));
  const seen: number[] = [];
  await score(decoder, requests, (done) => seen.push(done));
  expect(seen.at(-1)).toBe(9);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  await expect(score(decoder, [{ ids: someIds(200, 513, 1), from: 1 }])).rejects.toThrow(/513 positions/);
  expect(await score(decoder, [])).toEqual([]);
  decoder.free();
});

test("numbers that are none are no score: the request is named", async () => {
  const decoder = await openInference(backend, "llama");
  const requests = [1, 2].map((seed) => ({ ids: someIds(200, 9, seed), from: 4 }));
  await score(decoder, requests);
  damage(decoder);
  await expect(score(decoder, requests)).rejects.toThrow(RunError);
  await expect(score(decoder, requests)).rejects.toThrow(/^request 1: .* NaN: .* checkpoint and the adapter/);
  const named = requests.map((request, i) => ({ ...request, where: `questions.jsonl line ${i + 7}` }));
  await expect(score(decoder, named)).rejects.toThrow(/^questions.jsonl line 7: /);
  decoder.free();
});
