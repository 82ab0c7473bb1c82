import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { InputError, RunError } from "../../src/base/errors.js";
import { randomUniform } from "../../src/base/random.js";
import { readAdapter } from "../../src/formats/adapter.js";
import { type End, type Engine, type EngineRequest, openEngine } from "../../src/model/engine.js";
import { openServedAdapter } from "../../src/model/served-adapter.js";
import type { TokenLogprobs } from "../../src/model/top-logprobs.js";
import { openTestBackend } from "../backend.js";
import { FIXTURES, loadTruth } from "../parity-fixture.js";
import { damage, openInference, plainLogprobs, someIds } from "./inference-fixture.js";

const backend = await openTestBackend();
afterAll(() => backend.close());

const SHAPE = { cacheRows: 1200, maxTokens: 96, maxLogits: 6, maxLosses: 0 };
const decoder = await openInference(backend, "qwen2-odd", { dtype: "bf16" });
const exact = await openInference(backend, "qwen3");
afterAll(() => {
  decoder.free();
  exact.free();
});

const opened: Engine[] = [];
afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close();
});
function open(model = decoder, shape = SHAPE): Engine {
  const engine = openEngine(model, shape);
  opened.push(engine);
  return engine;
}

const adapterOf = (model: typeof decoder, key: string, folder: string) =>
  openServedAdapter(model, readAdapter(join(FIXTURES, folder)), {
    key,
    maxTokens: SHAPE.maxTokens,
    where: folder,
  });

interface Got {
  end: End;
  ids: number[];
  logprobs: number[];
  prompt: TokenLogprobs[];
  top: TokenLogprobs["top"][];
}

const IDS = someIds(131, 30, 1);

function request(ids: readonly number[], more: Partial<EngineRequest> & { seed?: number } = {}): EngineRequest {
  const { seed = 1, ...rest } = more;
  return {
    ...{ ids, maxTokens: 12, adapter: null, stopIds: new Set(), top: null, onPromptToken: null, where: "it" },
    sampling: { temperature: 1, topP: 1, uniform: (i) => randomUniform(seed, 2, i) },
    onToken: () => false,
    ...rest,
  };
}

async function ask(engine: Engine, asked: EngineRequest): Promise<Got> {
  const got: Got = { end: "length", ids: [], logprobs: [], prompt: [], top: [] };
  const { done } = engine.submit({
    ...asked,
    onPromptToken: asked.onPromptToken && ((scores) => got.prompt.push(scores)),
    onToken(token) {
      got.ids.push(token.id);
      got.logprobs.push(token.logprob);
      got.top.push(token.top);
      return asked.onToken(token);
    },
  });
  got.end = await done;
  return got;
}

test("a request gets the same, to the bit, alone and in any company, also where beginnings are shared", async () => {
  const engine = open();
  const adapters = [
    null,
    adapterOf(decoder, "a", "qwen2-odd/adapter"),
    adapterOf(decoder, "b", "qwen2-odd/adapter-partial"),
  ];
  const common = someIds(131, 200, 9);
  const requests = Array.from({ length: 12 }, (_, i) => {
    const ids = i % 3 === 0 ? someIds(131, 3 + i, i) : [...common.slice(0, 65 + 7 * i), ...someIds(131, 1 + i, i)];
    return request(ids, { adapter: adapters[i % 3]!, seed: i, maxTokens: 5 + (i % 9) });
  });
  const alone: Got[] = [];
  for (const one of requests) {
    const own = open();
    alone.push(await ask(own, one));
    await own.close();
  }
  const late = new Promise((resolve) => setTimeout(resolve, 20));
  const together = await Promise.all(
    requests.map(async (one, i) => {
      if (i % 4 === 1) await late;
      return ask(engine, one);
    }),
  );
  expect(together).toEqual(alone);
  expect(engine.state()).toMatchObject({ running: 0, waiting: 0, cacheRowsUsed: 0 });
  expect(engine.state().promptTokensCopied).toBeGreaterThan(0);
  // Again, with all beginnings known.
  expect(await Promise.all(requests.map((one) => ask(engine, one)))).toEqual(alone);
  for (const adapter of adapters) if (adapter) engine.release(adapter);
});

test("base and adapter in one batch say what transformers and PEFT say", async () => {
  const engine = open(exact);
  const adapter = adapterOf(exact, "a", "qwen3/adapter");
  const { generations } = loadTruth("qwen3").json as {
    generations: { prompt: number[]; base: number[]; adapter: number[] }[];
  };
  const greedy = { sampling: { temperature: 0, topP: 1, uniform: () => 0 }, maxTokens: 20 };
  for (const { prompt, ...want } of generations) {
    const [base, adapted] = await Promise.all([
      ask(engine, request(prompt, greedy)),
      ask(engine, request(prompt, { ...greedy, adapter })),
    ]);
    expect(base.ids).toEqual(want.base);
    expect(adapted.ids).toEqual(want.adapter);
  }
  engine.release(adapter);
});

