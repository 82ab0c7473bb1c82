/** @file Which sections of a spec a corpus speaks of. */
import { wordsOf } from "./ngrams.js";
import { sectionsOf } from "./sections.js";

/** Words that tell a section from the others, by frequency times rarity among the sections (tf-idf). */
const MAX_TERMS = 12;
/** So many of them make a text one that speaks of the section. */
const MIN_TERMS = 3;
const MIN_LETTERS = 4;

/** Frequent words without a subject of their own. */
const STOP_WORDS = new Set(
  (
    "about above after again against also although always among another anybody anyone anything because been " +
    "before being below between both cannot " +
    "could does doing down during each either else even ever every everybody everyone everything from further " +
    "have having here into itself just less " +
    "like many might more most much must neither never nobody none nothing often once only other others over own " +
    "rather same shall should since some " +
    "somebody someone something still such than that their them themselves then there these they thing this " +
    "those though through together under until " +
    "upon very what when where whether which while whom whose will with within without would your yours"
  ).split(" "),
);

export interface SectionCoverage {
  heading: string;
  /** Stems. */
  terms: string[];
  /** Texts with at least three of the terms. */
  texts: number;
}

/**
 * For each section of a Markdown spec that has text of its own: its key terms, and how many of `texts` (lists of words)
 * hold them.
 */
export function coverSections(spec: string, texts: readonly (readonly string[])[]): SectionCoverage[] {
  const sections = sectionsOf(spec);
  const counts = sections.map(({ body }) => countTerms(wordsOf(body)));
  const stems = texts.map((words) => new Set(words.map(stem)));
  return sections.map(({ heading }, i) => {
    const weighted = [...counts[i]!].map(([term, count]): [string, number] => [
      term,
      count * Math.log((1 + sections.length) / counts.filter((terms) => terms.has(term)).length),
    ]);
    const terms = weighted
      .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
      .slice(0, MAX_TERMS)
      .map(([term]) => term);
    const needed = Math.min(MIN_TERMS, terms.length);
    const covered = stems.filter((words) => terms.filter((term) => words.has(term)).length >= needed);
    return { heading, terms, texts: covered.length };
  });
}

/** Subject words by their stem, with how often they occur. */
export function countTerms(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) {
    if (word.length < MIN_LETTERS || STOP_WORDS.has(word)) continue;
    const term = stem(word);
    counts.set(term, (counts.get(term) ?? 0) + 1);
  }
  return counts;
}

/** "price" and "prices", "prefer" and "preferred" are one term; no more grammar than that. */
export function stem(word: string): string {
  const bare = word.replace(/['’]s$/, "").replace(/(?<=\p{L}{3})(?:ing|ed|es|s|e)$/u, "");
  return bare.replace(/([^aeiou])\1$/u, "$1");
}
