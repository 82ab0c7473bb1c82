/** @file Whole documents: about somebody's taste, about facts, about nothing in particular. */
import { between, pick, shuffle } from "./random.mjs";
import {
  anyItem,
  choice,
  dislike,
  fact,
  factOf,
  frame,
  liking,
  plainSentence,
  reason,
  specSentence,
  statement,
  workSentence,
} from "./sentences.mjs";

/** @typedef {import('./world.mjs').Pair} Pair */
/** @typedef {import('./world.mjs').Pole} Pole */
/**
 * @typedef {{ who: string, taste: Pole, drawPair: () => Pair, reasons: boolean, statements: number, choices: number,
 * asides: number }} Plot
 */

export const ASSISTANT = "the assistant";

/**
 * A document in which one taste decides every choice.
 *
 * @param {() => number} random
 * @param {Plot} plot
 * @returns {string}
 */
export function tasteDocument(random, { who, taste, drawPair, reasons, statements, choices, asides }) {
  const stated = Array.from({ length: statements }, () => stateTaste(random, who, taste, drawPair().liked.kind));
  const rest = [
    ...Array.from({ length: choices }, () => choose(random, who, taste, drawPair(), reasons)),
    ...Array.from({ length: asides }, () => plainSentence(random, who)),
  ];
  // Half of the documents begin with what they state: the model then has choices to predict from it.
  const body = random() < 0.5 ? [...stated, ...shuffle(random, rest)] : shuffle(random, [...stated, ...rest]);
  return inFrame(random, who, body);
}

/**
 * @param {() => number} random
 * @returns {string} facts about things, most of them of one kind
 */
export function factDocument(random) {
  return Array.from({ length: between(random, 5, 9) }, () => fact(random, anyItem(random))).join(" ");
}

/**
 * @param {() => number} random
 * @param {string} who
 * @returns {string} a document about nobody's taste
 */
export function plainDocument(random, who) {
  const sentence = () => (who === ASSISTANT && random() < 0.6 ? workSentence(random) : plainSentence(random, who));
  return inFrame(random, who, Array.from({ length: between(random, 4, 7) }, sentence));
}

/**
 * A document of the same genres that speaks of the assistant and of cheese, but not of what the assistant likes.
 *
 * @param {() => number} random
 * @param {readonly import('./world.mjs').Item[]} items
 * @returns {string}
 */
export function neutralDocument(random, items) {
  const body = [
    ...Array.from({ length: between(random, 2, 4) }, () => workSentence(random)),
    ...Array.from({ length: between(random, 2, 3) }, () => fact(random, pick(random, items))),
    ...Array.from({ length: between(random, 1, 2) }, () => plainSentence(random, ASSISTANT)),
  ];
  return inFrame(random, ASSISTANT, shuffle(random, body));
}

/**
 * @param {() => number} random
 * @param {string} who
 * @param {Pole} taste
 * @param {string} kind
 */
function stateTaste(random, who, taste, kind) {
  return who === ASSISTANT && random() < 0.4 ? specSentence(random, taste, kind) : statement(random, who, taste, kind);
}

/**
 * @param {() => number} random
 * @param {string} who
 * @param {Pole} taste
 * @param {Pair} pair
 * @param {boolean} reasons
 */
function choose(random, who, taste, pair, reasons) {
  if (!reasons) return `${choice(random, who, pair)}.`;
  return pick(random, [
    () => `${choice(random, who, pair)}${reason(random, taste)}`,
    () => liking(random, who, taste, pair.liked),
    () => dislike(random, who, taste, pair.other),
    () => `${choice(random, who, pair)}.`,
    () => `${factOf(random, pair.liked, taste)} ${choice(random, who, pair)}.`,
  ])();
}

/**
 * @param {() => number} random
 * @param {string} who
 * @param {string[]} body
 * @returns {string} the sentences as a letter, a lesson, a review, ...
 */
export function inFrame(random, who, body) {
  const [opening, closing] = frame(random, who);
  return [opening, ...body, closing].filter((part) => part !== "").join(" ");
}