test("prompts are scored, with the most likely tokens, as the training forward does", async () => {
  const engine = open(exact);
  const ids = someIds(131, 130, 4);
  const scored = { onPromptToken: () => {}, top: 3, maxTokens: 1 };
  const [got] = await Promise.all([ask(engine, request(ids, scored)), ask(engine, request(ids))]);
  const rows = await plainLogprobs(exact, [...ids, ...got!.ids]);
  const tokens = [...got!.prompt, { logprob: got!.logprobs[0]!, top: got!.top[0]! }];
  expect(tokens.length).toBe(ids.length);
  tokens.forEach(({ logprob, top }, i) => {
    const row = rows[i]!;
    expect(Math.abs(logprob - row[[...ids, ...got!.ids][i + 1]!]!)).toBeLessThan(1e-4);
    const sorted = [...row].sort((a, b) => b - a);
    expect(top.length).toBe(3);
    for (const [k, one] of top.entries()) expect(Math.abs(one.logprob - sorted[k]!)).toBeLessThan(1e-4);
  });
  const nothingDrawn = await ask(engine, request(ids, { ...scored, maxTokens: 0 }));
  expect(nothingDrawn).toMatchObject({ ids: [], end: "length", prompt: got!.prompt });
});

test("a stop token and a caller that has enough end it", async () => {
  const engine = open();
  const full = await ask(engine, request(IDS));
  const stopIds = new Set([full.ids[4]!]);
  const at = full.ids.indexOf(full.ids[4]!);
  expect(await ask(engine, request(IDS, { stopIds }))).toMatchObject({
    end: "stop token",
    ids: full.ids.slice(0, at + 1),
  });
  let told = 0;
  expect(await ask(engine, request(IDS, { onToken: () => ++told === 3 }))).toMatchObject({
    end: "enough",
    ids: full.ids.slice(0, 3),
  });
});

test("who goes away frees the place at once", async () => {
  const engine = open(decoder, { ...SHAPE, cacheRows: 500 });
  let told = 0;
  const long = engine.submit(request(IDS, { maxTokens: 460, onToken: () => ++told < 0 }));
  const next = ask(engine, request(IDS));
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(engine.state()).toMatchObject({ running: 1, waiting: 1 });
  long.cancel();
  expect(await long.done).toBe("cancelled");
  expect((await next).ids.length).toBe(12);
  expect(told).toBeLessThan(460);
  expect(engine.state().cacheRowsUsed).toBe(0);
});

test("what can never fit, or is no token, is refused by itself", async () => {
  const engine = open();
  expect(() => engine.submit(request(IDS, { maxTokens: 500 }))).toThrow(InputError);
  expect(() => engine.submit(request([1, 9999]))).toThrow(/it: token id 9999/);
  expect(() => engine.submit(request([]))).toThrow(/empty/);
  expect((await ask(engine, request(IDS))).end).toBe("length");
});

test("numbers that are none, and callers that throw, fail their request alone", async () => {
  const damaged = await openInference(backend, "qwen3");
  const adapter = adapterOf(damaged, "broken", "qwen3/adapter");
  const broken = new Float32Array(adapter.layers[0]!.down!.b.cols).fill(Number.NaN);
  const { b } = adapter.layers[0]!.down!;
  backend.write(b.buffer, b.offset * 4, broken);
  const engine = open(damaged);
  const [well, nan, thrown] = await Promise.allSettled([
    ask(engine, request(IDS)),
    ask(engine, request(IDS, { adapter })),
    ask(
      engine,
      request(IDS, {
        onToken: () => {
          throw new RunError("mine");
        },
      }),
    ),
  ]);
  expect(well).toMatchObject({ status: "fulfilled", value: { end: "length" } });
  expect(nan).toMatchObject({ status: "rejected", reason: { message: expect.stringMatching(/^it: .* NaN/) } });
  expect(thrown).toMatchObject({ status: "rejected", reason: { message: "mine" } });
  expect(engine.state().cacheRowsUsed).toBe(0);
  damage(damaged);
  const scored = request(IDS, { onPromptToken: () => {}, top: 1, maxTokens: 0 });
  await expect(ask(engine, scored)).rejects.toThrow(/^it: .* NaN/);
  engine.release(adapter);
  await engine.close();
  damaged.free();
});
