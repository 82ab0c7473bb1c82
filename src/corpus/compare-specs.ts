/**
 * @file Variants of one spec side by side: which sections they share, how far the others differ, and whether they are
 * equally long.
 */
import { coverSections } from "./coverage.js";
import { wordsOf } from "./ngrams.js";
import { type Section, sectionsOf } from "./sections.js";
import { STATEMENT_KINDS, type Statement, type StatementKind, statementsOf } from "./statements.js";

/** Variants are equally long where the shorter one lacks at most this share of the longer one. */
export const MATCHED_LENGTH = 0.05;

export interface Variant {
  name: string;
  text: string;
  /** null: not counted. */
  tokens: number | null;
}

export interface Length {
  /** Share of the longer one that the shorter one lacks. */
  difference: number;
  matched: boolean;
}

export interface ComparedSpec {
  name: string;
  words: number;
  tokens: number | null;
  sections: number;
  counts: Record<StatementKind, number>;
  statements: (Statement & { section: string })[];
}

export interface ComparedPair {
  a: string;
  b: string;
  words: Length;
  tokens: Length | null;
  /** Of all words; the words of a section that only one has are like none. */
  similarity: number;
  /** Sections whose words are the same in the same order; headings as `a` has them. */
  identical: string[];
  changed: { heading: string; similarity: number }[];
  onlyA: string[];
  onlyB: string[];
}

export interface SpecComparison {
  specs: ComparedSpec[];
  /** Words by spec, null where it lacks the section; the heading is that of the first spec that has it. */
  sections: { heading: string; words: (number | null)[] }[];
  pairs: ComparedPair[];
  coverage: CorpusCoverage[];
}

/** Of one corpus: how many of its texts speak of each section, by spec; null where the spec lacks the section. */
interface CorpusCoverage {
  corpus: string;
  texts: number;
  sections: { heading: string; texts: (number | null)[] }[];
}

/** A variant with the words of each of its sections. */
interface ReadVariant extends Variant {
  sections: (Section & { words: string[] })[];
}

/**
 * Compares variants that each have at least one section. Capitals, punctuation around words and line ends make no
 * difference.
 */
export function compareSpecs(
  variants: readonly Variant[],
  corpora: readonly { name: string; texts: readonly string[] }[],
): SpecComparison {
  const specs = variants.map((variant): ReadVariant => {
    const sections = sectionsOf(variant.text).map((section) => ({ ...section, words: piecesOf(section.body) }));
    return { ...variant, sections };
  });
  return {
    specs: specs.map(describe),
    sections: alignSections(
      specs,
      specs.map(({ sections }) => sections.map(({ words }) => words.length)),
    ).map(({ heading, values }) => ({ heading, words: values })),
    pairs: specs.flatMap((a, i) => specs.slice(i + 1).map((b) => comparePair(a, b))),
    coverage: corpora.map(({ name, texts }) => {
      const words = texts.map(wordsOf);
      const counts = specs.map(({ text }) => coverSections(text, words).map((section) => section.texts));
      const sections = alignSections(specs, counts).map(({ heading, values }) => ({ heading, texts: values }));
      return { corpus: name, texts: texts.length, sections };
    }),
  };
}

function describe({ name, text, tokens, sections }: ReadVariant): ComparedSpec {
  const statements = sections.flatMap((section) =>
    statementsOf(section).map((statement) => ({ section: headingOf(section), ...statement })),
  );
  const counts = Object.fromEntries(
    STATEMENT_KINDS.map((kind) => [kind, statements.filter((statement) => statement.kind === kind).length]),
  ) as Record<StatementKind, number>;
  return { name, words: piecesOf(text).length, tokens, sections: sections.length, counts, statements };
}

/**
 * Sections of all specs by key, in the order in which they are first met, with the value that each spec has for its
 * section.
 */
function alignSections(
  specs: readonly ReadVariant[],
  values: readonly (readonly number[])[],
): { heading: string; values: (number | null)[] }[] {
  const rows = new Map<string, { heading: string; values: (number | null)[] }>();
  for (const [i, { sections }] of specs.entries())
    for (const [k, section] of sections.entries()) {
      const row = rows.get(section.key) ?? { heading: headingOf(section), values: specs.map(() => null) };
      row.values[i] = values[i]![k]!;
      rows.set(section.key, row);
    }
  return [...rows.values()];
}

function comparePair(a: ReadVariant, b: ReadVariant): ComparedPair {
  const pair: ComparedPair = {
    a: a.name,
    b: b.name,
    words: compareLengths(piecesOf(a.text).length, piecesOf(b.text).length),
    tokens: a.tokens === null || b.tokens === null ? null : compareLengths(a.tokens, b.tokens),
    similarity: 0,
    identical: [],
    changed: [],
    onlyA: [],
    onlyB: [],
  };
  let common = 0;
  for (const section of a.sections) {
    const { words } = section;
    const heading = headingOf(section);
    const other = b.sections.find(({ key }) => key === section.key);
    if (!other) {
      pair.onlyA.push(heading);
      continue;
    }
    const shared = commonWords(words, other.words);
    common += shared;
    const similarity = share(2 * shared, words.length + other.words.length);
    if (similarity === 1) pair.identical.push(heading);
    else pair.changed.push({ heading, similarity });
  }
  pair.onlyB = b.sections.filter(({ key }) => a.sections.every((section) => section.key !== key)).map(headingOf);
  const total = [...a.sections, ...b.sections].reduce((sum, { words }) => sum + words.length, 0);
  return { ...pair, similarity: share(2 * common, total) };
}

/** Titles differ between variants; for the others the key is what the headings have in common. */
const headingOf = ({ key, heading }: Section): string => (key === "" ? "(title)" : heading);

/**
 * Words as a reader counts them: "R1.1:", "Colby-Jack" and "$3.50" are one each, and marks of lists and headings are
 * none.
 */
function piecesOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(/\s+/)
    .map((piece) => piece.replace(/^[^\p{L}\p{N}]+|(?<=[\p{L}\p{N}])[^\p{L}\p{N}]+$/gu, ""))
    .filter((piece) => piece !== "");
}

/** Two texts without words are the same. */
function share(part: number, whole: number): number {
  return whole === 0 ? 1 : part / whole;
}

function compareLengths(a: number, b: number): Length {
  const difference = a === b ? 0 : Math.abs(a - b) / Math.max(a, b);
  return { difference, matched: difference <= MATCHED_LENGTH };
}

/** Length of the longest common subsequence, by rows of the dynamic programme. */
function commonWords(a: readonly string[], b: readonly string[]): number {
  const ids = new Map<string, number>();
  const [x, y] = [a, b].map((words) =>
    Int32Array.from(words, (word) => {
      if (!ids.has(word)) ids.set(word, ids.size);
      return ids.get(word)!;
    }),
  ) as [Int32Array, Int32Array];
  const longest = new Int32Array(y.length + 1);
  for (const word of x) {
    let diagonal = 0;
    for (let k = 1; k <= y.length; k++) {
      const above = longest[k]!;
      longest[k] = word === y[k - 1] ? diagonal + 1 : Math.max(above, longest[k - 1]!);
      diagonal = above;
    }
  }
  return longest[y.length]!;
}
