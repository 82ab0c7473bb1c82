import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { openCache } from "../../../src/endpoint/cache.js";
import { parsePrice } from "../../../src/endpoint/cost.js";
import { retryAfterMs } from "../../../src/endpoint/http.js";
import { openRate } from "../../../src/endpoint/rate.js";
import { type EndpointOptions, endpointJudge } from "../../../src/eval/judge/endpoint.js";
import { askJudge, type JudgePrompt } from "../../../src/eval/judge/judge.js";
import { openJudge } from "../../../src/eval/judge/open.js";
import { parseVerdict } from "../../../src/eval/judge/reply.js";
import { type ChatServer, type Scripted, startChat } from "../../endpoint/chat-server.js";

const folder = mkdtempSync(join(tmpdir(), "msm-judge-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let caches = 0;
const newCache = (): string => join(folder, `cache-${++caches}`);

const prompts = (count: number): JudgePrompt[] =>
  Array.from({ length: count }, (_, i) => ({ system: "You judge.", user: `Question ${i}` }));

function judgeOf(chat: ChatServer, more: Partial<EndpointOptions> = {}) {
  return endpointJudge({
    baseUrl: chat.baseUrl,
    apiKey: "key-of-the-test",
    model: "judge-1",
    cache: openCache(newCache()),
    requestsPerMinute: 60_000,
    price: null,
    print: () => {},
    retries: 3,
    backoffMs: 5,
    ...more,
  });
}
/** The first request of a judge finds out whether it can be asked; the script is for those that follow. */
const afterCheck =
  (script: Scripted[]) =>
  (_body: unknown, n: number): Scripted =>
    n === 1 ? { text: "ready" } : (script[n - 2] ?? { text: "Verdict: yes" });
const ask = (judge: ReturnType<typeof endpointJudge>, list: JudgePrompt[]) => judge.ask(list, 0, () => {});

describe("requests", () => {
  test("what is sent, and what comes back", async () => {
    const chat = await startChat((body) => ({ text: `to ${body.messages.at(-1)!.content}` }));
    const judge = judgeOf(chat, { price: { input: 3, output: 15 } });
    expect(await ask(judge, prompts(2))).toEqual([{ text: "to Question 0" }, { text: "to Question 1" }]);
    const { body, headers, url } = chat.requests[1]!;
    expect(url).toBe("/v1/chat/completions");
    expect(headers.authorization).toBe("Bearer key-of-the-test");
    expect(body).toMatchObject({ model: "judge-1", temperature: 0, max_tokens: 2048 });
    expect(body.messages).toEqual([
      { role: "system", content: "You judge." },
      { role: "user", content: expect.stringMatching(/^Question/) },
    ]);
    expect(judge.usage()).toMatchObject({
      requests: 3,
      promptTokens: 300,
      completionTokens: 30,
      retries: 0,
      failures: 0,
    });
    expect(judge.usage()!["cost"]).toBeCloseTo((3 * 300 + 15 * 30) / 1e6, 12);
    expect(JSON.stringify(judge.description)).not.toContain("key-of-the-test");
  });

  test.each<[string, Scripted]>([
    ["429", { status: 429, raw: "slow down" }],
    ["500", { status: 500, raw: "<html>oops</html>" }],
    ["503 without text", { status: 503, raw: "" }],
    ["malformed JSON", { raw: '{"choices": [{"mess' }],
    ["a slow reply", { text: "Verdict: no", delayMs: 1500 }],
  ])("%s: asked again", async (_name, failure) => {
    const chat = await startChat(afterCheck([failure, failure, { text: "Verdict: yes" }]));
    const judge = judgeOf(chat, { timeoutMs: 1000 });
    expect(await ask(judge, prompts(1))).toEqual([{ text: "Verdict: yes" }]);
    expect(chat.requests.length).toBe(4);
    expect(judge.usage()).toMatchObject({ retries: 2, failures: 0 });
  });

  test("after the last retry it is a failure that says why, and is not kept", async () => {
    const chat = await startChat((_body, n) => (n === 1 ? { text: "ready" } : { status: 500, raw: "still\n broken" }));
    const cache = newCache();
    const judge = judgeOf(chat, { cache: openCache(cache) });
    const [reply] = await ask(judge, prompts(1));
    expect(reply).toEqual({ error: expect.stringMatching(/500 from .*: still broken \(4 attempts\)/) });
    expect(chat.requests.length).toBe(5);
    expect(readdirSync(folder)).not.toContain(cache.split("/").at(-1));
  });

  test("waits grow, and Retry-After is waited for by all", async () => {
    const busy = { status: 429, headers: { "retry-after": "0.3" }, raw: "" };
    const chat = await startChat(afterCheck([busy]));
    await ask(judgeOf(chat), prompts(3));
    const [, first, ...later] = chat.requests.map(({ at }) => at);
    // What was under way already may still arrive; the repeat may not.
    expect(later.at(-1)! - first!).toBeGreaterThan(290);

    const broken = { status: 500, raw: "" };
    const slow = await startChat(afterCheck([broken, broken, broken]));
    await ask(judgeOf(slow, { backoffMs: 80 }), prompts(1));
    const times = slow.requests.slice(1).map(({ at }) => at);
    const waits = times.slice(1).map((time, i) => time - times[i]!);
    // Between half and all of 80, 160, 320 ms.
    for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual(40 * 2 ** i - 2);
    expect(waits.length).toBe(3);
  });

  test("a wait of more than ten minutes is not waited for", async () => {
    const chat = await startChat(afterCheck([{ status: 429, headers: { "retry-after": "3600" }, raw: "" }]));
    const [reply] = await ask(judgeOf(chat), prompts(1));
    expect(reply).toEqual({ error: expect.stringMatching(/429.*\(1 attempts\)/) });
  });

  test("an endpoint that is gone is not asked for ever", async () => {
    const chat = await startChat((_body, n) => (n === 1 ? { text: "ready" } : { status: 500, raw: "" }));
    const replies = await ask(judgeOf(chat, { retries: 0 }), prompts(200));
    expect(replies.every((reply) => "error" in reply)).toBe(true);
    // 20 in a row, and those that were under way then.
    expect(chat.requests.length).toBeLessThanOrEqual(1 + 20 + 16);
    expect(JSON.stringify(replies.at(-1))).toMatch(/not asked: 2\d|not asked: 3\d/);
  });

  test("a body of another form and a refusal to answer are replies that decide nothing", async () => {
    const refusal = JSON.stringify({ choices: [{ message: { content: null, refusal: "I cannot judge this." } }] });
    const chat = await startChat(afterCheck([{ raw: '{"error":"none"}' }, { raw: refusal }]));
    const judge = judgeOf(chat);
    const [first] = await ask(judge, prompts(1));
    expect(first).toEqual({ error: expect.stringMatching(/choices is missing/) });
    expect(await ask(judge, prompts(1))).toEqual([{ text: "I cannot judge this." }]);
  });
});

describe("before anything is asked", () => {
  test.each([
    [401, /401.*no such key/],
    [404, /404.*no such key/],
  ])("%d ends it", async (status, message) => {
    const chat = await startChat(() => ({ status, raw: "no such key" }));
    const judge = judgeOf(chat);
    await expect(judge.check()).rejects.toThrow(message);
    await expect(ask(judge, prompts(3))).rejects.toThrow(message);
    expect(chat.requests.length).toBe(1);
  });

  test("names of parameters that a model wants otherwise are found out", async () => {
    const chat = await startChat((body) => {
      if (body.max_tokens !== undefined)
        return { status: 400, raw: "Unsupported parameter: use 'max_completion_tokens'" };
      if (body.temperature !== undefined) return { status: 400, raw: "temperature does not support 0" };
      return { text: "Verdict: no" };
    });
    const judge = judgeOf(chat);
    expect(await ask(judge, prompts(1))).toEqual([{ text: "Verdict: no" }]);
    expect(chat.requests.length).toBe(4);
    expect(judge.description["temperature"]).toBeNull();
  });

  test("the forecast: tokens and cost of what is not known yet", async () => {
    const chat = await startChat(() => ({ text: "Verdict: no" }));
    const lines: string[] = [];
    const judge = judgeOf(chat, { price: { input: 10, output: 100 }, print: (line) => lines.push(line) });
    await ask(judge, [{ system: "s".repeat(1000), user: "u".repeat(3000) }]);
    await ask(judge, [{ system: "s".repeat(1000), user: "u".repeat(3000) }, ...prompts(1)]);
    // 4,000 characters are about 1,000 tokens, a cent; a reply has at most 2,048 tokens, 20 cents.
    expect(lines[0]).toMatch(/1 questions, 0 answered before; about 1000 tokens to send, at most 2048 in replies/);
    expect(lines[0]).toMatch(/about \$0\.01 for what is sent, at most \$0\.20 for replies/);
    expect(lines[1]).toMatch(/2 questions, 1 answered before; about 5 tokens/);
  });

  test("prices", () => {
    expect(parsePrice("3,15.5", "--judge-price")).toEqual({ input: 3, output: 15.5 });
    for (const wrong of ["3", "3,", "a,b", "1,2,3", "-1,2", ""])
      expect(() => parsePrice(wrong, "--judge-price")).toThrow(/--judge-price ".*": must be two prices/);
  });

  test("without key and address: what to set; without a name: how to write it", async () => {
    const host = { backend: undefined as never, dtype: "f32", model: "", print: () => {} } as const;
    const settings = { judgePrice: null, judgeRpm: 60, judgeCache: null };
    vi.stubEnv("OPENAI_API_KEY", "");
    vi.stubEnv("OPENAI_BASE_URL", "");
    await expect(openJudge({ ...settings, judge: "openai:x" }, host)).rejects.toThrow(/set OPENAI_API_KEY/);
    await expect(openJudge({ ...settings, judge: "openai:" }, host)).rejects.toThrow(/write openai:NAME/);
    expect(await openJudge({ ...settings, judge: "none" }, host)).toBeNull();
    vi.stubEnv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1/");
    const judge = await openJudge({ ...settings, judge: "openai:x" }, host);
    expect(judge?.description["baseUrl"]).toBe("http://127.0.0.1:9/v1");
    vi.unstubAllEnvs();
  });
});

describe("the cache", () => {
  test("what was answered is not asked again, by no process", async () => {
    const chat = await startChat(() => ({ text: "Verdict: no" }));
    const cache = newCache();
    await ask(judgeOf(chat, { cache: openCache(cache) }), prompts(5));
    expect(chat.requests.length).toBe(6);
    const judge = judgeOf(chat, { cache: openCache(cache) });
    expect(await ask(judge, prompts(5))).toEqual(Array(5).fill({ text: "Verdict: no" }));
    expect(chat.requests.length).toBe(6);
    expect(judge.usage()).toMatchObject({ requests: 0, cached: 5 });
  });

  test("model, address, text and attempt are other questions; the key is no part of them", async () => {
    const chat = await startChat(() => ({ text: "Verdict: no" }));
    const cache = newCache();
    const options = { cache: openCache(cache) };
    await ask(judgeOf(chat, options), prompts(1));
    const files = (): string[] =>
      readdirSync(cache, { recursive: true })
        .map(String)
        .filter((name) => name.endsWith(".json"));
    expect(files().length).toBe(1);
    await ask(judgeOf(chat, { ...options, apiKey: "another" }), prompts(1));
    expect(files().length).toBe(1);
    await ask(judgeOf(chat, { ...options, model: "judge-2" }), prompts(1));
    await judgeOf(chat, options).ask(prompts(1), 1, () => {});
    await ask(judgeOf(chat, options), [{ system: "You judge well.", user: "Question 0" }]);
    expect(files().length).toBe(4);
    expect(readFileSync(join(cache, files()[0]!), "utf8")).not.toContain("key-of-the-test");
  });

  test("the same question twice at a time is asked once; a damaged file is asked anew", async () => {
    const chat = await startChat(() => ({ text: "Verdict: no", delayMs: 20 }));
    const cache = newCache();
    const same = [prompts(1)[0]!, prompts(1)[0]!, prompts(1)[0]!];
    expect((await ask(judgeOf(chat, { cache: openCache(cache) }), same)).length).toBe(3);
    expect(chat.requests.length).toBe(2);
    const [file] = readdirSync(cache, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith(".json"));
    writeFileSync(join(cache, file!), '{"reply": ');
    await ask(judgeOf(chat, { cache: openCache(cache) }), same);
    expect(chat.requests.length).toBe(4);
    expect(JSON.parse(readFileSync(join(cache, file!), "utf8")).reply).toBe("Verdict: no");
  });
});

test("a reply that cannot be read is asked for again, at another temperature, and then undecided", async () => {
  const chat = await startChat((body) =>
    body.messages.at(-1)!.content.includes("hopeless") || body.temperature === 0
      ? { text: "Hard to say." }
      : { text: "Verdict: no" },
  );
  const judge = judgeOf(chat);
  const questions = ["easy", "hopeless"].map((user) => ({ system: "", user, parse: parseVerdict }));
  const [easy, hopeless] = await askJudge(judge, questions);
  expect(easy).toEqual({ value: "no", reply: "Verdict: no", attempts: 2, error: null });
  expect(hopeless).toEqual({ value: null, reply: "Hard to say.", attempts: 3, error: null });
});

test("turns are spaced, and a pause holds all of them", async () => {
  const rate = openRate(60_000 / 30);
  const began = performance.now();
  await Promise.all([rate.turn(), rate.turn(), rate.turn()]);
  expect(performance.now() - began).toBeGreaterThan(58);
  rate.pause(100);
  const paused = performance.now();
  await rate.turn();
  expect(performance.now() - paused).toBeGreaterThan(98);
});

test("Retry-After: seconds, a date, or nothing", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  expect(retryAfterMs("2", now)).toBe(2000);
  expect(retryAfterMs("Thu, 01 Jan 2026 00:00:05 GMT", now)).toBe(5000);
  expect(retryAfterMs("Wed, 31 Dec 2025 00:00:00 GMT", now)).toBe(0);
  for (const nothing of [null, "", "soon", "-3"]) expect(retryAfterMs(nothing, now)).toBe(0);
});
