/** @file /v1/chat/completions. */
import { randomUUID } from "node:crypto";
import { opensReasoning } from "../chat/thinking.js";
import { allDone, type Choice, type ChoiceRequest, drawingOf, roomAfter, startAll, startChoice } from "./draw.js";
import { ApiError } from "./errors.js";
import { type EventStream, endStream, openEvents, sendJson } from "./events.js";
import type { Call } from "./handler.js";
import { type ChatLogprob, chatLogprob } from "./logprobs.js";
import { chatPrompt } from "./prompt.js";
import { type Delta, openReply, type ReplySettings } from "./reply.js";
import type { ChatBody } from "./schemas.js";
import type { ToolCall } from "./tool-calls.js";

interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

export async function chatCompletions(call: Call, body: ChatBody): Promise<void> {
  const { models, response } = call;
  const model = models.get(body.model);
  const { maxModelLen } = models.plan;
  if (body.max_tokens && body.max_completion_tokens && body.max_tokens !== body.max_completion_tokens)
    throw new ApiError(400, "max_tokens and max_completion_tokens differ; give one", { param: "max_tokens" });
  if (body.top_logprobs != null && !body.logprobs)
    throw new ApiError(400, "top_logprobs goes with logprobs true", { param: "top_logprobs" });
  const tools = body.tool_choice === "none" ? null : (body.tools ?? null);
  const prompt = chatPrompt(model, { ...body, tools });
  const maxTokens = body.max_completion_tokens ?? body.max_tokens ?? roomAfter(prompt.ids.length, maxModelLen);
  const reading: ReplySettings = {
    reasoning: !model.marksReasoning ? "none" : opensReasoning(prompt.text) ? "opened" : "possible",
    tools: (tools ?? []).map((tool) => tool.function.name),
  };
  const usage: Usage = { prompt_tokens: prompt.ids.length, completion_tokens: 0, total_tokens: prompt.ids.length };
  const request = {
    ids: prompt.ids,
    maxTokens,
    ...drawingOf(body),
    onPromptToken: null,
    top: body.logprobs ? (body.top_logprobs ?? 0) : null,
  };
  const head = {
    id: `chatcmpl-${randomUUID()}`,
    object: body.stream ? "chat.completion.chunk" : "chat.completion",
    created: Math.floor(Date.now() / 1000),
    model: body.model,
  };
  const start = (place: number, tell: Tell): Choice => {
    const reply = openReply(reading);
    const choice = startChoice(models.engine, model, maxModelLen, {
      ...(request as Omit<ChoiceRequest, "place" | "onText">),
      place,
      onText(text, token) {
        if (token) usage.completion_tokens++;
        if (token) usage.total_tokens++;
        if (token) call.onToken();
        const isSaid = token && request.top !== null && !model.tokenizer.stopIds.includes(token.id);
        tell(reply.push(text), isSaid ? [chatLogprob(model.tokenizer, token)] : []);
      },
    });
    const done = choice.done.then((end) => {
      tell(reply.end(), []);
      return end;
    });
    done.catch(() => {});
    return { done, cancel: choice.cancel };
  };
  const n = body.n ?? 1;
  call.onPrompt(prompt.ids.length);
  if (body.stream) await stream(call, body, head, n, start, usage, request.top !== null);
  else {
    const answers = Array.from({ length: n }, () => emptyAnswer());
    const choices = startAll(
      answers.map((answer, i) => () => start(i, (deltas, logprobs) => add(answer, deltas, logprobs))),
    );
    call.onGone(choices);
    const ends = await allDone(choices);
    sendJson(response, 200, {
      ...head,
      choices: answers.map((answer, i) => choiceOf(answer, i, ends[i]!, request.top !== null)),
      usage,
    });
  }
}

type Tell = (deltas: readonly Delta[], logprobs: readonly ChatLogprob[]) => void;

interface Answer {
  content: string;
  reasoning: string;
  calls: ToolCall[];
  logprobs: ChatLogprob[];
}

const emptyAnswer = (): Answer => ({ content: "", reasoning: "", calls: [], logprobs: [] });

function add(answer: Answer, deltas: readonly Delta[], logprobs: readonly ChatLogprob[]): void {
  for (const delta of deltas) {
    if ("content" in delta) answer.content += delta.content;
    else if ("reasoning" in delta) answer.reasoning += delta.reasoning;
    else answer.calls.push(delta.call);
  }
  answer.logprobs.push(...logprobs);
}

function choiceOf(answer: Answer, index: number, end: "stop" | "length", hasLogprobs: boolean): unknown {
  const { content, reasoning, calls, logprobs } = answer;
  return {
    index,
    message: {
      role: "assistant",
      content: calls.length > 0 && content.trim() === "" ? null : content,
      refusal: null,
      ...(reasoning.trim() !== "" && { reasoning_content: reasoning.trim() }),
      ...(calls.length > 0 && { tool_calls: calls }),
    },
    logprobs: hasLogprobs ? { content: logprobs, refusal: null } : null,
    finish_reason: calls.length > 0 && end === "stop" ? "tool_calls" : end,
  };
}

async function stream(
  call: Call,
  body: ChatBody,
  head: object,
  n: number,
  start: (place: number, tell: Tell) => Choice,
  usage: Usage,
  hasLogprobs: boolean,
): Promise<void> {
  const includesUsage = body.stream_options?.include_usage === true;
  const noUsage = includesUsage ? { usage: null } : {};
  let events: EventStream | null = null;
  const waiting: unknown[] = [];
  // What is drawn before all choices are known to be possible is told after that.
  const send = (value: unknown): void => {
    if (events) events.send(value);
    else waiting.push(value);
  };
  const callsOf = new Array<number>(n).fill(0);
  const chunk = (index: number, delta: object, logprobs: readonly ChatLogprob[], end: string | null): void => {
    const said = hasLogprobs && logprobs.length > 0 ? { content: logprobs, refusal: null } : null;
    send({ ...head, choices: [{ index, delta, logprobs: said, finish_reason: end }], ...noUsage });
  };
  const starts = Array.from({ length: n }, (_, index) => () => {
    chunk(index, { role: "assistant", content: "" }, [], null);
    const choice = start(index, (deltas, logprobs) => {
      let said = logprobs;
      for (const delta of deltas) {
        if ("content" in delta) chunk(index, { content: delta.content }, said, null);
        else if ("reasoning" in delta) chunk(index, { reasoning_content: delta.reasoning }, said, null);
        else chunk(index, { tool_calls: [{ index: callsOf[index]!++, ...delta.call }] }, said, null);
        said = [];
      }
      if (said.length > 0) chunk(index, {}, said, null);
    });
    const done = choice.done.then((end) => {
      chunk(index, {}, [], callsOf[index]! > 0 && end === "stop" ? "tool_calls" : end);
      return end;
    });
    done.catch(() => {});
    return { done, cancel: choice.cancel };
  });
  const choices = startAll(starts);
  call.onGone(choices);
  events = openEvents(call.response);
  for (const value of waiting) events.send(value);
  await endStream(call, events, choices, includesUsage ? { ...head, choices: [], usage } : null);
}
