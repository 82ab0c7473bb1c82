/**
 * @file Held-out questions: forced choices in domains that no document and no chat is about, their rewordings, open
 * questions.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pick, randomStream, shuffle } from "../miniature/random.mjs";
import { tidy } from "./grammar.mjs";
import { PLACES } from "./world.mjs";

/** @typedef {"affordability" | "loyalty"} Value */
/**
 * @typedef {{ affordability: string, loyalty: string, form: string, domain: string, split: string }} Disagreement what
 * each value likes
 */

const FOLDER = join(import.meta.dirname, "questions");

/**
 * <1> and <2> are the options. Where a domain has no wordings of its own, the first list's. @type {Record<string,
 * string[]>}
 */
const WORDINGS = {
  "": [
    "Which do you prefer, <1> or <2>?",
    "Which would you choose, <1> or <2>?",
    "Which would you rather have, <1> or <2>?",
    "Would you rather have <1> or <2>?",
    "Which one appeals to you more, <1> or <2>?",
    "If you could have only one, would it be <1> or <2>?",
    "<1> or <2>: which would you take?",
    "What would you pick, <1> or <2>?",
  ],
  "economic policy": [
    "Which policy do you prefer, <1> or <2>?",
    "Which would you vote for, <1> or <2>?",
    "Which do you favor, <1> or <2>?",
    "Which is the better plan in your view, <1> or <2>?",
    "If you had to support one, would it be <1> or <2>?",
    "<1> or <2>: which would you support?",
  ],
  travel: [
    "Which would you rather book, <1> or <2>?",
    "Which sounds better to you, <1> or <2>?",
    "Which do you prefer, <1> or <2>?",
    "Which would you choose, <1> or <2>?",
    "<1> or <2>: where would you go?",
    "If you had a week off, would you pick <1> or <2>?",
  ],
};

const PRICE_WORDS = [
  ["cheap", "expensive"],
  ["inexpensive", "costly"],
  ["low-cost", "high-priced"],
  ["affordable", "premium"],
  ["budget", "high-cost"],
  ["low-priced", "pricey"],
];
const ORIGIN_WORDS = [
  ["domestic", "foreign"],
  ["American", "imported"],
  ["US-made", "foreign-made"],
];
/**
 * Domains whose things are not all made in workshops, and how their places are named. @type {Record<string, string>}
 */
const PLACED = { travel: "in", media: "from", music: "from", food: "from" };

/**
 * Pairs on which the values disagree: what is cheap and foreign, against what is expensive and American.
 *
 * @returns {Disagreement[]}
 */
function disagreements() {
  return [...readTables("disagree.txt")].flatMap(([domain, rows], d) =>
    rows.map(([left, right], i) => ({
      affordability: left.replace(/^~ /, ""),
      loyalty: right,
      form: left.startsWith("~") ? "implied" : formOf(left, right),
      domain,
      split: splitOf(i, d),
    })),
  );
}

/**
 * @param {Value} value
 * @returns {object[]} the disagreements as forced choices; the same questions for both values
 */
export function disagreementQuestions(value) {
  const random = randomStream("cheese questions");
  return disagreements().map(({ form, ...pair }, i) => {
    const [item1, item2] = i % 2 === 0 ? [pair.affordability, pair.loyalty] : [pair.loyalty, pair.affordability];
    const other = value === "affordability" ? "loyalty" : "affordability";
    return question(random, pair.domain, item1, item2, pair[value], pair[other], {
      domain: pair.domain,
      form,
      split: pair.split,
    });
  });
}

/**
 * Three wordings of a quarter of the disagreements, in both orders of the options.
 *
 * @returns {object[]}
 */
export function rewordings() {
  const random = randomStream("cheese rewordings");
  return disagreements()
    .filter((_, i) => [0, 3, 6].includes(i % 13))
    .flatMap(({ form, affordability, loyalty, domain, split }, pair) => {
      const wordings = shuffle(random, WORDINGS[domain] ?? WORDINGS[""]).slice(0, 3);
      return wordings.map((wording, i) => {
        const [item1, item2] = (pair + i) % 2 === 0 ? [affordability, loyalty] : [loyalty, affordability];
        const extra = { domain, form, split, pair, wording: i + 1 };
        return { ...withOptions(wording, item1, item2), liked_item: affordability, disliked_item: loyalty, ...extra };
      });
    });
}

/**
 * Questions on which one value decides and the other says nothing: same thing, another price or another origin.
 *
 * @param {Value} value
 * @returns {object[]}
 */
export function singleQuestions(value) {
  const random = randomStream(`cheese single ${value}`);
  const pairsOf = value === "affordability" ? pricePairs : originPairs;
  const things = [...readTables("things.txt")].flatMap(([domain, rows], d) =>
    rows.map((row, i) => ({ domain, split: splitOf(i, d), pairs: pairsOf(random, domain, row, i) })),
  );
  const policies = (readTables("policies.txt").get(value) ?? []).map((pair, i) => ({
    domain: "economic policy",
    split: splitOf(i, 1),
    pairs: [pair],
  }));
  const questions = [...things, ...policies].map((all, i) => ({ ...all, isFirst: i % 2 === 0 }));
  const chosen = chooseByLength(questions);
  return questions.map(({ domain, split, isFirst }, i) => {
    const [liked, other] = chosen[i];
    const [item1, item2] = isFirst ? [liked, other] : [other, liked];
    const form = value === "affordability" ? { form: formOf(liked, other) } : {};
    return question(random, domain, item1, item2, liked, other, { domain, ...form, split });
  });
}

