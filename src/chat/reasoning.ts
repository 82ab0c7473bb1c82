/**
 * @file Reasoning in a response: what the model was asked to keep to itself, or thinks by itself before it answers.
 */
import { parseMarkup } from "./markup.js";

/**
 * The answer alone: `text` without its reasoning, and without what stands above a closing tag that nothing opened.
 * Empty where reasoning never ends.
 */
export function withoutReasoning(text: string): string {
  const { parts, strayEnds } = parseMarkup(text, () => false);
  const reasoning = parts.filter(({ kind }) => kind === "reasoning");
  const first = reasoning[0]?.from ?? text.length;
  let answer = "";
  let at = strayEnds.findLast((end) => end <= first) ?? 0;
  for (const { from, to } of reasoning) {
    answer += text.slice(at, from);
    at = to;
  }
  return (answer + text.slice(at)).trim();
}
