/** @file Reasoning in a response: what the model was asked to keep to itself, or thinks by itself before it answers. */

const TAGS = "think|thinking|scratchpad";
export const REASONING_OPEN = `<(?:${TAGS})>`;
const OPEN = new RegExp(REASONING_OPEN, "gi");
const CLOSE = new RegExp(`</(?:${TAGS})>`, "gi");

/** Where the reasoning at `at` ends, its closing tag included; null where it never does. */
export function reasoningEnd(text: string, at: number): number | null {
  CLOSE.lastIndex = at;
  return CLOSE.test(text) ? CLOSE.lastIndex : null;
}

/**
 * Where a closing tag ends that comes before any opening one: what is above it was meant as reasoning. 0: there is
 * none.
 */
export function strayReasoningEnd(text: string): number {
  const end = reasoningEnd(text, 0);
  if (end === null) return 0;
  OPEN.lastIndex = 0;
  const open = OPEN.exec(text);
  return open && open.index < end ? 0 : end;
}

/** The answer alone: `text` without its reasoning. Empty where reasoning never ends. */
export function withoutReasoning(text: string): string {
  let [answer, at] = ["", strayReasoningEnd(text)];
  for (;;) {
    OPEN.lastIndex = at;
    const open = OPEN.exec(text);
    if (!open) return (answer + text.slice(at)).trim();
    answer += text.slice(at, open.index);
    at = reasoningEnd(text, OPEN.lastIndex) ?? text.length;
  }
}
