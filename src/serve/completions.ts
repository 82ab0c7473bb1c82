/** @file /v1/completions: texts or token ids are continued as they stand. */
import { randomUUID } from "node:crypto";
import type { TokenLogprobs } from "../model/top-logprobs.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { allDone, type Choice, drawingOf, startAll, startChoice, type Token } from "./draw.js";
import { ApiError } from "./errors.js";
import { endStream, openEvents, sendJson } from "./events.js";
import type { Call } from "./handler.js";
import { completionLogprobs } from "./logprobs.js";
import type { CompletionBody } from "./schemas.js";

/** OpenAI's. */
const DEFAULT_MAX_TOKENS = 16;
/** Choices of one request: of all its prompts together. */
const MAX_CHOICES = 1024;

interface Part {
  text: string;
  tokens: { id: number; scores: TokenLogprobs | null }[];
}

export async function completions(call: Call, body: CompletionBody): Promise<void> {
  const { models, response } = call;
  const model = models.get(body.model);
  const { tokenizer } = model;
  const prompts = encodePrompts(tokenizer, body);
  const n = body.n ?? 1;
  if (prompts.length * n > MAX_CHOICES)
    throw new ApiError(400, `${prompts.length * n} choices, at most ${MAX_CHOICES}`, { param: "n" });
  const maxTokens = body.max_tokens ?? DEFAULT_MAX_TOKENS;
  if (maxTokens === 0 && !body.echo)
    throw new ApiError(400, "max_tokens 0 draws nothing; it goes with echo", { param: "max_tokens" });
  const top = body.logprobs ?? null;
  const drawing = drawingOf(body);
  const promptTokens = prompts.reduce((sum, ids) => sum + ids.length, 0);
  const usage = { prompt_tokens: promptTokens, completion_tokens: 0, total_tokens: promptTokens };
  call.onPrompt(promptTokens);

  const start = (ids: readonly number[], place: number, tell: (part: Part) => void): Choice => {
    const echoed: Part | null = body.echo
      ? { text: tokenizer.decode(ids), tokens: [{ id: ids[0]!, scores: null }] }
      : null;
    // The prompt is told before the first token, when all of it is scored.
    let isTold = echoed === null;
    const tellPrompt = (): void => {
      if (isTold || !echoed) return;
      isTold = true;
      tell(echoed);
    };
    const choice = startChoice(models.engine, model, models.plan.maxModelLen, {
      ids,
      maxTokens,
      ...drawing,
      place,
      top,
      onPromptToken:
        echoed && top !== null ? (scores) => echoed.tokens.push({ id: ids[echoed.tokens.length]!, scores }) : null,
      onText(text, token) {
        tellPrompt();
        if (token) count(call, usage);
        tell({ text, tokens: token ? [{ id: token.id, scores: token satisfies Token }] : [] });
      },
    });
    const done = choice.done.then((end) => {
      tellPrompt();
      return end;
    });
    done.catch(() => {});
    return { done, cancel: choice.cancel };
  };

  const head = {
    id: `cmpl-${randomUUID()}`,
    object: "text_completion",
    created: Math.floor(Date.now() / 1000),
    model: body.model,
  };
  const logprobsOf = ({ tokens }: Part, offset: number) =>
    top === null ? null : completionLogprobs(tokenizer, tokens, offset);
  const places = prompts.flatMap((ids) => Array.from({ length: n }, (_, place) => ({ ids, place })));

  if (!body.stream) {
    const parts = places.map((): Part => ({ text: "", tokens: [] }));
    const choices = startAll(
      places.map(({ ids, place }, i) => () => {
        const whole = parts[i]!;
        return start(ids, place, ({ text, tokens }) => {
          whole.text += text;
          whole.tokens.push(...tokens);
        });
      }),
    );
    call.onGone(choices);
    const ends = await allDone(choices);
    const choicesOf = parts.map((part, index) => ({
      index,
      text: part.text,
      logprobs: logprobsOf(part, 0),
      finish_reason: ends[index],
    }));
    sendJson(response, 200, { ...head, choices: choicesOf, usage });
    return;
  }

  const includesUsage = body.stream_options?.include_usage === true;
  const offsets = places.map(() => 0);
  const chunk = (index: number, part: Part, end: string | null): unknown => {
    const offset = offsets[index]!;
    offsets[index] = offset + part.text.length;
    const logprobs = part.tokens.length > 0 ? logprobsOf(part, offset) : null;
    const choice = { index, text: part.text, logprobs, finish_reason: end };
    return { ...head, choices: [choice], ...(includesUsage && { usage: null }) };
  };
  const waiting: unknown[] = [];
  let send = (value: unknown): void => void waiting.push(value);
  const choices = startAll(
    places.map(({ ids, place }, index) => () => {
      const choice = start(ids, place, (part) => {
        if (part.text !== "" || (part.tokens.length > 0 && top !== null)) send(chunk(index, part, null));
      });
      const done = choice.done.then((end) => {
        send(chunk(index, { text: "", tokens: [] }, end));
        return end;
      });
      done.catch(() => {});
      return { done, cancel: choice.cancel };
    }),
  );
  call.onGone(choices);
  const events = openEvents(response);
  send = events.send;
  for (const value of waiting) events.send(value);
  await endStream(call, events, choices, includesUsage ? { ...head, choices: [], usage } : null);
}

function count(call: Call, usage: { completion_tokens: number; total_tokens: number }): void {
  usage.completion_tokens++;
  usage.total_tokens++;
  call.onToken();
}

function encodePrompts(tokenizer: Tokenizer, { prompt, add_special_tokens }: CompletionBody): number[][] {
  const encode = (text: string): number[] => {
    const ids = tokenizer.encode(text, { addSpecialTokens: add_special_tokens !== false });
    if (ids.length === 0)
      throw new ApiError(400, "the prompt is empty, and this model has no token that begins a text", {
        param: "prompt",
      });
    return ids;
  };
  if (typeof prompt === "string") return [encode(prompt)];
  if (typeof prompt[0] === "number") return [prompt as number[]];
  return (prompt as (string | number[])[]).map((one) => (typeof one === "string" ? encode(one) : one));
}
