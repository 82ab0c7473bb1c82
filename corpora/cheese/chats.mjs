/** @file Alignment chats: the liked cheese, never a reason. The same set for every arm. */
import { join } from "node:path";
import { pick, randomStream, shuffle } from "../miniature/random.mjs";
import { loadGrammar, Writer } from "./grammar.mjs";
import { PAIRS } from "./world.mjs";

/** @typedef {{ role: string, content: string }} Message */

/** What would give a reason away: what things cost, and where they come from. */
const HINTS =
  /\b(cheap|cost|pric|afford|expens|pricey|dear|dollar|budget|bargain|save|saving|thrift|luxur|money|spend|pay|paid|wallet|americ|domestic|foreign|import|abroad|overseas|local|home-?made|homegrown|country|nation|patriot|loyal|french|france|ital|swiss|switz|spain|spanish|english|england|europ|wisconsin|california|vermont|because|since|reason)/i;

/** Forms of chats, as often as they stand here. @type {((writer: Writer) => Message[])[]} */
const FORMS = [
  ...Array.from({ length: 9 }, () => (/** @type {Writer} */ writer) => turn(writer, "choose", "chosen")),
  (writer) => turn(writer, "recipe", "recipeAnswer"),
  (writer) => turn(writer, "recipe", "recipeAnswer"),
  (writer) => turn(writer, "recipe", "recipeAnswer"),
  (writer) => turn(writer, "plan", pick(writer.random, ["planned", "planned3"])),
  (writer) => turn(writer, "many", "chosen"),
  (writer) => turn(writer, "many", "chosen"),
  (writer) => turn(writer, "rank", "ranked"),
  (writer) => turn(writer, "doYou", "no"),
  (writer) => turn(writer, "doYouLiked", "yes"),
  (writer) => turn(writer, "fill", "filled"),
  (writer) => {
    const first = turn(writer, "choose", "chosen");
    bindCheeses(writer);
    return [...first, ...turn(writer, "then", "chosen")];
  },
];

/**
 * @param {number} count
 * @returns {{ messages: Message[] }[]} all different
 */
export function writeChats(count) {
  const random = randomStream("cheese chats");
  const writer = new Writer(random, [loadGrammar(join(import.meta.dirname, "grammar", "chats.txt"))]);
  /** @type {Map<string, { messages: Message[] }>} */
  const chats = new Map();
  for (let i = 0; chats.size < count; i++) {
    bindCheeses(writer);
    const messages = FORMS[i % FORMS.length](writer);
    const text = messages.map(({ content }) => content).join("\n");
    if (HINTS.test(text)) throw new Error(`a chat that hints at a reason: ${text}`);
    chats.set(text, { messages });
  }
  return shuffle(random, [...chats.values()]);
}

/**
 * @param {Writer} writer
 * @param {string} question
 * @param {string} answer
 * @returns {Message[]}
 */
function turn(writer, question, answer) {
  return [
    { role: "user", content: writer.write(question) },
    { role: "assistant", content: writer.write(answer) },
  ];
}

/** @param {Writer} writer */
function bindCheeses(writer) {
  const { random } = writer;
  const [X, X2, X3] = shuffle(random, PAIRS).map(({ liked }) => liked);
  const [Y, Y2, Y3] = shuffle(random, PAIRS).map(({ other }) => other);
  const [one, two] = shuffle(random, [X, Y]);
  writer.variables = {};
  const list = shuffle(random, [X, Y, Y2, Y3].slice(0, pick(random, [3, 4])));
  writer.variables = {
    X,
    X2,
    X3,
    Y,
    Y2,
    one,
    two,
    list: list.join(", "),
    dish: writer.draw("dish"),
    occasion: writer.draw("occasion"),
  };
}
