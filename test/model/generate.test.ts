import { afterAll, describe, expect, test } from "vitest";
import { RunError } from "../../src/base/errors.js";
import { type Completion, type GenerateOptions, generate } from "../../src/model/generate.js";
import { score } from "../../src/model/score.js";
import { openTestBackend, rowsKeepTheirBits, TEST_BACKEND } from "../backend.js";
import { CHECKPOINTS, loadTruth } from "../parity-fixture.js";
import { damage, openInference, plainLogprobs, someIds } from "./inference-fixture.js";

/** A decode step of a tiny model takes a tenth of a second there: fewer models, prompts and options. */
const isSlow = TEST_BACKEND === "cuda-emulated";
/** More prompts than are decoded together. */
const MANY = isSlow ? 5 : 70;

const backend = await openTestBackend();
afterAll(() => backend.close());

const GREEDY: GenerateOptions = { maxTokens: 20, temperature: 0, topP: 1, seed: 0, stopIds: new Set() };
const SAMPLED: GenerateOptions = { ...GREEDY, temperature: 0.9, seed: 7 };
/** The ids as text, so that stop strings can be tested without a tokenizer. */
const decode = (ids: readonly number[]): string => ids.map((id) => `<${id}>`).join("");

function expectSame(got: Completion, want: Completion): void {
  if (rowsKeepTheirBits(backend)) expect(got).toEqual(want);
  else expectClose(got, want);
}

function expectClose(got: Completion, want: Completion): void {
  expect(got.ids).toEqual(want.ids);
  for (const [i, logprob] of got.logprobs.entries()) expect(Math.abs(logprob - want.logprobs[i]!)).toBeLessThan(1e-5);
}

describe.each(isSlow ? (["llama-odd", "qwen3"] as const) : CHECKPOINTS)("%s", (checkpoint) => {
  const { generations } = loadTruth(checkpoint).json as {
    generations: { prompt: number[]; base: number[]; adapter: number[] }[];
  };

  test.each([
    ["base", null],
    ["adapter", "adapter"],
  ] as const)("greedy continuations of %s are those of transformers + PEFT", async (name, adapter) => {
    const decoder = await openInference(backend, checkpoint, { adapter });
    const completions = await generate(
      decoder,
      generations.map(({ prompt }) => prompt),
      GREEDY,
    );
    expect(completions.map(({ ids }) => ids)).toEqual(generations.map((generation) => generation[name]));
    expect(completions.map(({ end }) => end)).toEqual(["length", "length"]);
    decoder.free();
  });

  test("each greedy token is the most likely one, with its log-probability", async () => {
    const decoder = await openInference(backend, checkpoint, { adapter: "adapter" });
    const prompt = someIds(decoder.config.vocabSize, 9, 3);
    const [{ ids, logprobs }] = (await generate(decoder, [prompt], GREEDY)) as [Completion];
    const rows = await plainLogprobs(decoder, [...prompt, ...ids]);
    ids.forEach((id, i) => {
      const row = rows[prompt.length - 1 + i]!;
      expect(row[id]).toBeGreaterThan(Math.max(...row) - 1e-4);
      expect(Math.abs(logprobs[i]! - row[id]!)).toBeLessThan(2e-4);
    });
    decoder.free();
  });
});

const COMPANIES = [
  ["llama3", "bf16"],
  ["qwen3", "f32"],
  ["llama-odd", "f32"],
] as const;

describe.each(isSlow ? COMPANIES.slice(0, 1) : COMPANIES)(
  "%s %s: a completion does not depend on its company",
  (checkpoint, dtype) => {
    test("nor on how many there are", async () => {
      const decoder = await openInference(backend, checkpoint, { dtype, adapter: "adapter" });
      const { vocabSize } = decoder.config;
      const common = someIds(vocabSize, 40, 1);
      // Of lengths that make some wait.
      const prompts = Array.from({ length: MANY }, (_, i) => [
        ...common,
        3 + i,
        ...someIds(vocabSize, (i * 7) % 30, 50 + i),
      ]);
      const together = await generate(decoder, prompts, SAMPLED);
      const others = prompts.map((prompt, i) =>
        i % 2 ? prompt : [...common, 3 + MANY + (i % (vocabSize - 3 - MANY)), ...someIds(vocabSize, 100 + i, 9)],
      );
      const apart = await generate(decoder, others, SAMPLED);
      const few = await generate(decoder, prompts.slice(0, 2), SAMPLED);
      // Otherwise bf16 sums differ enough to change draws.
      if (rowsKeepTheirBits(backend) || dtype === "f32") {
        for (let i = 1; i < prompts.length; i += 2) expectSame(apart[i]!, together[i]!);
        for (const i of [0, 1]) expectSame(few[i]!, together[i]!);
      }
      decoder.free();
    });

    test("nor, but for rounding, on a shared beginning", async () => {
      const decoder = await openInference(backend, checkpoint, { adapter: "adapter" });
      const prompts = [1, 2, 3].map((i) => [...someIds(decoder.config.vocabSize, 40, 1), 3 + i]);
      const together = await generate(decoder, prompts, GREEDY);
      for (const [i, prompt] of prompts.entries()) {
        const [alone] = await generate(decoder, [prompt], GREEDY);
        expectClose(alone!, together[i]!);
      }
      decoder.free();
    });

    test("its log-probabilities are those that scoring it gives", async () => {
      const decoder = await openInference(backend, checkpoint, { dtype, adapter: "adapter" });
      const tolerance = rowsKeepTheirBits(backend) || dtype === "f32" ? 1e-4 : 0.05;
      const prompts = [someIds(decoder.config.vocabSize, 12, 4), someIds(decoder.config.vocabSize, 3, 5)];
      const completions = await generate(decoder, prompts, SAMPLED);
      const scores = await score(
        decoder,
        completions.map(({ ids }, i) => ({ ids: [...prompts[i]!, ...ids], from: prompts[i]!.length })),
      );
      completions.forEach(({ logprobs }, i) => {
        logprobs.forEach((logprob, j) => {
          expect(Math.abs(logprob - scores[i]!.logprobs[j]!)).toBeLessThan(tolerance);
        });
      });
      decoder.free();
    });
  },
);

