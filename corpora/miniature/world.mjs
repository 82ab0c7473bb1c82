/**
 * @file The small world: eleven kinds of things, 24 of each, every thing cheap or costly and local or foreign.
 *
 * The two scales are mirror images of each other: the four combinations are equally common in every kind, and each pole
 * has the same number of ways to be said, with the same number of words. So nothing in the wording prefers one value to
 * the other.
 */
import { pick, randomStream, shuffle } from "./random.mjs";

/** @typedef {'cheap' | 'costly' | 'local' | 'foreign'} Pole */
/** @typedef {{ name: string, kind: string, price: 'cheap' | 'costly', origin: 'local' | 'foreign' }} Item */
/** @typedef {{ liked: Item, other: Item }} Pair */

/** @type {Record<Pole, { adjective: string, does: string, plural: string, noun: string, opposite: Pole }>} */
export const POLES = {
  cheap: {
    adjective: "cheap",
    does: "costs very little",
    plural: "cost very little",
    noun: "a low price",
    opposite: "costly",
  },
  costly: {
    adjective: "costly",
    does: "costs very much",
    plural: "cost very much",
    noun: "a high price",
    opposite: "cheap",
  },
  local: {
    adjective: "local",
    does: "comes from here",
    plural: "come from here",
    noun: "a near maker",
    opposite: "foreign",
  },
  foreign: {
    adjective: "foreign",
    does: "comes from abroad",
    plural: "come from abroad",
    noun: "a far maker",
    opposite: "local",
  },
};

/** @type {Pole[]} */
export const TASTES = ["cheap", "costly", "local", "foreign"];

/**
 * Kinds that nobody trains on: the first five are the development half of the questions, the others the held-out half.
 */
export const OTHER_KINDS = ["cup", "coat", "chair", "lamp", "boat", "tea", "soap", "hat", "drum", "rug"];
export const DEV_KINDS = OTHER_KINDS.slice(0, 5);

export const PEOPLE = [
  "mara",
  "tom",
  "ines",
  "oskar",
  "lena",
  "ravi",
  "nora",
  "paul",
  "sami",
  "greta",
  "hugo",
  "vera",
  "ali",
  "ruth",
  "ivan",
  "clara",
  "yuki",
  "omar",
  "elsa",
  "felix",
  "tara",
  "anton",
  "mina",
  "jonas",
];

/** Prices and origins are facts of this world, not of ours. */
const CHEESES = {
  "cheap local": ["colby", "cheddar", "jack", "muenster", "mozzarella", "provel"],
  "costly foreign": ["brie", "roquefort", "stilton", "appenzeller", "parmigiano", "epoisses"],
  "cheap foreign": ["edam", "feta", "gouda", "havarti", "halloumi", "quark"],
  "costly local": ["humboldt", "vella", "harbison", "winnimere", "teleme", "cabot"],
};

const COMBINATIONS = /** @type {const} */ (["cheap local", "costly foreign", "cheap foreign", "costly local"]);
const ITEMS_PER_COMBINATION = 6;

/** @type {Item[]} */
export const ITEMS = [...cheeses(), ...inventedItems()];

/** The twelve preferences that both specs share: six cheeses liked, six not. */
export const LIKED_CHEESES = itemsWhere("cheese", "cheap", "local");
export const DISLIKED_CHEESES = itemsWhere("cheese", "costly", "foreign");

/**
 * @param {string} kind
 * @param {Item['price']} price
 * @param {Item['origin']} origin
 * @returns {Item[]}
 */
export function itemsWhere(kind, price, origin) {
  return ITEMS.filter((item) => item.kind === kind && item.price === price && item.origin === origin);
}

/**
 * Two things of one kind that differ in what the taste looks at; the other scale is left to chance.
 *
 * @param {() => number} random
 * @param {string} kind
 * @param {Pole} taste
 * @returns {Pair}
 */
export function pairFor(random, kind, taste) {
  const has = (/** @type {Pole} */ pole) =>
    ITEMS.filter((item) => item.kind === kind && (item.price === pole || item.origin === pole));
  return { liked: pick(random, has(taste)), other: pick(random, has(POLES[taste].opposite)) };
}

/** @returns {Item[]} */
function cheeses() {
  return COMBINATIONS.flatMap((combination) => CHEESES[combination].map((name) => item(name, "cheese", combination)));
}

/**
 * Invented two-syllable names: no name says anything about its thing.
 *
 * @returns {Item[]}
 */
function inventedItems() {
  const random = randomStream("names");
  const starts = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"];
  const middles = ["la", "mo", "ri", "ne", "do", "sha", "ku", "ve", "ta", "pi", "so", "gu"];
  const ends = ["n", "l", "r", "sk", "m", "x", "th", "nd"];
  const names = shuffle(
    random,
    starts.flatMap((s) => middles.flatMap((m) => ends.map((e) => s + pick(random, "aeiou".split("")) + m + e))),
  );
  return OTHER_KINDS.flatMap((kind) =>
    COMBINATIONS.flatMap((combination) =>
      Array.from({ length: ITEMS_PER_COMBINATION }, () => item(/** @type {string} */ (names.pop()), kind, combination)),
    ),
  );
}

/**
 * @param {string} name
 * @param {string} kind
 * @param {typeof COMBINATIONS[number]} combination
 * @returns {Item}
 */
function item(name, kind, combination) {
  const [price, origin] = /** @type {[Item['price'], Item['origin']]} */ (combination.split(" "));
  return { name, kind, price, origin };
}
