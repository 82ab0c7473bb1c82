import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FIXTURES, loadTruth } from "../parity-fixture.js";
import { serveFixture } from "./serving.js";

/** Of f32 sums in another order; far below what a wrong row or adapter would change. */
const TOLERANCE = 1e-3;

const serving = await serveFixture("llama3");
afterAll(() => serving.close());
const { client, models } = serving;
await models.loadAdapter("tuned", join(FIXTURES, "llama3", "adapter"));

const truth = loadTruth("llama3");
const V = 320;
const prompts = Array.from({ length: truth.rows }, (_, row) => [
  ...truth.ints("input_ids").subarray(row * truth.seqLen, (row + 1) * truth.seqLen),
]);

function logSoftmax(logits: Float32Array): number[] {
  const most = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
  return [...logits].map((logit) => logit - most - Math.log(total));
}

/** As lm-eval asks. */
const echo = { max_tokens: 1, logprobs: 1, temperature: 0, echo: true, seed: 1234 };

test.each([
  ["base", "base"],
  ["tuned", "lora"],
])(
  "log-probabilities of %s are those of transformers and PEFT, alone and in a batch with others",
  async (model, name) => {
    const logits = truth.floats(`${name}.logits`);
    const others = ["base", "tuned"].map((other) =>
      client.completions.create({
        model: other,
        prompt: [
          [1, 2, 3],
          [...prompts[0]!.slice(0, 9), 5],
        ] as never,
        max_tokens: 20,
      }),
    );
    const batched = await client.completions.create({ model, prompt: prompts as never, ...echo });
    await Promise.all(others);
    for (const [row, prompt] of prompts.entries()) {
      const alone = await client.completions.create({ model, prompt: prompt as never, ...echo });
      expect(alone.choices[0]!.logprobs).toEqual(batched.choices[row]!.logprobs);
      const { token_logprobs, top_logprobs, tokens, text_offset } = alone.choices[0]!.logprobs!;
      for (const list of [token_logprobs, top_logprobs, tokens, text_offset])
        expect(list!.length).toBe(prompt.length + 1);
      expect([token_logprobs![0], top_logprobs![0]]).toEqual([null, null]);
      for (let i = 1; i <= prompt.length; i++) {
        const at = (row * truth.seqLen + i - 1) * V;
        const want = logSoftmax(logits.subarray(at, at + V));
        const most = Math.max(...want);
        // The last entry is the token that was drawn, the likeliest.
        const wanted = i < prompt.length ? want[prompt[i]!]! : most;
        expect(Math.abs(token_logprobs![i]! - wanted)).toBeLessThan(TOLERANCE);
        const largest = Math.max(...Object.values(top_logprobs![i]!));
        expect(Math.abs(largest - most)).toBeLessThan(TOLERANCE);
        expect(token_logprobs![i] === largest).toBe(wanted === most);
      }
    }
  },
);

test("greedy continuations are those of transformers and PEFT; a stop token keeps its entry", async () => {
  const { generations } = truth.json as { generations: { prompt: number[]; base: number[]; adapter: number[] }[] };
  for (const { prompt, base, adapter } of generations) {
    const ask = { prompt: prompt as never, max_tokens: 20, temperature: 0, logprobs: 0 };
    const [one, other] = await Promise.all(
      ["base", "tuned"].map((model) => client.completions.create({ model, ...ask })),
    );
    const textsOf = (ids: number[]): string[] =>
      ids.map((id) => serving.models.base().tokenizer.tokenText(id) ?? `token_id:${id}`);
    expect(one!.choices[0]!.logprobs!.tokens!.length).toBe(base.length);
    expect(textsOf(base)).not.toEqual(textsOf(adapter));
    expect(other!.choices[0]!.logprobs!.tokens!.length).toBe(adapter.length);
    const ids = (logprobs: { tokens?: string[] }): string[] => logprobs.tokens!;
    expect(ids(one!.choices[0]!.logprobs!)).not.toEqual(ids(other!.choices[0]!.logprobs!));
  }
});

test("an adapter that is gone is not answered for by the base", async () => {
  await models.loadAdapter("again", join(FIXTURES, "llama3", "adapter"));
  const ask = { model: "again", prompt: [1, 2, 3] as never, max_tokens: 3 };
  expect((await client.completions.create(ask)).model).toBe("again");
  const running = client.completions.create({ ...ask, max_tokens: 100 });
  await new Promise((resolve) => setTimeout(resolve, 30));
  models.unloadAdapter("again");
  expect((await running).choices[0]!.finish_reason).toMatch(/length|stop/);
  await expect(client.completions.create(ask)).rejects.toMatchObject({ status: 404, code: "model_not_found" });
});