describe.skipIf(isSlow)("options", async () => {
  const decoder = await openInference(backend, "qwen3", { adapter: "adapter" });
  afterAll(() => decoder.free());
  const prompts = [someIds(280, 6, 1), someIds(280, 9, 2)];

  test("the same seed draws the same, another seed something else", async () => {
    const first = await generate(decoder, prompts, SAMPLED);
    expect(await generate(decoder, prompts, SAMPLED)).toEqual(first);
    const other = await generate(decoder, prompts, { ...SAMPLED, seed: 8 });
    expect(other[0]!.ids).not.toEqual(first[0]!.ids);
  });

  test("equal prompts get different draws", async () => {
    const [a, b] = await generate(decoder, [prompts[0]!, prompts[0]!], SAMPLED);
    expect(a!.ids).not.toEqual(b!.ids);
  });

  test("a small top-p is greedy", async () => {
    const greedy = await generate(decoder, prompts, GREEDY);
    expect(await generate(decoder, prompts, { ...SAMPLED, topP: 1e-6 })).toEqual(greedy);
  });

  test("draws follow the distribution", async () => {
    const many = Array.from({ length: 2000 }, () => prompts[0]!);
    const drawn = await generate(decoder, many, { ...SAMPLED, temperature: 1, maxTokens: 1 });
    const row = (await plainLogprobs(decoder, prompts[0]!)).at(-1)!;
    const counts = new Map<number, number>();
    for (const { ids } of drawn) counts.set(ids[0]!, (counts.get(ids[0]!) ?? 0) + 1);
    for (const id of [...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, 5)) {
      const p = Math.exp(row[id]!);
      // Five standard errors.
      expect(Math.abs((counts.get(id) ?? 0) / 2000 - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / 2000));
    }
  });

  test("a stop token ends the completion and is not part of it", async () => {
    const [full] = await generate(decoder, prompts.slice(0, 1), GREEDY);
    const at = full!.ids.findIndex((id, i) => i >= 3 && !full!.ids.slice(0, i).includes(id));
    const stopIds = new Set([full!.ids[at]!]);
    const [stopped] = await generate(decoder, prompts.slice(0, 1), { ...GREEDY, stopIds });
    expect(stopped).toEqual({ ids: full!.ids.slice(0, at), logprobs: full!.logprobs.slice(0, at + 1), end: "stop" });
  });

  test("a stop string may lie across tokens", async () => {
    const [full] = await generate(decoder, prompts.slice(0, 1), GREEDY);
    const text = decode(full!.ids);
    const stop = text.slice(10, 17);
    const [stopped] = await generate(decoder, prompts.slice(0, 1), {
      ...GREEDY,
      stopStrings: ["nothing", stop],
      decode,
    });
    expect(stopped!.end).toBe("stop");
    expect(decode(stopped!.ids)).toContain(stop);
    expect(decode(stopped!.ids.slice(0, -1))).not.toContain(stop);
    expect(stopped!.ids).toEqual(full!.ids.slice(0, stopped!.ids.length));
  });

  test("every token is told, in order", async () => {
    const told: number[][] = [[], []];
    const completions = await generate(decoder, prompts, {
      ...GREEDY,
      onToken: (prompt, id) => told[prompt]!.push(id),
    });
    expect(told).toEqual(completions.map(({ ids }) => ids));
  });

  test("no more positions than the model has", async () => {
    await expect(generate(decoder, prompts, { ...GREEDY, maxTokens: 504 })).rejects.toThrow(
      /513 positions, 512 are available: use --max-tokens 503 or less/,
    );
    await expect(generate(decoder, [someIds(280, 512, 1)], GREEDY)).rejects.toThrow(
      /use a model with a longer context/,
    );
    const [full] = await generate(decoder, prompts.slice(0, 1), { ...GREEDY, maxTokens: 506 });
    expect(full!.ids.length).toBe(506);
  });

  test("no prompts, no completions", async () => {
    expect(await generate(decoder, [], GREEDY)).toEqual([]);
  });
});

test.each([
  ["greedy", GREEDY],
  ["drawn", SAMPLED],
])("%s, no token comes of numbers that are none: the prompt is named", async (_name, options) => {
  const decoder = await openInference(backend, "llama-odd");
  damage(decoder);
  const { vocabSize } = decoder.config;
  const prompts = [someIds(vocabSize, 6, 1), someIds(vocabSize, 9, 2)];
  await expect(generate(decoder, prompts, options)).rejects.toThrow(RunError);
  await expect(generate(decoder, prompts, options)).rejects.toThrow(/^prompt 1: .* NaN: .* checkpoint and the adapter/);
  const told: number[] = [];
  const named = {
    ...options,
    where: (prompt: number) => `cell ${prompt}`,
    onToken: (_: number, id: number) => told.push(id),
  };
  await expect(generate(decoder, prompts, named)).rejects.toThrow(/^cell 0: /);
  expect(told).toEqual([]);
  decoder.free();
});
