import { afterAll, describe, expect, test } from "vitest";
import { openBackend } from "../../src/backend/open.js";
import { type ScoreRequest, score } from "../../src/model/score.js";
import { CHECKPOINTS, loadTruth } from "../parity-fixture.js";
import { openInference, plainLogprobs, someIds } from "./inference-fixture.js";

const backend = openBackend("cpu");
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
    const decoder = openInference(backend, checkpoint, { adapter });
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
    const decoder = openInference(backend, checkpoint, { adapter: "adapter" });
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
] as const)("%s %s: how requests are put together changes no bit", (checkpoint, dtype) => {
  const open = () => openInference(backend, checkpoint, { adapter: "adapter", dtype });

  /** Every request alone. */
  async function oneByOne(decoder: ReturnType<typeof open>, requests: ScoreRequest[]) {
    const scores = [];
    for (const request of requests) scores.push(...(await score(decoder, [request])));
    return scores;
  }

  test("no common beginning, more tokens than one pass or the cache holds", async () => {
    const decoder = open();
    const lengths = [300, 2, 511, 33, 400, 7, 290, 350, 300, 450, 12];
    const requests = lengths.map((length, i) => {
      const ids = someIds(decoder.config.vocabSize, length, 100 + i);
      return { ids: [3 + i, ...ids.slice(1)], from: 1 + (i % Math.min(length - 1, 5)) };
    });
    expect(await score(decoder, requests)).toEqual(await oneByOne(decoder, requests));
    decoder.free();
  });

  test("a common beginning", async () => {
    const decoder = open();
    const common = someIds(decoder.config.vocabSize, 90, 1);
    const requests = [3, 20, 1, 64].map((length, i) => {
      const ids = [...common, ...someIds(decoder.config.vocabSize, length, 40 + i)];
      return { ids, from: 85 + 2 * i };
    });
    expect(await score(decoder, requests)).toEqual(await oneByOne(decoder, requests));
    decoder.free();
  });

  test("several answers to each question, of different lengths, the first the shortest", async () => {
    const decoder = open();
    const { vocabSize } = decoder.config;
    const header = someIds(vocabSize, 11, 2);
    const requests = [0, 1, 2, 3].flatMap((question) => {
      const asked = [...header, ...someIds(vocabSize, 31 + question, 60 + question)];
      return [1, 5, 3, 9].map((length, i) => ({
        ids: [...asked, ...someIds(vocabSize, length, 70 + 10 * question + i)],
        from: asked.length,
      }));
    });
    expect(await score(decoder, requests)).toEqual(await oneByOne(decoder, requests));
    decoder.free();
  });

  test("the same request twice, and one that another begins with", async () => {
    const decoder = open();
    const ids = someIds(decoder.config.vocabSize, 30, 9);
    const requests = [ids, ids, ids.slice(0, 25), [...ids, 5, 6]].map((ids) => ({ ids, from: 20 }));
    expect(await score(decoder, requests)).toEqual(await oneByOne(decoder, requests));
    decoder.free();
  });
});

test("progress counts every request once; too long a request is refused", async () => {
  const decoder = openInference(backend, "llama");
  const requests = Array.from({ length: 9 }, (_, i) => ({ ids: someIds(200, 400, i), from: 1 }));
  const seen: number[] = [];
  await score(decoder, requests, (done) => seen.push(done));
  expect(seen.at(-1)).toBe(9);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  await expect(score(decoder, [{ ids: someIds(200, 513, 1), from: 1 }])).rejects.toThrow(/513 positions/);
  expect(await score(decoder, [])).toEqual([]);
  decoder.free();
});
