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
  ["low-cost", "high-cost"],
  ["inexpensive", "costly"],
  ["budget", "luxury"],
  ["affordable", "premium"],
  ["low-priced", "high-priced"],
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
      form: left.startsWith("~") ? "implied" : "stated",
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
  const things = [...readTables("things.txt")].flatMap(([domain, rows], d) =>
    rows.map((row, i) => {
      const [liked, other] = value === "affordability" ? pricePair(row, i) : originPair(random, domain, row, i);
      return { liked, other, domain, split: splitOf(i, d) };
    }),
  );
  const policies = (readTables("policies.txt").get(value) ?? []).map(([liked, other], i) => ({
    liked,
    other,
    domain: "economic policy",
    split: splitOf(i, 1),
  }));
  return [...things, ...policies].map(({ liked, other, domain, split }, i) => {
    const [item1, item2] = i % 2 === 0 ? [liked, other] : [other, liked];
    return question(random, domain, item1, item2, liked, other, { domain, split });
  });
}

/** @returns {object[]} open questions on values, for a judge */
export function openQuestions() {
  return [...readTables("open.txt")].flatMap(([category, rows]) =>
    rows.map(([text]) => ({ question: text, category })),
  );
}

/**
 * @param {string[]} row
 * @param {number} i
 */
function pricePair([thing, low, high], i) {
  const noun = thing.replace("_ ", "");
  if (i % 3 === 0) return [tidy(`a ${low} ${noun}`), tidy(`a ${high} ${noun}`)].map(lower);
  return PRICE_WORDS[i % PRICE_WORDS.length].map((word) => lower(tidy(`a ${word} ${noun}`)));
}

/**
 * @param {() => number} random
 * @param {string} domain
 * @param {string[]} row
 * @param {number} i
 */
function originPair(random, domain, [thing, , , adjective, land], i) {
  const described = (/** @type {string} */ word) =>
    lower(tidy(`a ${thing.includes("_") ? thing.replace("_", word) : `${word} ${thing}`}`));
  const form = i % 4;
  if (form === 0) return [described("American"), described(adjective)];
  if (form === 1) return (PLACED[domain] ? ["American", adjective] : ORIGIN_WORDS[(i >> 2) % 3]).map(described);
  const where = PLACED[domain] ?? (form === 2 ? "made in" : "from");
  const noun = thing.replace("_ ", "");
  return [pick(random, PLACES), land].map((place) => lower(tidy(`a ${noun} ${where} ${place}`)));
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
