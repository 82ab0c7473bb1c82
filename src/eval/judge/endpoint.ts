/** @file A judge behind an OpenAI-compatible endpoint: POST {base}/chat/completions. */
import { z } from "zod";
import { InputError, messageOf, RunError } from "../../base/errors.js";
import { checkJson } from "../../base/json.js";
import { type ReplyCache, storedReply } from "../../endpoint/cache.js";
import { costOf, type Price } from "../../endpoint/cost.js";
import { postJson, RefusedError } from "../../endpoint/http.js";
import { openRate } from "../../endpoint/rate.js";
import { formatForecast } from "./forecast.js";
import { type Judge, type JudgePrompt, type JudgeReply, replyOf } from "./judge.js";

export interface EndpointOptions {
  /** Without a slash at the end. */
  baseUrl: string;
  /** Undefined: none is sent. It is never stored or shown. */
  apiKey: string | undefined;
  model: string;
  cache: ReplyCache;
  requestsPerMinute: number;
  /** Null: not known. */
  price: Price | null;
  /** Shows a line to a person. */
  print: (line: string) => void;
  timeoutMs?: number;
  retries?: number;
  backoffMs?: number;
}

/** Room for models that reason before they answer. */
export const MAX_TOKENS = 2048;
/** Later attempts must be able to say something else. */
const TEMPERATURES = [0, 0.7, 0.7];
/** Questions under way together. */
export const CONCURRENCY = 16;
/** After so many failures in a row, retries included, the rest is not asked. */
const MAX_FAILURES_IN_ROW = 20;

const replySchema = z.object({
  choices: z
    .array(z.object({ message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }) }))
    .min(1),
  usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }).nullish(),
});

export function endpointJudge(options: EndpointOptions): Judge {
  const { baseUrl, apiKey, model, cache, requestsPerMinute, price, print } = options;
  const { timeoutMs = 180_000, retries = 6, backoffMs = 1000 } = options;
  const url = `${baseUrl}/chat/completions`;
  const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const rate = openRate(requestsPerMinute);
  const used = { requests: 0, cached: 0, retries: 0, failures: 0, promptTokens: 0, completionTokens: 0 };
  const underWay = new Map<string, Promise<string>>();
  let dialect: Dialect = { tokens: "max_tokens", temperature: true };
  let failuresInRow = 0;

  const post = async (request: ChatRequest): Promise<string> => {
    used.requests++;
    const onRetry = (): void => void used.retries++;
    const body = bodyOf(request, dialect);
    const json = await postJson(url, body, { headers, rate, timeoutMs, retries, backoffMs, onRetry });
    const { choices, usage } = checkJson(replySchema, json, `the reply of ${url}`);
    used.promptTokens += usage?.prompt_tokens ?? 0;
    used.completionTokens += usage?.completion_tokens ?? 0;
    const { content, refusal } = choices[0]!.message;
    return content ?? refusal ?? "";
  };

  /**
   * One short request: says what is wrong with key, model or address, and finds out which parameters the endpoint
   * knows.
   */
  const check = async (): Promise<void> => {
    const request = requestOf(baseUrl, model, { system: "", user: "Say: ready" }, 0);
    for (;;) {
      try {
        await post(request);
        return;
      } catch (error) {
        const other = error instanceof RefusedError ? otherDialect(dialect, error) : null;
        if (other === null) {
          const message = `--judge openai:${model}: ${messageOf(error)}`;
          throw error instanceof RefusedError ? new InputError(message) : new RunError(message);
        }
        dialect = other;
      }
    }
  };

  let checked: Promise<void> | undefined;
  const checkOnce = (): Promise<void> => {
    checked ??= check();
    return checked;
  };

  const ask = async (request: ChatRequest): Promise<string> => {
    if (failuresInRow >= MAX_FAILURES_IN_ROW) throw new RunError(`not asked: ${failuresInRow} failures in a row`);
    try {
      const reply = await post(request);
      failuresInRow = 0;
      await cache.save(request, reply);
      return reply;
    } catch (error) {
      failuresInRow++;
      throw error;
    }
  };

  /** The same question twice is asked once. */
  const askOnce = (request: ChatRequest): Promise<string> => {
    const key = JSON.stringify(request);
    const asked = underWay.get(key) ?? ask(request).finally(() => underWay.delete(key));
    underWay.set(key, asked);
    return asked;
  };

  return {
    get description() {
      return { kind: "endpoint", baseUrl, model, maxTokens: MAX_TOKENS, temperature: dialect.temperature ? 0 : null };
    },
    check: checkOnce,
    async ask(prompts, attempt, onProgress) {
      const requests = prompts.map((prompt) => requestOf(baseUrl, model, prompt, attempt));
      const replies = requests.map((request): JudgeReply | null => storedReply(cache, request));
      const open = replies.flatMap((reply, i) => (reply === null ? [i] : []));
      used.cached += requests.length - open.length;
      if (attempt === 0) print(formatForecast(model, prompts, open, MAX_TOKENS, price));
      if (open.length > 0) await checkOnce();
      let done = requests.length - open.length;
      await inParallel(open, CONCURRENCY, async (i) => {
        replies[i] = await replyOf(() => askOnce(requests[i]!));
        if ("error" in replies[i]) used.failures++;
        onProgress(++done);
      });
      return replies as JudgeReply[];
    },
    usage: () => ({ ...used, cost: price && costOf(price, used.promptTokens, used.completionTokens) }),
    close: () => {},
  };
}

/** All that a reply depends on. */
interface ChatRequest {
  baseUrl: string;
  model: string;
  messages: { role: string; content: string }[];
  temperature: number;
  maxTokens: number;
  attempt: number;
}

function requestOf(baseUrl: string, model: string, { system, user }: JudgePrompt, attempt: number): ChatRequest {
  const messages = [...(system === "" ? [] : [{ role: "system", content: system }]), { role: "user", content: user }];
  const temperature = TEMPERATURES[Math.min(attempt, TEMPERATURES.length - 1)]!;
  return { baseUrl, model, messages, temperature, maxTokens: MAX_TOKENS, attempt };
}

/** Endpoints differ in how the token limit is called, and some models have no temperature. */
interface Dialect {
  tokens: "max_tokens" | "max_completion_tokens";
  temperature: boolean;
}

function bodyOf({ model, messages, temperature, maxTokens }: ChatRequest, dialect: Dialect): Record<string, unknown> {
  return { model, messages, [dialect.tokens]: maxTokens, ...(dialect.temperature && { temperature }) };
}

/** What to try after a refusal that names a parameter; null: nothing. */
function otherDialect(dialect: Dialect, { status, message }: RefusedError): Dialect | null {
  if (status !== 400 && status !== 422) return null;
  if (dialect.tokens === "max_tokens" && message.includes("max_completion_tokens"))
    return { ...dialect, tokens: "max_completion_tokens" };
  return dialect.temperature && message.includes("temperature") ? { ...dialect, temperature: false } : null;
}

async function inParallel<T>(items: readonly T[], workers: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
