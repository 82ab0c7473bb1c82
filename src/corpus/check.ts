/** @file Is a corpus fit to train on? Counts, and checks that pass or fail by limits that are part of the report. */
import { coverSections, type SectionCoverage } from "./coverage.js";
import { type Diversity, measureDiversity } from "./diversity.js";
import { findIdentityLeak, findPlaceholder, isTruncated } from "./faults.js";
import { findSimilar, type SimilarPair } from "./near-duplicates.js";
import { ngramsOf, wordsOf } from "./ngrams.js";
import type { PlacedText } from "./texts.js";

/** Two texts with so much in common are near-duplicates. */
const NEAR_DUPLICATE = 0.7;
const EVALUATION_WORDS = 8;
/** So many examples of a fault are named. */
const MAX_EXAMPLES = 5;

/** What a corpus may have of each fault; shares are of its texts. */
export const LIMITS = {
  /**
   * Texts that are near-duplicates of another. A text that is met twice is learnt by heart before the others are
   * learnt.
   */
  nearDuplicates: 0.01,
  /** Texts that end within a sentence. A model learns to stop there. */
  truncated: 0.005,
  placeholders: 0,
  identityLeaks: 0,
  /** Texts that share a sequence of 8 words with an evaluation. */
  evaluationOverlap: 0,
  /** Sections of the spec that less than 1 % of the texts speak of. */
  uncoveredSections: 0,
  /** Mean share of a text's sequences of 8 words that others have too. */
  repeated: 0.4,
} as const;
const MIN_COVERED = 0.01;

export interface CheckOptions {
  /** Text of the spec, for coverage. */
  spec?: string;
  /** Texts of the evaluations that must not be in the corpus. */
  against?: readonly string[];
  /** Names that the trained model goes by, and its maker's. */
  names?: readonly string[];
}

export interface Check {
  name: keyof typeof LIMITS;
  pass: boolean;
  /** What was found, as a share of the texts or a number of sections. */
  found: number;
  limit: number;
  examples: string[];
}

export interface CorpusReport {
  texts: number;
  words: number;
  medianWords: number;
  checks: Check[];
  /** The most alike pairs, near-duplicates or not. */
  mostSimilar: { first: string; second: string; similarity: number }[];
  sections: SectionCoverage[];
  diversity: Diversity;
}

/** Checks a corpus of at least one text. */
export function checkCorpus(corpus: readonly PlacedText[], options: CheckOptions = {}): CorpusReport {
  const words = corpus.map(({ text }) => wordsOf(text));
  const similar = findSimilar(words);
  const sections = options.spec === undefined ? [] : coverSections(options.spec, words);
  const texts = corpus.map(({ text }) => text);
  const diversity = measureDiversity(texts, words);
  const checks = [
    duplicateCheck(corpus, similar),
    faultCheck("truncated", corpus, (text) => (isTruncated(text) ? `... ${text.trim().slice(-60)}` : null)),
    faultCheck("placeholders", corpus, findPlaceholder),
    faultCheck("identityLeaks", corpus, (text) => findIdentityLeak(text, options.names ?? [])),
    ...(options.against ? [overlapCheck(corpus, words, options.against)] : []),
    ...(options.spec === undefined ? [] : [coverageCheck(sections, corpus.length)]),
    ...(corpus.some(({ kind }) => kind === "document") ? [checkOf("repeated", diversity.repeated, [])] : []),
  ];
  const lengths = words.map(({ length }) => length).sort((a, b) => a - b);
  return {
    texts: corpus.length,
    words: lengths.reduce((sum, length) => sum + length, 0),
    medianWords: lengths[lengths.length >> 1] ?? 0,
    checks,
    mostSimilar: similar.slice(0, MAX_EXAMPLES).map(({ first, second, similarity }) => ({
      first: corpus[first]!.where,
      second: corpus[second]!.where,
      similarity,
    })),
    sections,
    diversity,
  };
}

function checkOf(name: keyof typeof LIMITS, found: number, examples: string[]): Check {
  return { name, pass: found <= LIMITS[name], found, limit: LIMITS[name], examples: examples.slice(0, MAX_EXAMPLES) };
}

function duplicateCheck(corpus: readonly PlacedText[], similar: readonly SimilarPair[]): Check {
  const pairs = similar.filter(({ similarity }) => similarity >= NEAR_DUPLICATE);
  const involved = new Set(pairs.flatMap(({ first, second }) => [first, second]));
  const examples = pairs.map(
    ({ first, second, similarity }) => `${corpus[first]!.where} and ${corpus[second]!.where}: ${similarity.toFixed(2)}`,
  );
  return checkOf("nearDuplicates", involved.size / corpus.length, examples);
}

/** `find` says what is wrong with a text, or null. */
function faultCheck(
  name: keyof typeof LIMITS,
  corpus: readonly PlacedText[],
  find: (text: string) => string | null,
): Check {
  const examples = corpus.flatMap(({ text, where }) => {
    const fault = find(text);
    return fault === null ? [] : [`${where}: ${fault.replace(/\s+/g, " ")}`];
  });
  return checkOf(name, examples.length / corpus.length, examples);
}

function overlapCheck(corpus: readonly PlacedText[], words: readonly string[][], against: readonly string[]): Check {
  const evaluation = new Set(against.flatMap((text) => ngramsOf(wordsOf(text), EVALUATION_WORDS)));
  const examples = corpus.flatMap(({ where }, i) => {
    const shared = ngramsOf(words[i]!, EVALUATION_WORDS).find((ngram) => evaluation.has(ngram));
    return shared === undefined ? [] : [`${where}: ${shared}`];
  });
  return checkOf("evaluationOverlap", examples.length / corpus.length, examples);
}

function coverageCheck(sections: readonly SectionCoverage[], numTexts: number): Check {
  const uncovered = sections.filter(({ texts }) => texts < MIN_COVERED * numTexts || texts === 0);
  return checkOf(
    "uncoveredSections",
    uncovered.length,
    uncovered.map(({ heading, terms, texts }) => `${heading}: ${texts} texts (${terms.join(", ")})`),
  );
}
