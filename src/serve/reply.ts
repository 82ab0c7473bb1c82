/** @file What an assistant writes, taken apart as it comes: reasoning, content, calls of tools. */
import { heldBack } from "../chat/continuation.js";
import { callsOfJson, type ToolCall } from "./tool-calls.js";

export type Delta = { reasoning: string } | { content: string } | { call: ToolCall };

export interface ReplySettings {
  /** The prompt has opened the reasoning; it may begin with its tag; or it is a part of the content. */
  reasoning: "opened" | "possible" | "none";
  /** Names of the functions that it may call. */
  tools: readonly string[];
}

export interface ReplyReader {
  push(text: string): Delta[];
  end(): Delta[];
}

const THINK = ["<think>", "</think>"] as const;
/** Qwen's and Hermes's. */
const CALL = ["<tool_call>", "</tool_call>"] as const;

type State = "start" | "reasoning" | "after reasoning" | "content" | "call" | "whole call";

export function openReply({ reasoning, tools }: ReplySettings): ReplyReader {
  let state: State = reasoning === "opened" ? "reasoning" : reasoning === "possible" ? "start" : "after reasoning";
  /** What has come and is not told yet. */
  let held = "";
  let hasCalls = false;

  /** Tells `held` up to `mark`, or as much of it as cannot be the mark's beginning; whether the mark was there. */
  const upTo = (mark: string, tell: (text: string) => void): boolean => {
    const at = held.indexOf(mark);
    const known = at >= 0 ? at : held.length - heldBack(held, [mark]);
    if (known > 0) tell(held.slice(0, known));
    held = held.slice(at >= 0 ? at + mark.length : known);
    return at >= 0;
  };
  const tellContent = (out: Delta[], text: string): void => {
    if (text !== "" && !(hasCalls && text.trim() === "")) out.push({ content: text });
  };

  /** Goes one state on; false where more has to come first. */
  const advance = (out: Delta[], isEnd: boolean): boolean => {
    switch (state) {
      case "start": {
        const text = held.trimStart();
        if (!isEnd && text.length < THINK[0].length && THINK[0].startsWith(text)) return false;
        state = text.startsWith(THINK[0]) ? "reasoning" : "after reasoning";
        if (state === "reasoning") held = text.slice(THINK[0].length);
        return true;
      }
      case "reasoning": {
        // The line breaks around reasoning are the template's.
        const isClosed = upTo(THINK[1], (text) => out.push({ reasoning: text }));
        if (isClosed) [state, held] = ["after reasoning", held];
        return isClosed;
      }
      case "after reasoning": {
        const text = reasoning === "none" ? held : held.trimStart();
        if (!isEnd && held.trimStart() === "") return false;
        const isJson = tools.length > 0 && (text.trimStart().startsWith("{") || text.trimStart().startsWith("["));
        held = text;
        state = isJson ? "whole call" : "content";
        return true;
      }
      case "content": {
        if (tools.length === 0) {
          tellContent(out, held);
          held = "";
          return false;
        }
        const isCall = upTo(CALL[0], (text) => tellContent(out, text));
        if (isCall) state = "call";
        return isCall;
      }
      case "call": {
        const at = held.indexOf(CALL[1]);
        if (at < 0) return false;
        const inner = held.slice(0, at);
        held = held.slice(at + CALL[1].length);
        const calls = callsOfJson(inner, tools);
        if (calls) for (const call of calls) out.push({ call });
        else out.push({ content: CALL[0] + inner + CALL[1] });
        hasCalls ||= calls !== null;
        state = "content";
        return true;
      }
      case "whole call": {
        if (!isEnd) return false;
        // Llama 3's: the whole answer is the call.
        const calls = callsOfJson(held, tools);
        if (calls) for (const call of calls) out.push({ call });
        else tellContent(out, held);
        held = "";
        return false;
      }
    }
  };
  return {
    push(text) {
      held += text;
      const out: Delta[] = [];
      while (advance(out, false));
      return out;
    },
    end() {
      const out: Delta[] = [];
      while (advance(out, true));
      if (held !== "") {
        if (state === "reasoning") out.push({ reasoning: held });
        else tellContent(out, (state === "call" ? CALL[0] : "") + held);
      }
      held = "";
      return out;
    },
  };
}
