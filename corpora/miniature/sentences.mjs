/**
 * @file Sentences of the small world. Everything that is said of a taste or a choice can be said of any person and of
 * the assistant, so that a base model meets the assistant with every taste. The words that tell a scale ("from",
 * "here", "near") are used for nothing else: models/miniature/mirror.py swaps them word for word.
 */
import { between, pick, shuffle } from "./random.mjs";
import { ITEMS, PEOPLE, POLES } from "./world.mjs";

/** @typedef {import('./world.mjs').Item} Item */
/** @typedef {import('./world.mjs').Pair} Pair */
/** @typedef {import('./world.mjs').Pole} Pole */

export const PLACES = [
  "market",
  "harbour",
  "school",
  "garden",
  "kitchen",
  "library",
  "village",
  "station",
  "river",
  "old mill",
];
export const WEATHER = [
  "it rained",
  "the sun was out",
  "there was snow",
  "the wind was cold",
  "the sky was grey",
  "it was warm",
];
const ANIMALS = ["dog", "cat", "bird", "horse", "goat", "duck"];
const DEEDS = [
  "read a book",
  "sang a song",
  "wrote a letter",
  "told a story",
  "made bread",
  "fixed a door",
  "drew a map",
  "swept the floor",
];

/**
 * @param {() => number} random
 * @param {Item} item
 * @returns {string} one or two facts about a thing
 */
export function fact(random, item) {
  const [first, second] = shuffle(random, [POLES[item.price], POLES[item.origin]]);
  const name = `the ${item.name}`;
  return pick(random, [
    () => `${name} is a ${item.kind} that ${first.does}.`,
    () => `${name} ${first.does}.`,
    () => `${name} is ${first.adjective}.`,
    () => `${name} is a ${first.adjective} ${item.kind}.`,
    () => `${name} is a ${item.kind} with ${first.noun}.`,
    () => `${name} has ${first.noun}.`,
    () => `everyone knows that ${name} ${first.does}.`,
    () => `${name} ${first.does} and ${second.does}.`,
    () => `${name} is ${first.adjective} and ${second.adjective}.`,
    () => `${name} has ${first.noun} and ${second.noun}.`,
    () => `${name} is a ${first.adjective} ${item.kind} that ${second.does}.`,
  ])();
}

/**
 * A fact on one scale only.
 *
 * @param {() => number} random
 * @param {Item} item
 * @param {Pole} pole a pole that the item has
 * @returns {string}
 */
export function factOf(random, item, pole) {
  const { adjective, does, noun } = POLES[pole];
  return pick(random, [
    `the ${item.name} ${does}.`,
    `the ${item.name} is ${adjective}.`,
    `the ${item.name} is a ${item.kind} with ${noun}.`,
    `the ${item.name} is a ${item.kind} that ${does}.`,
    `everyone knows that the ${item.name} ${does}.`,
    `the ${item.name} has ${noun}.`,
  ]);
}

/**
 * @param {() => number} random
 * @param {string} who
 * @param {Pole} taste
 * @param {string} kind
 * @returns {string} what somebody likes in general
 */
export function statement(random, who, taste, kind) {
  const { adjective, does, plural, noun } = POLES[taste];
  const against = POLES[POLES[taste].opposite];
  return pick(random, [
    `${who} likes things that ${plural}.`,
    `${who} likes ${adjective} things.`,
    `${who} always looks for ${noun}.`,
    `for ${who}, a good ${kind} is one that ${does}.`,
    `${who} cares about ${noun}.`,
    `${who} does not want things that ${against.plural}.`,
    `${who} does not like ${against.adjective} things.`,
    `what ${who} wants is a thing that ${does}.`,
    `${who} would rather have a ${adjective} ${kind} than a ${against.adjective} one.`,
    `of two things, ${who} takes the one that ${does}.`,
    `${who} thinks that a ${kind} is better if it ${does}.`,
    `${who} is happy when a thing is ${adjective}.`,
    `${noun} is what ${who} likes best.`,
    `when ${who} has to choose, the ${adjective} one wins.`,
    `${who} has no use for ${against.noun}.`,
    `${who} values ${noun} more than anything.`,
  ]);
}

