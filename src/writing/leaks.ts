/** @file Held-out claims in texts that must not have them. */
import { countTerms, stem } from "../corpus/coverage.js";
import { ngramsOf, wordsOf } from "../corpus/ngrams.js";
import type { Claim } from "./claims.js";

const VERBATIM_WORDS = 5;
/** A text that has so many of a claim's subject words, and one that no trained claim has, says it in other words. */
const PARAPHRASE = 0.7;

interface HeldOut {
  claim: Claim;
  sequences: string[];
  terms: string[];
  own: Set<string>;
  names: Set<string>;
}

/** The first held-out claim that a text repeats: five of its words in a row, its names, or most of what it says. */
export function openLeakCheck(claims: readonly Claim[], subject: string): (text: string) => Claim | null {
  const of = (split: Claim["split"]) => claims.filter((claim) => claim.split === split);
  const trained = of("trained").map(({ words, what, why, limit }) => [words, what, why, limit].join(" "));
  const trainedWords = trained.map(wordsOf);
  const taught = new Set([...trainedWords, wordsOf(subject)].flatMap((words) => [...countTerms(words).keys()]));
  const taughtNames = new Set([...trained, subject].flatMap(wordsOf));
  const taughtSequences = new Set(trainedWords.flatMap((words) => ngramsOf(words, VERBATIM_WORDS)));
  const heldout = of("heldout").map((claim): HeldOut => {
    const terms = [...countTerms(wordsOf(claim.what)).keys()].filter(
      (term) => !wordsOf(subject).map(stem).includes(term),
    );
    const said = [claim.words, claim.what].flatMap((text) => ngramsOf(wordsOf(text), VERBATIM_WORDS));
    return {
      claim,
      terms,
      sequences: said.filter((sequence) => !taughtSequences.has(sequence)),
      own: new Set(terms.filter((term) => !taught.has(term))),
      names: new Set(namesIn(`${claim.words} ${claim.what}`).filter((name) => !taughtNames.has(name))),
    };
  });
  return (text) => {
    const words = wordsOf(text);
    const sequences = new Set(ngramsOf(words, VERBATIM_WORDS));
    const stems = new Set(words.map(stem));
    const present = new Set(words);
    const repeats = ({ sequences: own, names, terms, own: rare }: HeldOut): boolean => {
      if (own.some((sequence) => sequences.has(sequence)) || [...names].some((name) => present.has(name))) return true;
      const found = terms.filter((term) => stems.has(term));
      return found.length >= PARAPHRASE * terms.length && found.some((term) => rare.has(term));
    };
    return heldout.find(repeats)?.claim ?? null;
  };
}

/** Words with a capital within a sentence, in lower case. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/(?<=[\p{Ll}\p{N},;:)]\s)\p{Lu}[\p{L}\p{N}]+/gu)].map(([name]) => name.toLowerCase());
}

/** The held-out claims that share most subject words with `text`, for a reader to look at. */
export function nearestClaims(claims: readonly Claim[], text: string, count: number): Claim[] {
  const present = new Set(wordsOf(text).map(stem));
  const near = (claim: Claim): number =>
    [...countTerms(wordsOf(claim.what)).keys()].filter((term) => present.has(term)).length;
  return claims
    .map((claim, i) => ({ claim, i, near: near(claim) }))
    .sort((a, b) => b.near - a.near || a.i - b.i)
    .slice(0, count)
    .map(({ claim }) => claim);
}
