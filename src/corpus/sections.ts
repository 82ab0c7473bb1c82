/** @file The sections of a spec: a Markdown file with headings. */
import { wordsOf } from "./ngrams.js";

const BEFORE_HEADINGS = "(before the first heading)";

export interface Section {
  heading: string;
  /**
   * The same for sections that variants of a spec share: the words of its heading and of those above it. The title of a
   * spec is none of them, whatever it says.
   */
  key: string;
  /** Text up to the next heading. */
  body: string;
}

/**
 * Sections that have text of their own, in order. Headings are lines that begin with one to six "#", outside fenced
 * code.
 */
export function sectionsOf(spec: string): Section[] {
  const { parts, headings } = splitAtHeadings(spec);
  const tops = headings.filter(({ level }) => level === 1);
  // One top heading, at the beginning, is the title.
  const hasTitle = tops.length === 1 && headings[0] === tops[0];
  const above: string[] = [];
  const seen = new Map<string, number>();
  const sections = parts.map(({ level, heading, lines }) => {
    above.length = level;
    if (level > 0) above[level] = hasTitle && level === 1 ? "" : wordsOf(heading).join(" ");
    const path = level === 0 ? heading : above.filter((words) => words).join(" > ");
    const count = (seen.get(path) ?? 0) + 1;
    seen.set(path, count);
    return { heading, key: count === 1 ? path : `${path} (${count})`, body: lines.join("\n").trim() };
  });
  return sections.filter(({ body }) => body !== "");
}

interface Part {
  /** 0: before the first heading. */
  level: number;
  heading: string;
  lines: string[];
}

function splitAtHeadings(spec: string): { parts: Part[]; headings: Part[] } {
  const parts: Part[] = [{ level: 0, heading: BEFORE_HEADINGS, lines: [] }];
  let fence: string | null = null;
  for (const line of spec.split(/\r?\n/)) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark && fence === null) fence = mark;
    else if (mark && fence !== null && mark.startsWith(fence)) fence = null;
    const [, marks, text] = (fence === null && /^(#{1,6})\s+(\S.*)$/.exec(line)) || [];
    // A heading may be closed by the marks that open it.
    const heading = text?.trim().replace(/(?<=\s)#+$/, "");
    if (marks) parts.push({ level: marks.length, heading: heading!.trim(), lines: [] });
    else parts.at(-1)!.lines.push(line);
  }
  return { parts, headings: parts.slice(1) };
}
