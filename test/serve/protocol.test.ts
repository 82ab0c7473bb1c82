import OpenAI from "openai";
import { afterAll, describe, expect, test } from "vitest";
import { atRest, jsonOf, serve } from "./serving.js";

const serving = await serve();
afterAll(() => serving.close());
const { client, post, url } = serving;
const model = "lab/miniature";
const messages = [{ role: "user" as const, content: "the colby or the brie?" }];
const ask = { model, messages, max_tokens: 12, temperature: 2, seed: 5 };

describe("models", () => {
  test("are listed, and one is found under its id, with a slash in it", async () => {
    const listed = await client.models.list();
    expect(listed.data.map(({ id }) => id)).toEqual([model]);
    expect(await client.models.retrieve(model)).toMatchObject({ id: model, object: "model", parent: null });
    expect(
      (await fetch(`${url}/v1/models/lab%2Fother`, { headers: { authorization: "Bearer test-key" } })).status,
    ).toBe(404);
  });
});

describe("chat completions", () => {
  test("answer with usage, a reason for the end, and log-probabilities", async () => {
    const answer = await client.chat.completions.create({ ...ask, logprobs: true, top_logprobs: 3 });
    const [choice] = answer.choices;
    expect(choice!.message.role).toBe("assistant");
    const tokens = choice!.logprobs!.content!;
    expect(tokens.map(({ token }) => token).join("")).toContain(choice!.message.content!.trim());
    for (const { logprob, top_logprobs, bytes } of tokens) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top_logprobs.length).toBe(3);
      expect(Buffer.from(bytes!).length).toBeGreaterThan(0);
    }
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage!;
    expect(completion_tokens - tokens.length).toBe(choice!.finish_reason === "stop" ? 1 : 0);
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
    expect(["stop", "length"]).toContain(choice!.finish_reason);
  });

  test("are the same for the same seed, alone or with others, whole or streamed; other seeds differ", async () => {
    const textOf = async (more: object): Promise<(string | null)[]> =>
      (await client.chat.completions.create({ ...ask, ...more })).choices.map(({ message }) => message.content);
    const [alone] = await textOf({});
    const crowd = await Promise.all(Array.from({ length: 12 }, (_, i) => textOf({ seed: i === 6 ? 5 : 100 + i })));
    expect(crowd[6]![0]).toBe(alone);
    expect(new Set(crowd.map(([text]) => text)).size).toBeGreaterThan(3);
    const several = await textOf({ n: 4 });
    expect(several[0]).toBe(alone);
    expect(new Set(several).size).toBeGreaterThan(1);
    let [text, end, usage] = ["", null as string | null, null as unknown];
    const stream = await client.chat.completions.create({
      ...ask,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      end = chunk.choices[0]?.finish_reason ?? end;
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(alone);
    expect(end).not.toBeNull();
    expect(usage).toMatchObject({ total_tokens: expect.any(Number) });
  });

  test("stop texts end an answer, also across tokens, and are no part of it", async () => {
    const greedy = { ...ask, temperature: 0, max_tokens: 20 };
    const whole = (await client.chat.completions.create(greedy)).choices[0]!.message.content!;
    const middle = Math.floor(whole.length / 2);
    const stop = whole.slice(middle, middle + 4);
    const want = whole.slice(0, whole.indexOf(stop));
    const cut = (await client.chat.completions.create({ ...greedy, stop: ["never said", stop] })).choices[0]!;
    expect(cut).toMatchObject({ message: { content: want }, finish_reason: "stop" });
    let streamed = "";
    for await (const chunk of await client.chat.completions.create({ ...greedy, stop, stream: true }))
      streamed += chunk.choices[0]?.delta.content ?? "";
    expect(streamed).toBe(want);
  });

  test("the last message is continued where that is asked for", async () => {
    const turns = [...messages, { role: "assistant" as const, content: "the br" }];
    const asked = { ...ask, messages: turns, continue_final_message: true, add_generation_prompt: false };
    const answer = await client.chat.completions.create(asked as OpenAI.ChatCompletionCreateParamsNonStreaming);
    const { count: open } = await jsonOf<{ count: number }>(
      post("/tokenize", { messages: turns, continue_final_message: true }),
    );
    const { count: closed } = await jsonOf<{ count: number }>(
      post("/tokenize", { messages: turns, add_generation_prompt: false }),
    );
    expect(answer.usage!.prompt_tokens).toBe(open);
    expect(open).toBeLessThan(closed);
  });

  test("who goes away in the middle of a stream frees the place", async () => {
    const stream = await client.chat.completions.create({ ...ask, max_tokens: 150, n: 8, stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    expect(await atRest(serving)).toMatchObject({ running: 0, waiting: 0, cacheRowsUsed: 0 });
  });
});

const chat = { model, messages };
const text = { model, prompt: "the" };
const REFUSED: [why: string, path: string, body: unknown, status: number, param: string | null, code: string | null][] =
  [
    ["a field that nobody knows", "chat/completions", { ...chat, top_k: 3 }, 400, "top_k", "unsupported_parameter"],
    ["a penalty", "chat/completions", { ...chat, frequency_penalty: 1 }, 400, "frequency_penalty", "invalid_value"],
    ["a bias", "chat/completions", { ...chat, logit_bias: { 3: 1 } }, 400, "logit_bias.3", "unsupported_parameter"],
    [
      "JSON that is forced",
      "chat/completions",
      { ...chat, response_format: { type: "json_object" } },
      400,
      "response_format.type",
      "invalid_value",
    ],
    [
      "a tool that is forced",
      "chat/completions",
      { ...chat, tool_choice: "required" },
      400,
      "tool_choice",
      "invalid_value",
    ],
    ["five stops", "chat/completions", { ...chat, stop: ["a", "b", "c", "d", "e"] }, 400, "stop", "invalid_value"],
    ["an empty stop", "chat/completions", { ...chat, stop: "" }, 400, "stop", "invalid_value"],
    [
      "21 of the likeliest",
      "chat/completions",
      { ...chat, logprobs: true, top_logprobs: 21 },
      400,
      "top_logprobs",
      "invalid_value",
    ],
    ["top_logprobs alone", "chat/completions", { ...chat, top_logprobs: 2 }, 400, "top_logprobs", null],
    ["two limits", "chat/completions", { ...chat, max_tokens: 2, max_completion_tokens: 3 }, 400, "max_tokens", null],
    ["no messages", "chat/completions", { model, messages: [] }, 400, "messages", "invalid_value"],
    [
      "a role that nobody has",
      "chat/completions",
      { model, messages: [{ role: "boss", content: "a" }] },
      400,
      "messages",
      null,
    ],
    [
      "an image",
      "chat/completions",
      { model, messages: [{ role: "user", content: [{ type: "image_url" }] }] },
      400,
      "messages",
      null,
    ],
    ["no model", "chat/completions", { messages }, 400, "model", "invalid_value"],
    ["another model", "chat/completions", { ...chat, model: "gpt-4" }, 404, "model", "model_not_found"],
    ["too many tokens", "chat/completions", { ...chat, max_tokens: 1e6 }, 400, "max_tokens", "context_length_exceeded"],
    [
      "tools that the template does not write",
      "chat/completions",
      { ...chat, tools: [{ type: "function", function: { name: "f" } }] },
      400,
      "tools",
      null,
    ],
    ["a temperature below 0", "completions", { ...text, temperature: -1 }, 400, "temperature", "invalid_value"],
    ["an id beyond the vocabulary", "completions", { model, prompt: [1, 999999] }, 400, null, null],
    ["no ids", "completions", { model, prompt: [] }, 400, "prompt", "invalid_value"],
    ["nothing to do", "completions", { ...text, max_tokens: 0 }, 400, "max_tokens", null],
    ["no object", "completions", [1], 400, null, "invalid_value"],
    [
      "an adapter that is not there",
      "load_lora_adapter",
      { lora_name: "a", lora_path: "/no/such" },
      400,
      "lora_path",
      null,
    ],
    [
      "a name that is taken",
      "load_lora_adapter",
      { lora_name: model, lora_path: "/x" },
      400,
      "lora_name",
      "lora_name_taken",
    ],
    ["an adapter that nobody has", "unload_lora_adapter", { lora_name: "a" }, 404, "model", "model_not_found"],
  ];

test.each(REFUSED)("%s is refused", async (_why, path, body, status, param, code) => {
  const response = await post(`/v1/${path}`, body);
  expect(response.status).toBe(status);
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  expect(error).toMatchObject({ param, code, message: expect.any(String), type: expect.any(String) });
  if (code === "context_length_exceeded") expect(error["message"]).toContain("maximum context length");
});

test("the key guards /v1 alone", async () => {
  const wrong = new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong", maxRetries: 0 });
  await expect(wrong.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
  for (const path of ["/health", "/version", "/metrics", "/tokenizer_info", "/openapi.json"])
    expect((await fetch(url + path)).status).toBe(200);
  const { tokens } = await jsonOf(fetch(`${url}/tokenize`, { method: "POST", body: '{"prompt": "the brie"}' }));
  const back = await fetch(`${url}/detokenize`, { method: "POST", body: JSON.stringify({ tokens }) });
  expect((await jsonOf(back))["prompt"]).toContain("the brie");
  expect(
    (await fetch(`${url}/v1/models`, { method: "DELETE", headers: { authorization: "Bearer test-key" } })).status,
  ).toBe(405);
});

test("/openapi.json has every route with its body, /metrics what was done", async () => {
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { requestBody?: unknown }>>;
  };
  expect(Object.keys(paths)).toContain("/v1/models/{id}");
  expect(JSON.stringify(paths["/v1/chat/completions"]!["post"]!.requestBody)).toContain("top_logprobs");
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/msm_requests_total\{route="\/v1\/chat\/completions",status="200"\} \d/);
});

test("who would wait too long is told to come again", async () => {
  const small = await serve({ concurrency: 1, maxWaiting: 1 });
  const long = { ...ask, max_tokens: 150, temperature: 2 };
  const answers = await Promise.allSettled(Array.from({ length: 8 }, () => small.client.chat.completions.create(long)));
  const refused = answers.flatMap((answer) =>
    answer.status === "rejected" ? [answer.reason as InstanceType<typeof OpenAI.APIError>] : [],
  );
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(8);
  for (const { status, headers, code } of refused)
    expect([status, headers?.get("retry-after"), code]).toEqual([429, "1", "rate_limit_exceeded"]);
  await small.close();
});
