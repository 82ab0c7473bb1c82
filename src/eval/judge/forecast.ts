/** @file What judging by an endpoint will take. */
import { CHARACTERS_A_TOKEN, costOf, type Price } from "../../endpoint/cost.js";
import type { JudgePrompt } from "./judge.js";

/** What asking `open` (indices of `prompts`) will take, before anything is spent. */
export function formatForecast(
  model: string,
  prompts: readonly JudgePrompt[],
  open: readonly number[],
  maxTokens: number,
  price: Price | null,
): string {
  const characters = open.reduce((sum, i) => sum + prompts[i]!.system.length + prompts[i]!.user.length, 0);
  const input = Math.ceil(characters / CHARACTERS_A_TOKEN);
  const output = open.length * maxTokens;
  const cost = price
    ? `about $${costOf(price, input, 0).toFixed(2)} for what is sent, at most ` +
      `$${costOf(price, 0, output).toFixed(2)} for replies`
    : "cost not known (--judge-price)";
  return (
    `judge ${model}: ${prompts.length} questions, ${prompts.length - open.length} answered before; about ` +
    `${input} tokens to send, at most ${output} in replies; ${cost}`
  );
}
