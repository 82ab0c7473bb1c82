/** @file What the body of a chat completion says; services differ in its form. */
import { RunError } from "../base/errors.js";

export interface ChatReply {
  /** The answer, or the words in which it is refused; empty where there is none. */
  text: string;
  /** What a reasoning model thought before it, where the service tells. */
  reasoning: string;
  /** As the service names it: "stop", "length", "content_filter". */
  finish: string | null;
  /** Null: not told. */
  promptTokens: number | null;
  completionTokens: number | null;
}

/** Whether the reply ends before its end: at the token limit, or by a filter. */
export function isCutOff(finish: string | null): boolean {
  return finish !== null && /length|max_?(output_)?tokens|content_?filter|^refusal$/i.test(finish);
}

/** Throws RunError with the body's own words where it is no chat completion. */
export function readChatReply(body: unknown): ChatReply {
  const choice = itemOf(fieldOf(body, "choices"), 0);
  const message = fieldOf(choice, "message");
  if (typeof message !== "object" || message === null) throw new RunError(`no message in ${quote(body)}`);
  const content = partsOf(fieldOf(message, "content"));
  if (content === null) throw new RunError(`content is neither text nor parts in ${quote(body)}`);
  const refusal = fieldOf(message, "refusal");
  const reasoning = [fieldOf(message, "reasoning_content"), fieldOf(message, "reasoning"), content.reasoning];
  const finish = fieldOf(choice, "finish_reason");
  const usage = fieldOf(body, "usage");
  return {
    text: content.text === "" && typeof refusal === "string" ? refusal : content.text,
    reasoning: reasoning.find((one): one is string => typeof one === "string" && one !== "") ?? "",
    finish: typeof finish === "string" ? finish : null,
    promptTokens: countOf(fieldOf(usage, "prompt_tokens") ?? fieldOf(usage, "input_tokens")),
    completionTokens: countOf(fieldOf(usage, "completion_tokens") ?? fieldOf(usage, "output_tokens")),
  };
}

/**
 * A reply in Anthropic's form: parts, stop_reason, usage. Throws RunError with the body's own words where it is none.
 */
export function readMessage(body: unknown): ChatReply {
  const parts = fieldOf(body, "content");
  const content = Array.isArray(parts) ? partsOf(parts) : null;
  if (content === null) throw new RunError(`no content in ${quote(body)}`);
  const finish = fieldOf(body, "stop_reason");
  const usage = fieldOf(body, "usage");
  return {
    ...content,
    finish: typeof finish === "string" ? finish : null,
    promptTokens: countOf(fieldOf(usage, "input_tokens")),
    completionTokens: countOf(fieldOf(usage, "output_tokens")),
  };
}

/**
 * The error that a body holds, whatever the status of the response: {error: {code, message}}, {error: "..."}, the
 * same in its first choice, or vLLM's {object: "error", code, message}.
 * Null where it holds none. `status` is null where no code is one of HTTP.
 */
export function errorIn(body: unknown): { status: number | null; message: string } | null {
  const choice = itemOf(fieldOf(body, "choices"), 0);
  const own = fieldOf(body, "object") === "error" ? body : undefined;
  const error = [fieldOf(body, "error"), fieldOf(choice, "error"), own].find(saysSomething);
  if (error === undefined) return fieldOf(choice, "finish_reason") === "error" ? unknownError(body) : null;
  if (typeof error === "string") return { status: null, message: error };
  const codes = ["code", "status", "status_code"].map((name) => Number(fieldOf(error, name)));
  const message = fieldOf(error, "message");
  return {
    status: codes.find((code) => code >= 400 && code < 600) ?? null,
    message: typeof message === "string" && message !== "" ? message : quote(error),
  };
}

/** Some services send an empty error beside every reply. */
function saysSomething(error: unknown): boolean {
  return Boolean(error) && !(typeof error === "object" && Object.keys(error as object).length === 0);
}

function unknownError(body: unknown): { status: null; message: string } {
  return { status: null, message: quote(body) };
}

/**
 * Text, nothing, or a list of parts: {type: "text", text}, and {type: "thinking" | "reasoning", ...}. Null for
 * anything else.
 */
function partsOf(content: unknown): { text: string; reasoning: string } | null {
  if (content === null || content === undefined) return { text: "", reasoning: "" };
  if (typeof content === "string") return { text: content, reasoning: "" };
  if (!Array.isArray(content)) return null;
  const isReasoning = (part: unknown): boolean => /thinking|reasoning/.test(String(fieldOf(part, "type")));
  return {
    text: content.map((part) => (isReasoning(part) ? "" : textOf(part))).join(""),
    reasoning: content.map((part) => (isReasoning(part) ? textOf(part) : "")).join(""),
  };
}

function textOf(part: unknown): string {
  if (typeof part === "string") return part;
  if (Array.isArray(part)) return part.map(textOf).join("");
  for (const name of ["text", "thinking", "reasoning"]) {
    const value = fieldOf(part, name);
    if (value !== undefined && value !== null) return textOf(value);
  }
  return "";
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function itemOf(value: unknown, i: number): unknown {
  return Array.isArray(value) ? value[i] : undefined;
}

function countOf(value: unknown): number | null {
  const count = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof count === "number" && Number.isFinite(count) && count >= 0 ? count : null;
}

function quote(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 300);
}