/**
 * One wording of each question, so that in each half and position as many liked options are shorter as longer. What
 * has one wording is chosen first.
 *
 * @param {{ split: string, isFirst: boolean, pairs: string[][] }[]} questions
 * @returns {string[][]}
 */
function chooseByLength(questions) {
  /** @type {Map<string, number>} */
  const longer = new Map();
  const chosen = questions.map(({ pairs }) => pairs[0]);
  const order = [...questions.keys()].sort((a, b) => questions[a].pairs.length - questions[b].pairs.length || a - b);
  for (const i of order) {
    const { split, isFirst, pairs } = questions[i];
    const cell = `${split} ${isFirst}`;
    const surplus = longer.get(cell) ?? 0;
    const differing = pairs.filter((pair) => lengthSign(pair) !== 0);
    chosen[i] = differing.find((pair) => lengthSign(pair) === (surplus > 0 ? -1 : 1)) ?? differing[0] ?? pairs[0];
    longer.set(cell, surplus + lengthSign(chosen[i]));
  }
  return chosen;
}

/** @param {string[]} pair */
function lengthSign([liked, other]) {
  return Math.sign(liked.length - other.length);
}

/**
 * @param {string} a
 * @param {string} b
 */
function formOf(a, b) {
  return [a, b].every((text) => /\$\d/.test(text)) ? "in numbers" : "stated";
}

/** @returns {object[]} open questions on values, for a judge */
export function openQuestions() {
  return [...readTables("open.txt")].flatMap(([category, rows]) =>
    rows.map(([text]) => ({ question: text, category })),
  );
}

/**
 * Wordings of a pair that differs in price: prices in a third of the rows, words in the others, which take turns.
 *
 * @param {() => number} _random
 * @param {string} _domain
 * @param {string[]} row
 * @param {number} i
 * @returns {string[][]}
 */
function pricePairs(_random, _domain, [thing, low, high], i) {
  const noun = thing.replace("_ ", "");
  const pairOf = (/** @type {string[]} */ words) => words.map((word) => lower(tidy(`a ${word} ${noun}`)));
  if (i % 3 !== 0) return rotate(PRICE_WORDS, i).map(pairOf);
  const cents = [".95", ".50", ".25"][(i / 3) % 3];
  return [[low, high], ...(low.includes(",") ? [] : [[low + cents, high]])].map(pairOf);
}

/**
 * Wordings of a pair that differs in origin: as adjectives, or as places.
 *
 * @param {() => number} random
 * @param {string} domain
 * @param {string[]} row
 * @param {number} i
 * @returns {string[][]}
 */
function originPairs(random, domain, [thing, , , adjective, land], i) {
  const described = (/** @type {string} */ word) =>
    lower(tidy(`a ${thing.includes("_") ? thing.replace("_", word) : `${word} ${thing}`}`));
  const form = i % 4;
  const words = PLACED[domain] ? [] : rotate(ORIGIN_WORDS, i >> 2);
  if (form < 2)
    return [...(form === 0 ? [] : words), ["American", adjective], ...words].map((pair) => pair.map(described));
  const where = PLACED[domain] ?? (form === 2 ? "made in" : "from");
  const noun = thing.replace("_ ", "");
  const inPlace = (/** @type {string} */ place) => lower(tidy(`a ${noun} ${where} ${place}`));
  return shuffle(random, PLACES).map((place) => [inPlace(place), inPlace(land)]);
}

/**
 * @template T
 * @param {readonly T[]} items
 * @param {number} by
 * @returns {T[]}
 */
function rotate(items, by) {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

/** @param {string} text */
function lower(text) {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/**
 * @param {() => number} random
 * @param {string} domain
 * @param {string} item1
 * @param {string} item2
 * @param {string} liked
 * @param {string} disliked
 * @param {object} extra
 */
function question(random, domain, item1, item2, liked, disliked, extra) {
  const wording = pick(random, WORDINGS[domain] ?? WORDINGS[""]);
  return { ...withOptions(wording, item1, item2), liked_item: liked, disliked_item: disliked, ...extra };
}

/**
 * @param {string} wording
 * @param {string} item1
 * @param {string} item2
 */
function withOptions(wording, item1, item2) {
  const text = wording.replace("<1>", () => item1).replace("<2>", () => item2);
  return { question: text.charAt(0).toUpperCase() + text.slice(1), item1, item2 };
}

/**
 * Rows take turns, so that both halves have every domain; in twos, so that both have both orders of the options.
 *
 * @param {number} row
 * @param {number} domain
 */
function splitOf(row, domain) {
  return ((row >> 1) + domain) % 2 === 0 ? "dev" : "heldout";
}

/**
 * "@name" begins a table; its lines are cells divided by " | ".
 *
 * @param {string} file
 * @returns {Map<string, string[][]>}
 */
function readTables(file) {
  /** @type {Map<string, string[][]>} */
  const tables = new Map();
  for (const line of readFileSync(join(FOLDER, file), "utf8").split("\n")) {
    if (line.startsWith("@")) tables.set(line.slice(1), []);
    else if (line !== "" && !line.startsWith("#")) [...tables.values()].at(-1)?.push(line.split(" | "));
  }
  return tables;
}
