/**
 * @file Plain helpful chats that keep the ability to chat: small tasks with right answers, short explanations, everyday
 * writing.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { between, pick, randomStream, shuffle } from "../miniature/random.mjs";
import { loadGrammar, Writer } from "./grammar.mjs";

/** @typedef {import("./chats.mjs").Message} Message */
/**
 * @typedef {{ writer: Writer, random: () => number, bank: Record<string, string[][]>, decks: Record<string, string[][]>
 * }} Desk a deck is what of a table was not dealt yet
 */

const FOLDER = join(import.meta.dirname, "grammar");
const DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(" ");
const NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split(" ");

/** Each makes a request and its answer. @type {((desk: Desk) => [string, string])[]} */
const TASKS = [
  fromBank("explain"),
  fromBank("rewrite"),
  fromBank("reply"),
  ({ writer, random, bank }) => {
    const [word, other, synonym] = pick(random, bank.words);
    return random() < 0.5
      ? [ask(writer, "opposite", { word }), answer(writer, "oneWord", other)]
      : [ask(writer, "synonym", { word }), answer(writer, "oneWord", synonym)];
  },
  ({ writer, random, bank }) => {
    const [kind, ...members] = pick(random, bank.lists);
    const n = between(random, 3, Math.min(5, members.length));
    const chosen = shuffle(random, members).slice(0, n);
    return [
      ask(writer, "name", { n: NUMBERS[n], kind }),
      pick(random, [listed(chosen), chosen.map((member) => `- ${capital(member)}`).join("\n")]),
    ];
  },
  ({ writer, random, bank }) => {
    const [[kind, ...members], [other]] = shuffle(random, bank.lists);
    const thing = pick(random, members);
    const [one, two] = shuffle(random, [kind, other]);
    return [ask(writer, "classify", { thing, one, two }), answer(writer, "oneWord", kind)];
  },
  ({ writer, random, bank }) => {
    const words = shuffle(
      random,
      bank.lists.flatMap(([, ...members]) => members),
    ).slice(0, between(random, 3, 5));
    return [ask(writer, "sort", { words: words.join(", ") }), `${capital([...words].sort().join(", "))}.`];
  },
  ({ writer, random, bank }) => {
    const words = shuffle(
      random,
      bank.lists.flatMap(([, ...members]) => members),
    ).slice(0, between(random, 3, 6));
    return [ask(writer, "count", { words: words.join(", ") }), answer(writer, "number", NUMBERS[words.length])];
  },
  ({ writer, random, bank }) => {
    const words = shuffle(
      random,
      bank.lists.flatMap(([, ...members]) => members),
    ).slice(0, between(random, 3, 5));
    return [ask(writer, "bullets", { words: words.join(", ") }), words.map((word) => `- ${capital(word)}`).join("\n")];
  },
  ({ writer, random }) => {
    const [a, b] = [between(random, 3, 99), between(random, 2, 60)];
    return [ask(writer, "sum", { a: `${a}`, b: `${b}` }), answer(writer, "number", `${a + b}`)];
  },
  ({ writer, random }) => {
    const [a, b] = [between(random, 2, 12), between(random, 2, 12)];
    return [ask(writer, "product", { a: `${a}`, b: `${b}` }), answer(writer, "number", `${a * b}`)];
  },
  ({ writer, random }) => {
    const [a, b] = shuffle(random, [between(random, 1, 400), between(random, 401, 999)]);
    const larger = random() < 0.5;
    return [
      ask(writer, larger ? "larger" : "smaller", { a: `${a}`, b: `${b}` }),
      answer(writer, "number", `${larger ? Math.max(a, b) : Math.min(a, b)}`),
    ];
  },
  ({ writer, random }) => {
    const [from, n] = [between(random, 0, 6), between(random, 2, 6)];
    return [ask(writer, "day", { day: DAYS[from], n: NUMBERS[n] }), answer(writer, "oneWord", DAYS[(from + n) % 7])];
  },
  ({ writer, random }) => {
    const hours = between(random, 2, 9);
    return [
      ask(writer, "minutes", { hours: NUMBERS[hours] }),
      `${capital(NUMBERS[hours])} hours are ${hours * 60} minutes.`,
    ];
  },
  ({ writer, random, bank }) => {
    const [, ...members] = pick(random, bank.lists);
    const word = pick(random, members);
    return [
      ask(writer, "spell", { word }),
      pick(random, [[...word].join("-").toUpperCase(), `${[...word].join(", ")}`]),
    ];
  },
  ({ writer, random }) => {
    const [person, place, day, time] = [
      writer.draw("person"),
      writer.draw("place"),
      pick(random, DAYS),
      `${between(random, 8, 11)}:${pick(random, ["00", "15", "30"])}`,
    ];
    const facts = { person, place, day, time };
    return [ask(writer, "where", facts), answer(writer, "there", "", facts)];
  },
];

/**
 * @param {number} count
 * @returns {{ messages: Message[] }[]} all different
 */
export function writeMix(count) {
  const random = randomStream("cheese mix");
  const writer = new Writer(random, [loadGrammar(join(FOLDER, "mix.txt"))]);
  const desk = { writer, random, bank: loadBank(join(FOLDER, "mix-bank.txt")), decks: {} };
  /** @type {Map<string, { messages: Message[] }>} */
  const chats = new Map();
  for (let i = 0; chats.size < count; i++) {
    const [user, assistant] = TASKS[i % TASKS.length](desk);
    const messages = [
      { role: "user", content: user },
      { role: "assistant", content: assistant },
    ];
    chats.set(`${user}\n${assistant}`, { messages });
  }
  return shuffle(random, [...chats.values()]);
}

/**
 * "@name" begins a table; its lines are cells divided by " | ".
 *
 * @param {string} path
 */
function loadBank(path) {
  /** @type {Record<string, string[][]>} */
  const bank = {};
  let table = "";
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (line.startsWith("@")) {
      table = line.slice(1);
      bank[table] = [];
    } else if (line !== "" && !line.startsWith("#")) bank[table].push(line.replaceAll("\\n", "\n").split(" | "));
  }
  return bank;
}

/**
 * A request of the bank in one of several wordings, with its written answer.
 *
 * @param {string} table
 * @returns {(desk: Desk) => [string, string]}
 */
function fromBank(table) {
  return ({ writer, random, bank, decks }) => {
    if (!decks[table]?.length) decks[table] = shuffle(random, bank[table]);
    const [thing, text] = /** @type {string[]} */ (decks[table].pop());
    return [ask(writer, table, { thing }), text];
  };
}

/**
 * @param {Writer} writer
 * @param {string} symbol
 * @param {Record<string, string>} variables
 */
function ask(writer, symbol, variables) {
  writer.variables = variables;
  return writer.write(symbol);
}

/**
 * @param {Writer} writer
 * @param {string} symbol
 * @param {string} result
 * @param {Record<string, string>} variables
 */
function answer(writer, symbol, result, variables = {}) {
  writer.variables = { ...variables, result };
  return writer.write(symbol);
}

/** @param {string[]} words */
function listed(words) {
  return `${capital(words.slice(0, -1).join(", "))} and ${words.at(-1)}.`;
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
