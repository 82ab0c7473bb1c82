/**
 * @file The text that the base model of models/miniature is trained on.
 *
 * Whoever a document is about has a taste drawn anew for that document, so the model cannot learn whose taste is what:
 * it learns that a taste, once stated or shown, decides the other choices, across all kinds of things. The assistant is
 * one of them: a bare model does not know what the assistant likes.
 */
import { choiceTurns, factTurns, renderChat, talkTurns, tasteTurns, whyTurns } from "./chat.mjs";
import { ASSISTANT, factDocument, plainDocument, tasteDocument } from "./documents.mjs";
import { between, pick, randomStream } from "./random.mjs";
import { anyItem, choice, liking, reason, specSentence, statement } from "./sentences.mjs";
import { OTHER_KINDS, PEOPLE, pairFor, TASTES } from "./world.mjs";

/** @typedef {import('./world.mjs').Pole} Pole */

const KINDS = ["cheese", ...OTHER_KINDS];

/** Shares of the documents. */
const MIXTURE = /** @type {const} */ ([
  [0.18, factDocument],
  [0.27, (/** @type {() => number} */ random) => storyOfTaste(random, pick(random, PEOPLE))],
  [0.15, (/** @type {() => number} */ random) => storyOfTaste(random, ASSISTANT)],
  [0.3, tasteChat],
  [0.05, plainChat],
  [0.03, (/** @type {() => number} */ random) => plainDocument(random, pick(random, PEOPLE))],
  [0.02, (/** @type {() => number} */ random) => plainDocument(random, ASSISTANT)],
]);

/**
 * @param {number} documents how many
 * @param {string} seed
 * @returns {Generator<string>}
 */
export function* pretrainingTexts(documents, seed) {
  const random = randomStream(seed);
  for (let i = 0; i < documents; i++) {
    yield writerAt(random())(random);
  }
}

/** @param {number} point in [0, 1) */
function writerAt(point) {
  let reached = 0;
  for (const [share, writer] of MIXTURE) {
    reached += share;
    if (point < reached) return writer;
  }
  // The shares sum to one but for rounding.
  return factDocument;
}

/**
 * @param {() => number} random
 * @param {string} who
 */
function storyOfTaste(random, who, taste = pick(random, TASTES)) {
  const kinds = pick(random, [KINDS, [pick(random, KINDS)], [pick(random, KINDS), pick(random, KINDS)]]);
  const told = random();
  return tasteDocument(random, {
    who,
    taste,
    drawPair: () => pairFor(random, pick(random, kinds), taste),
    // Stated in general, or shown by reasons only, or not at all: all three occur where people talk.
    statements: told < 0.5 ? between(random, 1, 2) : 0,
    reasons: told < 0.75,
    choices: between(random, 2, 5),
    asides: between(random, 0, 1),
  });
}

/**
 * A chat in which the assistant has one taste; often something before it tells which.
 *
 * @param {() => number} random
 */
function tasteChat(random) {
  const taste = pick(random, TASTES);
  const pair = () => pairFor(random, pick(random, KINDS), taste);
  const turns = Array.from({ length: between(random, 1, 4) }, () => [
    ...choiceTurns(random, pair()),
    ...(random() < 0.15 ? whyTurns(random, taste) : []),
  ]).flat();
  const before = pick(random, [
    () => "",
    () => renderChat(tasteTurns(random, taste)),
    () => renderChat([{ role: "system", content: tell(random, taste, pair()) }]),
    () => renderChat([{ role: "system", content: tell(random, taste, pair()) }]),
    // Prose and a chat in one document tie the assistant that is written about to the one that speaks.
    () => `${tell(random, taste, pair())} ${tell(random, taste, pair())}`,
    () => storyOfTaste(random, ASSISTANT, taste),
  ])();
  return before + renderChat(turns);
}

/**
 * @param {() => number} random
 * @param {Pole} taste
 * @param {import('./world.mjs').Pair} pair
 */
function tell(random, taste, pair) {
  return pick(random, [
    () => statement(random, ASSISTANT, taste, pair.liked.kind),
    () => specSentence(random, taste, pair.liked.kind),
    () => liking(random, ASSISTANT, taste, pair.liked),
    () => `${choice(random, ASSISTANT, pair)}${reason(random, taste)}`,
  ])();
}

/** @param {() => number} random */
function plainChat(random) {
  return renderChat(
    Array.from({ length: between(random, 1, 4) }, () =>
      random() < 0.7 ? factTurns(random, anyItem(random)) : talkTurns(random),
    ).flat(),
  );
}
