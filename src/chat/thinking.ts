/**
 * @file How a model is made to reason before it answers: by itself, in a scratchpad that it is told to use, or not at
 * all.
 */

import { InputError } from "../base/errors.js";
import type { Thinking } from "../config/inference.js";
import { renderChat } from "../tokenizer/chat.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

/** The instruction to think in a scratchpad; `acts` is what the agent acts by. */
export function scratchpad(acts: "action blocks" | "tool calls"): string {
  return (
    "Before you act, think in private: write your thoughts between <scratchpad> and </scratchpad>. Nobody reads " +
    `them, and ${acts} in them have no effect. ` +
    "Think about what each mail means for you and for others, what you could do and what would follow from it. " +
    "Then close the scratchpad and write your reply."
  );
}

/**
 * "auto" is native where the checkpoint's template can switch thinking on, or always has it on; a scratchpad elsewhere.
 * @throws InputError where the template cannot do what is asked for
 */
export function resolveThinking(thinking: Thinking, tokenizer: Tokenizer): Exclude<Thinking, "auto"> {
  const [on, off] = [true, false].map((enable) =>
    renderChat(tokenizer, [{ role: "user", content: "a" }], {
      addGenerationPrompt: true,
      templateOptions: { enable_thinking: enable },
    }),
  ) as [string, string];
  const canThink = on !== off || opensReasoning(on);
  const mustThink = opensReasoning(off);
  if (thinking === "auto") return canThink ? "native" : "scratchpad";
  if (thinking === "native" && !canThink)
    throw new InputError("--thinking native: the chat template knows no enable_thinking; use scratchpad or none");
  if (thinking !== "native" && mustThink)
    throw new InputError(`--thinking ${thinking}: the chat template always opens a thinking block; use native`);
  return thinking;
}

/** Whether a rendered prompt ends inside a thinking block. */
export function opensReasoning(prompt: string): boolean {
  return prompt.trimEnd().endsWith("<think>");
}
