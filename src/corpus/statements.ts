/**
 * @file What the statements of a spec are: rules, reasons or sub-rules. Told by the structure of the text and by marker
 * words, without understanding it: a reason that no word marks is counted as something else, so figures are for
 * comparing variants that are written alike.
 */
import type { Section } from "./sections.js";

export const STATEMENT_KINDS = ["rule", "reason", "subrule", "other"] as const;
export type StatementKind = (typeof STATEMENT_KINDS)[number];

export interface Statement {
  kind: StatementKind;
  /**
   * A sentence, or its part before or after "because", "since", ...; without its label and without marks of emphasis.
   */
  text: string;
}

/** "R1.", "2)", "R1.1:", or "2.1" before a capital. */
const LABEL = /^[A-Z]{0,3}(\d+(?:\.\d+)*)(?:[.:)]\s+|\s+(?=\p{Lu}))/u;
const REASON_HEADING = /\b(?:why|reasons?|rationale)\b/;
const REASON =
  /\b(?:because|since|therefore|so that|in order (?:to|that)|(?:the|this|that|same) reasons?)\b|^why\b|\b(?:that|which|this) is why\b/i;
/** Words that begin a reason within a sentence: what stands before them is a statement of its own. */
const CONNECTIVE = /,?\s+(?=(?:because|since|so that|in order (?:to|that))\b)/i;
const NORMATIVE = /\b(?:must|shall|should|ought|never|always|do not|does not|don't|doesn't)\b/i;

/**
 * The statements of a section, each by the first of these that fits:
 *
 * - all are reasons under a heading (not the title) with "why", "reason" or "rationale";
 * - sub-rule: its label has two numbers ("R1.1");
 * - reason: it has a marker ("because", "since", "the reason", ...), or follows a reason in its list item or paragraph
 * and has no label;
 * - sub-rule: it stands in a list item within another one;
 * - rule: it begins a list item, has a label with one number, or says what must be ("must", "should", "never", "does
 * not", ...);
 * - other.
 */
export function statementsOf({ key, body }: Pick<Section, "key" | "body">): Statement[] {
  return itemsOf(body).flatMap(({ text, place }) => {
    let afterReason = false;
    return sentencesOf(text).map((sentence, i): Statement => {
      const numbers = LABEL.exec(sentence)?.[1]?.split(".").length ?? 0;
      const bare = sentence.replace(LABEL, "");
      const isReason = REASON.test(bare) || (afterReason && numbers === 0);
      const kind = ((): StatementKind => {
        if (REASON_HEADING.test(key)) return "reason";
        if (numbers >= 2) return "subrule";
        if (isReason) return "reason";
        if (place === "nested") return "subrule";
        const isRule = (place === "item" && i === 0) || numbers === 1 || NORMATIVE.test(bare);
        return isRule ? "rule" : "other";
      })();
      afterReason = kind === "reason";
      return { kind, text: bare };
    });
  });
}

interface Item {
  place: "paragraph" | "item" | "nested";
  text: string;
}

/** List items and paragraphs, each on one line. */
function itemsOf(body: string): Item[] {
  const items: Item[] = [];
  let isOpen = false;
  let outer: number | null = null;
  for (const line of body.split("\n")) {
    const [, indent, text] = /^(\s*)(?:(?:[-*+]|\d+[.)])\s+)(.*)$/.exec(line) ?? [];
    if (indent !== undefined) {
      const isNested: boolean = outer !== null && indent.length > outer;
      if (!isNested) outer = indent.length;
      items.push({ place: isNested ? "nested" : "item", text: text! });
      isOpen = true;
    } else if (line.trim() === "") isOpen = false;
    else if (isOpen) items.at(-1)!.text += ` ${line.trim()}`;
    else {
      // Indented text after a blank line goes on with a list; other text ends it.
      if (!/^\s/.test(line)) outer = null;
      items.push({ place: "paragraph", text: line.trim() });
      isOpen = true;
    }
  }
  return items;
}

/**
 * Sentences, cut before a connective. They end with a mark and a space before a capital, a digit or a quotation mark; a
 * label or a bold lead-in ("**Access.**") is none by itself.
 */
function sentencesOf(text: string): string[] {
  const plain = text
    .replace(/^\*\*([^*]+)[.:]\*\*\s+/, (lead, label: string) => (LABEL.test(`${label}. `) ? lead : ""))
    .replace(/\*+|__+|`+/g, "")
    .replace(/\s+/g, " ");
  const pieces = plain.split(/(?<=[.!?]["”'’)\]]*)\s+(?=["“‘(]?[\p{Lu}\d])/u);
  const sentences: string[] = [];
  for (const piece of pieces) {
    const before = sentences.at(-1);
    if (before !== undefined && LABEL.test(`${before} `) && !/\s/.test(before))
      sentences[sentences.length - 1] += ` ${piece}`;
    else if (piece.trim() !== "") sentences.push(piece.trim());
  }
  return sentences.flatMap((sentence) => sentence.split(CONNECTIVE));
}