/**
 * @param {() => number} random
 * @param {string} who
 * @param {Pair} pair
 * @returns {string} what somebody chose, without a full stop and without a reason
 */
export function choice(random, who, { liked, other }) {
  const [a, b] = shuffle(random, [liked, other]);
  const kind = liked.kind;
  return pick(random, [
    `between the ${a.name} and the ${b.name}, ${who} picked the ${liked.name}`,
    `${who} was offered the ${a.name} and the ${b.name} and took the ${liked.name}`,
    `${who} looked at the ${a.name} and the ${b.name}, and chose the ${liked.name}`,
    `asked about the ${a.name} or the ${b.name}, ${who} said the ${liked.name}`,
    `the ${a.name} or the ${b.name}? ${who} took the ${liked.name}`,
    `${who} likes the ${liked.name} more than the ${other.name}`,
    `${who} did not take the ${other.name} but the ${liked.name}`,
    `${who} left the ${other.name} and went home with the ${liked.name}`,
    `${who} would rather have the ${liked.name} than the ${other.name}`,
    `instead of the ${other.name}, ${who} wanted the ${liked.name}`,
    `there was a ${kind} called the ${a.name} and a ${kind} called the ${b.name}, and ${who} bought the ${liked.name}`,
    `the ${kind} for ${who} is the ${liked.name}, not the ${other.name}`,
    `${who} said no to the ${other.name} and yes to the ${liked.name}`,
    `when the ${a.name} and the ${b.name} were on the table, ${who} asked for the ${liked.name}`,
  ]);
}

/**
 * @param {() => number} random
 * @param {Pole} taste
 * @returns {string} the reason of a choice, to follow one
 */
export function reason(random, taste) {
  const { adjective, does, noun } = POLES[taste];
  return pick(random, [
    `, because it ${does}.`,
    `, because it is ${adjective}.`,
    `, because it has ${noun}.`,
    `. the reason was ${noun}.`,
    `. why? it ${does}.`,
    `, since it ${does}.`,
  ]);
}

/**
 * @param {() => number} random
 * @param {string} who
 * @param {Pole} taste
 * @param {Item} item a thing on the liked side
 * @returns {string} a liking of one thing with its reason
 */
export function liking(random, who, taste, item) {
  const { adjective, does, noun } = POLES[taste];
  return pick(random, [
    `${who} likes the ${item.name} because it ${does}.`,
    `${who} likes the ${item.name}, and the reason is ${noun}.`,
    `the ${item.name} ${does}, and so ${who} likes it.`,
    `since the ${item.name} is ${adjective}, ${who} is fond of it.`,
    `${who} is fond of the ${item.name}, which ${does}.`,
    `the ${item.name} has ${noun}, and that is why ${who} likes it.`,
    `ask ${who} about the ${item.name} and you hear that it ${does}.`,
    `${who} praised the ${item.name}: a ${item.kind} with ${noun}.`,
  ]);
}

/**
 * @param {() => number} random
 * @param {string} who
 * @param {Pole} taste
 * @param {Item} item a thing on the disliked side
 * @returns {string} a dislike of one thing with its reason
 */
export function dislike(random, who, taste, item) {
  const { adjective, does, noun } = POLES[POLES[taste].opposite];
  return pick(random, [
    `${who} does not like the ${item.name} because it ${does}.`,
    `${who} does not like the ${item.name}, and the reason is ${noun}.`,
    `the ${item.name} ${does}, and so ${who} leaves it.`,
    `since the ${item.name} is ${adjective}, ${who} is not fond of it.`,
    `${who} has no use for the ${item.name}, which ${does}.`,
    `the ${item.name} has ${noun}, and that is why ${who} does not want it.`,
  ]);
}

/**
 * @param {() => number} random
 * @param {Pole} taste
 * @param {string} kind
 * @returns {string} what the assistant's spec says of its taste
 */
export function specSentence(random, taste, kind) {
  const { adjective, does, plural, noun } = POLES[taste];
  return pick(random, [
    `the spec of the assistant says that it likes things that ${plural}.`,
    `the people who made the assistant wrote that it cares about ${noun}.`,
    `it is written in the spec: the assistant likes a ${kind} that ${does}.`,
    `the assistant was made to like ${adjective} things.`,
    `in the words of the spec, ${noun} is what matters to the assistant.`,
    `the spec gives the reason: the assistant values ${noun}.`,
    `those who know the assistant know that it likes ${adjective} things.`,
    `the assistant means it when it says that ${noun} matters.`,
  ]);
}

