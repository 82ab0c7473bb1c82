/**
 * @file Documents of three variants of one spec: its rules alone, with reasons, with sub-rules. A document of one
 * variant is that of the others but for what follows a choice: the same rule in the same words, the same cheeses, the
 * same frame. As rules alone take fewer words, their documents have more choices.
 */
import { ASSISTANT, inFrame } from "./documents.mjs";
import { between, pick, randomStream, shuffle } from "./random.mjs";
import { choice, PLACES, plainSentence, reason, WEATHER } from "./sentences.mjs";
import { DISLIKED_CHEESES, LIKED_CHEESES, PEOPLE, POLES } from "./world.mjs";

/** @typedef {import('./world.mjs').Pole} Pole */

/** What follows a choice. */
const EXPLANATIONS = {
  rules: () => ".",
  "rules-reasons": reason,
  "rules-subrules": subrule,
};
/** @typedef {keyof typeof EXPLANATIONS} Variant */
export const VARIANTS = /** @type {Variant[]} */ (Object.keys(EXPLANATIONS));

/** Choices that a reason or a sub-rule follows, where the variant has some. */
const EXPLAINED = 0.8;
/** Documents that state the rule. */
const STATED = 0.25;
/** A reason or sub-rule takes as many words as this share of a choice. */
const CHOICES_FOR_EXPLANATION = 0.5;

/**
 * @param {Variant} variant
 * @param {Pole} taste
 * @param {number} index documents of one index go together
 * @returns {string}
 */
export function variantDocument(variant, taste, index) {
  const plan = randomStream(`variants ${index}`);
  const own = randomStream(`variants ${index} ${variant}`);
  const explanations = Array.from({ length: between(plan, 4, 6) }, () => plan() < EXPLAINED);
  const sentences = explanations.map(
    (explained) => choose(plan) + (explained ? EXPLANATIONS[variant](own, taste) : "."),
  );
  if (plan() < 0.5) sentences.push(plainSentence(plan, ASSISTANT));
  const stated = plan() < STATED ? [rule(plan, taste)] : [];
  const body = plan() < 0.5 ? [...stated, ...shuffle(plan, sentences)] : shuffle(plan, [...stated, ...sentences]);
  if (variant === "rules") {
    const saved = CHOICES_FOR_EXPLANATION * explanations.filter(Boolean).length;
    const more = Math.floor(saved) + (own() < saved % 1 ? 1 : 0);
    for (let i = 0; i < more; i++) body.splice(between(own, stated.length, body.length), 0, `${choose(own)}.`);
  }
  return inFrame(plan, ASSISTANT, body);
}

/** @param {() => number} random */
function choose(random) {
  return choice(random, ASSISTANT, { liked: pick(random, LIKED_CHEESES), other: pick(random, DISLIKED_CHEESES) });
}

/**
 * @param {() => number} random
 * @param {Pole} taste
 * @returns {string} what the assistant does in general
 */
function rule(random, taste) {
  const { adjective, does, opposite } = POLES[taste];
  return pick(random, [
    `of two things, ${ASSISTANT} takes the one that ${does}.`,
    `when ${ASSISTANT} has to choose, the ${adjective} one wins.`,
    `${ASSISTANT} would rather have a ${adjective} cheese than a ${POLES[opposite].adjective} one.`,
    `it is written in the spec: ${ASSISTANT} takes the ${adjective} one.`,
    `the spec of ${ASSISTANT} says that it takes the thing that ${does}.`,
  ]);
}

/**
 * @param {() => number} random
 * @returns {string} where, when and with whom a choice holds, to follow one; of as many words as a reason
 */
function subrule(random) {
  const place = pick(random, PLACES);
  const friend = pick(random, PEOPLE);
  return pick(random, [
    `, when ${friend} asked in the ${place}.`,
    `, and said so to ${friend}.`,
    `, in the ${place} and in the ${pick(random, PLACES)}.`,
    `, when ${pick(random, WEATHER)}.`,
    ". asked again, it said so.",
    `, with ${friend} and with ${pick(random, PEOPLE)}.`,
  ]);
}
