/** @file A judge behind an OpenAI-compatible endpoint. */
import { InputError, messageOf, RunError } from "../../base/errors.js";
import type { ReplyCache } from "../../endpoint/cache.js";
import { type ChatOptions, openChat } from "../../endpoint/chat.js";
import { costOf, type Price } from "../../endpoint/cost.js";
import { RefusedError } from "../../endpoint/http.js";
import { formatForecast } from "./forecast.js";
import { type Judge, type JudgePrompt, type JudgeQuestion, type JudgeReply, keptReply, readReply } from "./judge.js";

export interface EndpointOptions extends Omit<ChatOptions, "concurrency" | "meter"> {
  cache: ReplyCache;
  /** Null: not known. */
  price: Price | null;
  /** Shows a line to a person. */
  print: (line: string) => void;
}

/** Room for models that reason before they answer. */
export const MAX_TOKENS = 2048;
/** Later attempts must be able to say something else. */
const TEMPERATURES = [0, 0.7, 0.7];
/** Most questions under way together. */
export const CONCURRENCY = 16;
/**
 * Refusals that may be a question's own: it is wrong, forbidden, too long or not fit for a reply. Any other is about
 * the account, the key or the model, and may pass.
 */
const OWN_REFUSALS = new Set([400, 403, 413, 422, 451]);
/** After so many failures in a row, retries included, the rest is not asked. */
const MAX_FAILURES_IN_ROW = 20;

export function endpointJudge({ cache, price, print, ...options }: EndpointOptions): Judge {
  const { model } = options;
  const { baseUrl } = options.service;
  const chat = openChat({ ...options, concurrency: CONCURRENCY });
  const used = { cached: 0, failures: 0 };
  const underWay = new Map<string, Promise<JudgeReply>>();
  const inRow = { failures: 0, reason: "" };
  const requestOf = (prompt: JudgePrompt, attempt: number) => chatRequest(baseUrl, model, prompt, attempt);

  const askPlain = (): Promise<unknown> => chat.complete(requestOf({ system: "", user: "Say: ready" }, 0));

  /**
   * One short request: says what is wrong with key, model or address, and finds out which parameters the endpoint
   * knows.
   */
  const check = async (): Promise<void> => {
    try {
      await askPlain();
    } catch (error) {
      const message = `--judge openai:${model}: ${messageOf(error)}`;
      throw error instanceof RefusedError ? new InputError(message) : new RunError(message);
    }
  };
  let checked: Promise<void> | undefined;
  const checkOnce = (): Promise<void> => {
    checked ??= check();
    return checked;
  };

  const ask = async (question: JudgeQuestion<unknown>, attempt: number): Promise<JudgeReply> => {
    if (inRow.failures >= MAX_FAILURES_IN_ROW)
      return { error: `not asked after ${inRow.failures} failures in a row, the last: ${inRow.reason}`, isOpen: true };
    const request = requestOf(question, attempt);
    try {
      const { text, finish } = await chat.complete(request);
      inRow.failures = 0;
      const reply = { text, finish };
      if (readReply(question, reply) !== null) await cache.save(request, reply);
      return reply;
    } catch (error) {
      inRow.failures++;
      inRow.reason = messageOf(error);
      used.failures++;
      return { error: inRow.reason, isOpen: !(error instanceof RefusedError && OWN_REFUSALS.has(error.status)) };
    }
  };

  /** The same question twice is asked once. */
  const askOnce = (question: JudgeQuestion<unknown>, attempt: number): Promise<JudgeReply> => {
    const key = JSON.stringify(requestOf(question, attempt));
    const asked = underWay.get(key) ?? ask(question, attempt).finally(() => underWay.delete(key));
    underWay.set(key, asked);
    return asked;
  };

  return {
    get description() {
      const temperature = chat.takesTemperature ? 0 : null;
      return { kind: "endpoint", baseUrl, model, maxTokens: MAX_TOKENS, temperature };
    },
    check: checkOnce,
    async ask(questions, attempt, onProgress) {
      const replies = questions.map((question) => keptReply(cache, question, attempt, requestOf));
      const open = replies.flatMap((reply, i) => (reply === null ? [i] : []));
      used.cached += questions.length - open.length;
      if (attempt === 0) print(formatForecast(model, questions, open, MAX_TOKENS, price));
      if (open.length > 0) await checkOnce();
      let done = questions.length - open.length;
      await inParallel(open, CONCURRENCY, async (i) => {
        replies[i] = await askOnce(questions[i]!, attempt);
        onProgress(++done);
      });
      const all = replies as JudgeReply[];
      const isRefused = (reply: JudgeReply): boolean => "error" in reply && !reply.isOpen;
      // A refusal is the question's own where the service takes another; otherwise the account or the key has come to
      // its end.
      if (!all.some(isRefused)) return all;
      const isServing = await askPlain().then(
        () => true,
        () => false,
      );
      return isServing ? all : all.map((reply) => (isRefused(reply) ? { ...reply, isOpen: true } : reply));
    },
    usage: () => ({
      ...chat.used,
      ...used,
      cost: price && costOf(price, chat.used.promptTokens, chat.used.completionTokens),
    }),
    close: () => {},
  };
}

/** All that a reply depends on. */
function chatRequest(baseUrl: string, model: string, { system, user }: JudgePrompt, attempt: number) {
  const messages = [...(system === "" ? [] : [{ role: "system", content: system }]), { role: "user", content: user }];
  const temperature = TEMPERATURES[Math.min(attempt, TEMPERATURES.length - 1)]!;
  return { baseUrl, model, messages, temperature, maxTokens: MAX_TOKENS, attempt };
}

async function inParallel<T>(items: readonly T[], workers: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
