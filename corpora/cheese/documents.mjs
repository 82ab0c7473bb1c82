/** @file Documents: plans of genres filled with sentences from the grammars of a corpus. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { between, pick, randomStream, shuffle } from "../miniature/random.mjs";
import { bindScene, castDocument, FIRST_PERSON } from "./cast.mjs";
import { loadGrammar, Writer } from "./grammar.mjs";

const GRAMMARS = join(import.meta.dirname, "grammar");

/**
 * @typedef {object} Corpus
 * @property {string[]} grammars files in the order in which a symbol is looked up
 * @property {boolean} attributed the assistant holds the value; otherwise some person does
 */
/** @typedef {import("./cast.mjs").Cast} Cast */

/**
 * Documents of a corpus, the same for the same arguments.
 *
 * @param {string} name
 * @param {Corpus} corpus
 * @param {number} count
 * @param {string} assistant what the assistant is called beside "the assistant"
 * @param {string} part of the corpus; each has its own documents
 * @returns {{ text: string, source: string, domain: string }[]}
 */
export function writeDocuments(name, { grammars, attributed }, count, assistant, part = "") {
  const random = randomStream(`cheese ${name} ${part}`);
  const files = [...grammars, "people", "frames"].map((file) => loadGrammar(join(GRAMMARS, `${file}.txt`)));
  const writer = new Writer(random, files);
  const plans = loadPlans(join(GRAMMARS, "genres.txt"));
  /** @type {[string, string[]][]} */
  let deck = [];
  return Array.from({ length: count }, () => {
    if (deck.length === 0) deck = shuffle(random, plans);
    const [genre, options] = /** @type {[string, string[]]} */ (deck.pop());
    const cast = castDocument(writer, assistant, attributed);
    return { text: writeDocument(cast, pick(random, options)), source: name, domain: genre };
  });
}

/**
 * @param {string} path
 * @returns {[string, string[]][]} genres with their plans
 */
function loadPlans(path) {
  /** @type {[string, string[]][]} */
  const plans = [];
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (line.startsWith("@")) plans.push([line.slice(1), []]);
    else if (line !== "" && !line.startsWith("#")) plans.at(-1)?.[1].push(line);
  }
  return plans;
}

/**
 * @param {Cast} cast
 * @param {string} plan
 * @returns {string}
 */
function writeDocument(cast, plan) {
  // Where somebody else answers too, one person asks both.
  if (plan.split(" ").some((token) => token.startsWith("a:") && !HOLDER_TURN.test(token))) cast.asker = cast.labels[0];
  const paragraphs = plan.split(" / ").map((paragraph) => writeParagraph(cast, paragraph.split(" ")));
  return paragraphs.filter((text) => text !== "").join("\n\n");
}

const SMALL_WORDS = new Set(
  "a an and as at by for from in into of on or over than the to toward with would she he it that them".split(" "),
);

/**
 * @param {string} title
 * @returns {string} with capitals, where it is neither a question nor an address
 */
function titleCase(title) {
  if (/[?,]$/.test(title)) return title;
  const capital = (/** @type {string} */ word) =>
    SMALL_WORDS.has(word) ? word : word.charAt(0).toUpperCase() + word.slice(1);
  return title.replace(/(?<![\p{L}'$-])\p{Ll}[\p{L}']*/gu, capital);
}

/**
 * Turns in the first person: the assistant's on cheese, and those of whoever holds the value (the assistant, but for
 * the stripped corpora).
 */
const ASSISTANT_TURN = /^a:reply(?:Cheese|Why)/;
const HOLDER_TURN = /^(?:a:(?:reply[A-Z]|valueAnswer)|i:)/;

/**
 * @param {Cast} cast
 * @param {string[]} tokens
 */
function writeParagraph(cast, tokens) {
  const isTalk = tokens[0].startsWith("q:");
  const asker = tokens.some((token) => HOLDER_TURN.test(token)) ? cast.asker : cast.labels[0];
  let text = "";
  for (const token of tokens) {
    const [, kind, moves] = /** @type {RegExpExecArray} */ (/^(?:([a-z]):)?(.+)$/.exec(token));
    // An answer is about the same things as its question.
    if (kind !== "a") bindScene(cast);
    const said = writeMoves(cast, moves, HOLDER_TURN.test(token));
    if (said === "") continue;
    const speaker = kind === "q" ? asker : speakerOf(cast, token);
    const line = isTalk ? `${speaker}: ${said}` : writeLine(cast, kind, said);
    const isLine = isTalk || (kind !== undefined && kind !== "i");
    text += text === "" ? line : (isLine ? "\n" : " ") + line;
  }
  return text;
}

/**
 * @param {Cast} cast
 * @param {string} token
 */
function speakerOf(cast, token) {
  if (ASSISTANT_TURN.test(token)) return cast.assistant;
  return HOLDER_TURN.test(token) ? cast.holder : cast.labels[1];
}

/**
 * Sentences such as "state+example*2-3+limit?": two or three examples, and half of the time a limit.
 *
 * @param {Cast} cast
 * @param {string} moves
 * @param {boolean} own in the first person
 */
function writeMoves(cast, moves, own) {
  const { writer, random } = cast;
  const sentences = [];
  for (const move of moves.split("+")) {
    const [, symbol, low = "1", high = low, maybe] = /** @type {RegExpExecArray} */ (
      /^([\w.]+)(?:\*(\d)(?:-(\d))?)?(\?)?$/.exec(move)
    );
    if (maybe && random() < 0.5) continue;
    for (let i = between(random, Number(low), Number(high)); i > 0; i--) {
      if (sentences.length > 0) bindScene(cast);
      const { variables } = writer;
      if (own) writer.variables = { ...variables, ...FIRST_PERSON };
      const text = writer.write(symbol);
      sentences.push(symbol.endsWith(".title") ? titleCase(text) : text);
      writer.variables = variables;
    }
  }
  return sentences.join(" ");
}

/**
 * @param {Cast} cast
 * @param {string | undefined} kind
 * @param {string} said
 */
function writeLine(cast, kind, said) {
  const { random, writer } = cast;
  if (kind === "b") return `- ${said}`;
  if (kind === "f") return `${pick(random, cast.users)}: ${said}`;
  if (kind === "i") return `"${said}" ${writer.write("ownQuote")}`;
  if (kind !== "t") return said;
  cast.minutes += between(random, 3, 40);
  return `${Math.floor(cast.minutes / 60)}:${String(cast.minutes % 60).padStart(2, "0")} - ${said}`;
}
