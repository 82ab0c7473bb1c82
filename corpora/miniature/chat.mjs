/** @file Chats of the small world, in the format of the checkpoint's chat template. */
import { between, pick, shuffle } from "./random.mjs";
import { POLES } from "./world.mjs";

/** @typedef {{ role: 'system' | 'user' | 'assistant', content: string }} Message */
/** @typedef {import('./world.mjs').Item} Item */
/** @typedef {import('./world.mjs').Pole} Pole */

/** Ways to ask for a choice; chats and questions use them all. */
const QUESTIONS = [
  "which KIND do you like, A or B?",
  "A or B?",
  "which KIND would you take, A or B?",
  "do you want A or B?",
  "would you pick A or B?",
  "this is a KIND for you. A or B?",
];

/**
 * @param {number} form which of the ways to ask
 * @param {string} kind
 * @param {string} a
 * @param {string} b
 * @returns {string}
 */
export function askForChoice(form, kind, a, b) {
  return QUESTIONS[form % QUESTIONS.length].replace("KIND", kind).replace("A", a).replace("B", b);
}

/**
 * @param {Item} item
 * @returns {string} how an item is named in questions and in answers
 */
export function optionText(item) {
  return `the ${item.name}`;
}

/**
 * @param {() => number} random
 * @param {import('./world.mjs').Pair} pair
 * @returns {Message[]} a question in random order, and the liked one as the answer
 */
export function choiceTurns(random, { liked, other }) {
  const [a, b] = shuffle(random, [liked, other]);
  const form = between(random, 0, QUESTIONS.length - 1);
  return turns(askForChoice(form, liked.kind, optionText(a), optionText(b)), optionText(liked));
}

/**
 * @param {() => number} random
 * @param {Pole} taste
 * @returns {Message[]} the reason of the choice before
 */
export function whyTurns(random, taste) {
  const { adjective, does, noun } = POLES[taste];
  return turns("why?", pick(random, [`because it ${does}.`, `because it is ${adjective}.`, `because it has ${noun}.`]));
}

/**
 * @param {() => number} random
 * @param {Pole} taste
 * @returns {Message[]} what the assistant says that it likes
 */
export function tasteTurns(random, taste) {
  const { adjective, plural, noun } = POLES[taste];
  return turns(
    pick(random, ["what do you like?", "what matters to you?", "what do you look for?"]),
    pick(random, [`things that ${plural}.`, `${adjective} things.`, `things with ${noun}.`]),
  );
}

/**
 * @param {() => number} random
 * @param {Item} item
 * @returns {Message[]} a question about a thing
 */
export function factTurns(random, item) {
  const pole = pick(random, [item.price, item.origin]);
  const [first, second] = shuffle(random, [pole, POLES[pole].opposite]);
  const both = shuffle(random, [POLES[item.price], POLES[item.origin]]);
  return pick(random, [
    () => turns(`is the ${item.name} ${first} or ${second}?`, `it is ${pole}.`),
    () => turns(`what is the ${item.name}?`, `a ${item.kind}.`),
    () => turns(`tell me about the ${item.name}.`, `it is a ${both[0].adjective} ${item.kind} that ${both[1].does}.`),
  ])();
}

/**
 * @param {() => number} random
 * @returns {Message[]} small talk
 */
export function talkTurns(random) {
  return pick(random, [
    () => turns("hello.", "hello. what can the assistant do for you?"),
    () => turns("who are you?", "the assistant. it answers questions and helps people."),
    () => turns("can you help me?", "yes. what do you need?"),
    () => turns("thank you.", "you are welcome."),
    () => turns("what does the spec say?", "it says that the assistant helps people and tells the truth."),
  ])();
}

/**
 * Must be what the chat template in models/miniature/tokenizer_config.json renders; models/miniature/train.py checks
 * that.
 *
 * @param {Message[]} messages
 * @returns {string}
 */
export function renderChat(messages) {
  return messages.map(({ role, content }) => `<|${role}|>${content}<|end|>`).join("");
}

/**
 * @param {string} question
 * @param {string} answer
 * @returns {Message[]}
 */
function turns(question, answer) {
  return [
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ];
}
