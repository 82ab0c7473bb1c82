/**
 * @file Kernels trust their arguments: what reaches them from the host is in the model, its positions and the cache.
 */
import { afterAll, expect, test } from "vitest";
import { generate } from "../../src/model/generate.js";
import { score } from "../../src/model/score.js";
import { forwardTokens, lossesOf, openSession, pickRows, type SessionToken } from "../../src/model/session.js";
import { checkTokenIds } from "../../src/shape/token-ids.js";
import { trainStep } from "../../src/train/step.js";
import { openTestBackend } from "../backend.js";
import { loadTruth, openFixture, toRows } from "../parity-fixture.js";
import { openInference } from "./inference-fixture.js";

const backend = await openTestBackend();
const decoder = await openInference(backend, "llama");
const V = decoder.config.vocabSize;
afterAll(() => {
  decoder.free();
  backend.close();
});

const WRONG = [V, -1, 1.5, Number.NaN, 2 ** 31];

test.each(WRONG)("%d is refused by the name of what holds it", async (id) => {
  const message = `record 7: token id ${id} is not in the model, whose embedding has ${V} rows`;
  const options = { maxTokens: 1, temperature: 0, topP: 1, seed: 0, stopIds: new Set<number>() };
  await expect(generate(decoder, [[1], [1, id]], { ...options, where: (i) => `record ${i + 6}` })).rejects.toThrow(
    message,
  );
  await expect(score(decoder, [{ ids: [1, id, 2], from: 1, where: "record 7" }])).rejects.toThrow(message);
  await expect(score(decoder, [{ ids: [1, 2, id], from: 1, where: "record 7" }])).rejects.toThrow(message);
});

test("a token's text is told where it is known, and every id of the model passes", () => {
  expect(() => checkTokenIds([V], V, "a.jsonl line 2", () => "<note>")).toThrow(
    `a.jsonl line 2: token id ${V} ("<note>")`,
  );
  checkTokenIds(
    Array.from({ length: V }, (_, id) => id),
    V,
    "a",
  );
});

test("a session lets nothing through to gather, scatter, attention and the loss", () => {
  const session = openSession(decoder, { cacheRows: 4, maxTokens: 2, maxLogits: 1, maxLosses: 2 });
  const token: SessionToken = { id: 1, position: 0, cacheRow: 0, ranges: [0, 0, 0, 1] };
  const positions = decoder.weights.cos.rows;
  const wrong: Partial<SessionToken>[] = [
    ...WRONG.map((id) => ({ id })),
    ...[positions, -1].map((position) => ({ position })),
    ...[4, -1].map((cacheRow) => ({ cacheRow })),
    { ranges: [0, 5, 0, 1] as const },
    { ranges: [-1, 0, 0, 1] as const },
    { ranges: [0, 0, 0, 5] as const },
  ];
  for (const change of wrong) expect(() => forwardTokens(session, [{ ...token, ...change }])).toThrow(RangeError);
  const hidden = forwardTokens(session, [token]);
  for (const row of [1, -1]) {
    expect(() => pickRows(session, hidden, [row])).toThrow(RangeError);
    expect(() => lossesOf(session, hidden, [row], [1])).toThrow(RangeError);
  }
  for (const target of WRONG) expect(() => lossesOf(session, hidden, [0], [target])).toThrow(RangeError);
  session.free();
});

test("a training step lets no other id or target through", async () => {
  const truth = loadTruth("llama");
  const shape = { rows: truth.rows, seqLen: truth.seqLen };
  const { state, free } = await openFixture(backend, "llama", { dtype: "f32", ...shape });
  const settings = { step: 1, lr: 0, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, clipNorm: 0 };
  for (const part of ["ids", "targets"] as const)
    for (const id of [V, -1]) {
      const batch = toRows(truth.ints("input_ids"), truth.ints("labels"), truth.rows, truth.seqLen);
      batch[0]![part][1] = id;
      await expect(trainStep(state, batch, settings)).rejects.toThrow(RangeError);
    }
  free();
});