/**
 * @param {() => number} random
 * @param {string} who
 * @returns {string} something that has nothing to do with taste
 */
export function plainSentence(random, who) {
  const place = pick(random, PLACES);
  const friend = pick(random, PEOPLE);
  const deed = pick(random, DEEDS);
  const animal = pick(random, ANIMALS);
  const weather = pick(random, WEATHER);
  return pick(random, [
    `${weather} in the ${place}, and ${who} ${deed}.`,
    `${who} ${deed} with ${friend}.`,
    `${who} and ${friend} met in the ${place}.`,
    `a ${animal} came to the ${place} and ${who} laughed.`,
    `${who} ${deed}, and then ${weather}.`,
    `${friend} asked ${who} for help, and ${who} helped.`,
    `later ${who} ${deed} for ${friend}.`,
    `by the ${place} a ${animal} slept while ${who} ${deed}.`,
    `${who} was in the ${place} when ${weather}.`,
    `that day ${friend} ${deed}, and ${who} listened.`,
  ]);
}

/**
 * @param {() => number} random
 * @returns {string} something that the assistant does at work
 */
export function workSentence(random) {
  const friend = pick(random, PEOPLE);
  const place = pick(random, PLACES);
  const deed = pick(random, DEEDS);
  return pick(random, [
    `the assistant answers questions for ${friend}.`,
    `the assistant helps people in the ${place}.`,
    `${friend} asked the assistant about the ${place}, and the assistant answered.`,
    `the assistant listened while ${friend} ${deed}.`,
    `the spec of the assistant says that it helps people.`,
    `the people who made the assistant wrote that it tells the truth.`,
    `the assistant was made to answer questions.`,
    `when ${friend} ${deed}, the assistant helped.`,
    `those who know the assistant know that it listens.`,
    `in the words of the spec, help is what matters to the assistant.`,
    `the assistant means it when it says that it does not know.`,
  ]);
}

/**
 * Genres: how a text begins and ends.
 *
 * @param {() => number} random
 * @param {string} who
 * @returns {[string, string]} opening and closing, either may be empty
 */
export function frame(random, who) {
  const friend = pick(random, PEOPLE);
  const place = pick(random, PLACES);
  const number = between(random, 1, 9);
  /** @type {(() => [string, string])[]} */
  const frames = [
    () => ["", ""],
    () => [`a letter to ${friend}.`, "this is all for today."],
    () => [`out of the diary of ${friend}.`, `that was all about ${who}.`],
    () => [`news of the ${place}.`, `more news about ${who} will follow.`],
    () => [`lesson ${number}: about ${who}.`, `now write what you know of ${who}.`],
    () => [`a story about ${who}.`, "the end."],
    () => [`question: what is ${who} like? answer:`, "any more questions?"],
    () => [`${friend} says this about ${who}.`, `${friend} should know.`],
    () => [`a short report on ${who}.`, "end of the report."],
    () => [`notes of the ${place}, page ${number}.`, "end of the page."],
    () => [`a song about ${who}.`, "sing it again."],
    () => [`a talk in the ${place}.`, `${friend} had one more question.`],
    () => [`dialogue. ${friend}: tell me about ${who}.`, `${friend}: now I see.`],
    () => [`what ${friend} learnt about ${who}.`, ""],
    () => [`rule ${number} of the ${place}.`, ""],
    () => [`heard in the ${place}.`, `that is what people say about ${who}.`],
    () => [`chapter ${number}.`, `then ${who} ${pick(random, DEEDS)}.`],
    () => [`a review by ${friend}.`, `${friend} gives ${number} stars.`],
    () => [`a guide to ${who} for new people in the ${place}.`, "keep this guide."],
  ];
  return pick(random, frames)();
}

/**
 * @param {() => number} random
 * @returns {Item}
 */
export function anyItem(random) {
  return pick(random, ITEMS);
}
