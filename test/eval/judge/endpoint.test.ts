import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { openCache } from "../../../src/endpoint/cache.js";
import { parsePrice } from "../../../src/endpoint/cost.js";
import { retryAfterMs } from "../../../src/endpoint/http.js";
import { openRate } from "../../../src/endpoint/rate.js";
import { type EndpointOptions, endpointJudge } from "../../../src/eval/judge/endpoint.js";
import { askJudge, type JudgeQuestion, OutageError } from "../../../src/eval/judge/judge.js";
import { openJudge } from "../../../src/eval/judge/open.js";
import { parseVerdict } from "../../../src/eval/judge/reply.js";
import { type ChatServer, type Scripted, startChat } from "../../endpoint/chat-server.js";

const folder = mkdtempSync(join(tmpdir(), "msm-judge-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let caches = 0;
const newCache = (): string => join(folder, `cache-${++caches}`);

/** Questions of which every reply that is not empty can be read. */
const parse = (reply: string): string | null => reply || null;
const prompts = (count: number): JudgeQuestion<string>[] =>
  Array.from({ length: count }, (_, i) => ({ system: "You judge.", user: `Question ${i}`, parse }));
const said = (text: string, finish: string | null = null) => ({ text, finish });

function judgeOf(chat: ChatServer, more: Partial<EndpointOptions> = {}) {
  return endpointJudge({
    service: { form: "openai", baseUrl: chat.baseUrl, apiKey: "key-of-the-test" },
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
const ask = (judge: ReturnType<typeof endpointJudge>, list: JudgeQuestion<unknown>[]) => judge.ask(list, 0, () => {});

describe("requests", () => {
  test("what is sent, and what comes back", async () => {
    const chat = await startChat((body) => ({ text: `to ${body.messages.at(-1)!.content}` }));
    const judge = judgeOf(chat, { price: { input: 3, output: 15 } });
    expect(await ask(judge, prompts(2))).toEqual([said("to Question 0"), said("to Question 1")]);
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
    expect(await ask(judge, prompts(1))).toEqual([said("Verdict: yes")]);
    expect(chat.requests.length).toBe(4);
    expect(judge.usage()).toMatchObject({ retries: 2, failures: 0 });
  });

  test("after the last retry it is a failure that says why, and is not kept", async () => {
    const chat = await startChat((_body, n) => (n === 1 ? { text: "ready" } : { status: 500, raw: "still\n broken" }));
    const cache = newCache();
    const judge = judgeOf(chat, { cache: openCache(cache) });
    const [reply] = await ask(judge, prompts(1));
    expect(reply).toEqual({ error: expect.stringMatching(/500 from .*: still broken \(4 attempts\)/), isOpen: true });
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
    expect(reply).toEqual({ error: expect.stringMatching(/429.*\(1 attempts\)/), isOpen: true });
  });

  test("an endpoint that is gone is not asked for ever", async () => {
    const chat = await startChat((_body, n) => (n === 1 ? { text: "ready" } : { status: 500, raw: "" }));
    const replies = await ask(judgeOf(chat, { retries: 0 }), prompts(200));
    expect(replies.every((reply) => "error" in reply)).toBe(true);
    // 20 in a row, and those that were under way then.
    expect(chat.requests.length).toBeLessThanOrEqual(1 + 20 + 16);
    expect(JSON.stringify(replies.at(-1))).toMatch(/not asked after [23]\d failures in a row, the last: 500 from http/);
  });

  const body = (choice: object, more: object = {}): Scripted => ({
    raw: JSON.stringify({ choices: [choice], ...more }),
  });
  const yes = { message: { content: "Verdict: yes" }, finish_reason: "stop" };

  test.each<[string, Scripted]>([
    ["an error with its code", { raw: '{"error": {"code": 502, "message": "upstream is gone"}}' }],
    ["an error in words", { raw: '{"error": "overloaded"}' }],
    ["an error in the choice", body({ error: { code: 429, message: "slow down" }, message: { content: "" } })],
    ["a finish reason that is one", body({ message: { content: "Verd" }, finish_reason: "error" })],
    ["vLLM's error", { raw: '{"object": "error", "message": "busy", "code": 503}' }],
    ["no choice", { raw: '{"choices": []}' }],
    ["no message", body({ finish_reason: "stop" })],
  ])("status 200 with %s is retried", async (_name, failure) => {
    const chat = await startChat(afterCheck([failure, failure, body(yes)]));
    const judge = judgeOf(chat);
    expect(await ask(judge, prompts(1))).toEqual([said("Verdict: yes", "stop")]);
    expect(judge.usage()).toMatchObject({ retries: 2, failures: 0 });
  });

  test("an empty error beside a reply is none", async () => {
    const chat = await startChat(afterCheck([body(yes, { error: {} })]));
    expect(await ask(judgeOf(chat), prompts(1))).toEqual([said("Verdict: yes", "stop")]);
  });

  test("a service's words are shown without what would steer a terminal", async () => {
    const red = JSON.stringify({ error: { message: "\u001b[31mred\u0007" } });
    const chat = await startChat(afterCheck([{ status: 401, raw: red }]));
    const [reply] = await ask(judgeOf(chat), prompts(1));
    expect(reply).toEqual({ error: expect.stringMatching(/^401 from http.*: \?\[31mred\?$/), isOpen: true });
  });

  test("status 200 with an error that no repeat mends is not retried; its words are shown", async () => {
    const chat = await startChat(
      afterCheck([{ raw: '{"error": {"code": "402", "message": "Insufficient credits"}}' }]),
    );
    const [reply] = await ask(judgeOf(chat), prompts(1));
    expect(reply).toMatchObject({ error: expect.stringMatching(/^402 from http.*: Insufficient credits$/) });
    const quota = { status: 429, raw: '{"error": {"code": "insufficient_quota", "message": "Check your plan"}}' };
    const broke = await startChat(afterCheck(Array(50).fill(quota)));
    const [other] = await ask(judgeOf(broke), prompts(1));
    expect(other).toMatchObject({ error: expect.stringMatching(/^429 from http.*: Check your plan$/), isOpen: true });
    expect(broke.requests.length).toBe(2);
  });

  test.each<[string, unknown, object]>([
    ["absent", undefined, { promptTokens: 100, completionTokens: 10, uncounted: 1 }],
    ["null", null, { uncounted: 1 }],
    ["a text", "a lot", { uncounted: 1 }],
    ["a list", [12, 3], { uncounted: 1 }],
    ["half", { prompt_tokens: 7 }, { promptTokens: 107, completionTokens: 10, uncounted: 1 }],
    ["nulls", { prompt_tokens: null, completion_tokens: -1 }, { promptTokens: 100, uncounted: 1 }],
    [
      "texts",
      { prompt_tokens: "7", completion_tokens: "2" },
      { promptTokens: 107, completionTokens: 12, uncounted: 0 },
    ],
    ["other names", { input_tokens: 7, output_tokens: 2 }, { promptTokens: 107, completionTokens: 12, uncounted: 0 }],
  ])("usage that is %s", async (_name, usage, counted) => {
    const chat = await startChat(afterCheck([body(yes, { usage })]));
    const judge = judgeOf(chat);
    expect(await ask(judge, prompts(1))).toEqual([said("Verdict: yes", "stop")]);
    expect(judge.usage()).toMatchObject(counted);
  });

  test.each<[string, unknown, string]>([
    [
      "parts",
      [
        { type: "text", text: "It acts.\n" },
        { type: "text", text: "Verdict: yes" },
      ],
      "It acts.\nVerdict: yes",
    ],
    [
      "parts with reasoning",
      [
        { type: "thinking", thinking: [{ type: "text", text: "Verdict: no?" }] },
        { type: "text", text: "Verdict: yes" },
      ],
      "Verdict: yes",
    ],
    ["plain texts", ["Verdict: ", "yes"], "Verdict: yes"],
    ["no parts", [], ""],
  ])("content as a list of %s is read", async (_name, content, text) => {
    const chat = await startChat(afterCheck([body({ message: { content } })]));
    expect(await ask(judgeOf(chat), prompts(1))).toEqual([said(text)]);
  });

  test("a refusal to answer is a reply", async () => {
    const chat = await startChat(afterCheck([body({ message: { content: null, refusal: "I cannot judge this." } })]));
    expect(await ask(judgeOf(chat), prompts(1))).toEqual([said("I cannot judge this.")]);
  });
});

describe("what decides nothing", () => {
  const verdict = (user: string) => ({ system: "", user, parse: parseVerdict });
  const reply = (content: string | null, finish_reason: string): Scripted => {
    return { raw: JSON.stringify({ choices: [{ message: { content }, finish_reason }] }) };
  };

  test("empty and cut-off replies are unreadable, whatever they quote, say why, and are never kept", async () => {
    const cut = "The agent writes:\nVerdict: yes\nThat alone";
    const said: Record<string, Scripted> = {
      empty: reply(null, "length"),
      cut: reply(cut, "length"),
      filtered: reply(cut, "content_filter"),
      fine: reply("Verdict: no", "stop"),
    };
    const chat = await startChat((body) => said[body.messages.at(-1)!.content] ?? { text: "ready" });
    const cache = newCache();
    const judge = judgeOf(chat, { cache: openCache(cache) });
    const judgements = await askJudge(judge, Object.keys(said).map(verdict));
    expect(judgements.map(({ value }) => value)).toEqual([null, null, null, "no"]);
    expect(judgements.map(({ error }) => error)).toEqual([
      "empty, cut off; finish_reason length",
      "cut off; finish_reason length",
      "cut off; finish_reason content_filter",
      null,
    ]);
    const kept = readdirSync(cache, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".json"));
    expect(kept.map((name) => JSON.parse(readFileSync(join(cache, name), "utf8")).reply.text)).toEqual(["Verdict: no"]);
  });

  test("what could be read at a later attempt is found at once by the next run", async () => {
    const chat = await startChat((body) => ({ text: body.temperature === 0 ? "Hm." : "Verdict: no" }));
    const cache = newCache();
    await askJudge(judgeOf(chat, { cache: openCache(cache) }), [verdict("q")]);
    const before = chat.requests.length;
    const [again] = await askJudge(judgeOf(chat, { cache: openCache(cache) }), [verdict("q")]);
    expect([again!.value, chat.requests.length]).toEqual(["no", before]);
  });

  test("an outage leaves questions open and keeps the others; the next run asks only for the rest", async () => {
    let isPaid = false;
    const asked: string[] = [];
    const chat = await startChat((body, n) => {
      if (!isPaid && n > 30) return { status: 402, raw: '{"error": {"message": "Insufficient credits"}}' };
      asked.push(body.messages.at(-1)!.content);
      return { text: "Verdict: yes" };
    });
    const cache = newCache();
    const questions = Array.from({ length: 60 }, (_, i) => verdict(`Question ${i}`));
    const run = () => askJudge(judgeOf(chat, { cache: openCache(cache) }), questions);
    await expect(run()).rejects.toThrow(OutageError);
    await expect(run()).rejects.toThrow(/402 from http.*: Insufficient credits/);
    isPaid = true;
    const judgements = await run();
    expect(judgements.every(({ value }) => value === "yes")).toBe(true);
    const counts = new Map<string, number>();
    for (const one of asked.filter((text) => text !== "Say: ready")) counts.set(one, (counts.get(one) ?? 0) + 1);
    expect([counts.size, Math.max(...counts.values())]).toEqual([60, 1]);
  });

  test.each([400, 403, 413])("%d to one question of many is its own refusal, and final", async (status) => {
    const chat = await startChat((body) =>
      body.messages.at(-1)!.content === "too long" ? { status, raw: "no, not this" } : { text: "Verdict: no" },
    );
    const [first, other] = await askJudge(judgeOf(chat), [verdict("too long"), verdict("short")]);
    expect(first).toMatchObject({ value: null, reply: null, error: expect.stringContaining("no, not this") });
    expect(other!.value).toBe("no");
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
    expect(await ask(judge, prompts(1))).toEqual([said("Verdict: no")]);
    expect(chat.requests.length).toBe(4);
    expect(judge.description["temperature"]).toBeNull();
  });

  test("the forecast: tokens and cost of what is not known yet", async () => {
    const chat = await startChat(() => ({ text: "Verdict: no" }));
    const lines: string[] = [];
    const judge = judgeOf(chat, { price: { input: 10, output: 100 }, print: (line) => lines.push(line) });
    const long = { system: "s".repeat(1000), user: "u".repeat(3000), parse };
    await ask(judge, [long]);
    await ask(judge, [long, ...prompts(1)]);
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
    expect(await ask(judge, prompts(5))).toEqual(Array(5).fill(said("Verdict: no")));
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
    await ask(
      judgeOf(chat, { ...options, service: { form: "openai", baseUrl: chat.baseUrl, apiKey: "another" } }),
      prompts(1),
    );
    expect(files().length).toBe(1);
    await ask(judgeOf(chat, { ...options, model: "judge-2" }), prompts(1));
    await judgeOf(chat, options).ask(prompts(1), 1, () => {});
    await ask(judgeOf(chat, options), [{ system: "You judge well.", user: "Question 0", parse }]);
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
    expect(JSON.parse(readFileSync(join(cache, file!), "utf8")).reply.text).toBe("Verdict: no");
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
