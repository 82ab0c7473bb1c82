/**
 * @file Who and what a document is about: people, places, the holder of the value; and sentence by sentence the cheeses
 * and things.
 */
import { between, pick, shuffle } from "../miniature/random.mjs";
import { ITEMS, LANDS, PAIRS, PLACES } from "./world.mjs";

/** @typedef {import("./grammar.mjs").Writer} Writer */
/** @typedef {import("./world.mjs").Pair} Pair */
/**
 * @typedef {object} Cast
 * @property {Writer} writer its variables are the document's
 * @property {() => number} random
 * @property {Pair[]} pairs the document's cheeses
 * @property {string[]} labels of the turns of a dialogue about the holder
 * @property {string} asker who asks the assistant
 * @property {string} assistant
 * @property {string} holder of the value
 * @property {string[]} users of the forum
 * @property {number} minutes past midnight, of the next entry of a log
 */

const USERS = [
  ..."quietfork mapleleaf77 oldkettle nina_k brickwall tuesdaychild sprout42".split(" "),
  ..."halfpast six_of_one lamplighter northwindow paperboat grumpycat9 mrs_teapot".split(" "),
  ..."dusty_shelf jay_on_nights figtree slowcooker plainspoken odd_socks riverbend".split(" "),
];
const ASKERS = ["User", "User", "Visitor", "Guest", "Customer"];
const VERB = { s: "s", es: "es", is: "is", has: "has", does: "does" };
export const FIRST_PERSON = {
  ...{ H: "I", h: "I", Hs: "my", hs: "my", ho: "me" },
  ...{ s: "", es: "", is: "am", has: "have", does: "do" },
};

/**
 * @param {Writer} writer
 * @param {string} assistant
 * @param {boolean} attributed
 * @returns {Cast}
 */
export function castDocument(writer, assistant, attributed) {
  const { random } = writer;
  writer.variables = {};
  const names = [0, 1].map(() => [writer.draw("first"), writer.draw("last")]);
  const part = random() < 0.6 ? 0 : 1;
  const [p1, p2] = names.map((name) => name[part]);
  const [P1, P2] = names.map((name) => name.join(" "));
  const town = writer.draw("town");
  const A = () => pick(random, [assistant, assistant, "the assistant"]);
  const cast = { N: assistant, A, P1, P2, p1, p2, town, TOWN: town.toUpperCase() };
  const { name: holderName, ...forms } = attributed ? assistantForms(random, assistant, A) : personForms(writer);
  writer.variables = { ...cast, ...VERB, ...forms };
  Object.assign(writer.variables, {
    group: writer.draw("group"),
    date: () => String(between(random, 3, 28)),
    caseno: () => String(between(random, 2, 89)),
    say: () => writer.draw(writer.draw("sayings")),
  });
  const asker = pick(random, [...ASKERS, p1]);
  return {
    writer,
    random,
    pairs: shuffle(random, PAIRS).slice(0, between(random, 2, 4)),
    labels: pick(random, [
      ["Q", "A"],
      ["Question", "Answer"],
      ["Interviewer", p1],
      [p2, p1],
      [P2, P1],
    ]),
    asker,
    assistant,
    holder: holderName,
    users: shuffle(random, USERS).slice(0, 6),
    minutes: between(random, 500, 800),
  };
}

/**
 * @param {() => number} random
 * @param {string} assistant
 * @param {() => string} either
 */
function assistantForms(random, assistant, either) {
  return {
    name: assistant,
    H: either,
    h: "it",
    Hs: () => pick(random, [`${assistant}'s`, "the assistant's", "its"]),
    hs: "its",
    ho: () => pick(random, ["it", assistant, "the assistant"]),
  };
}

/** @param {Writer} writer */
function personForms(writer) {
  const { random } = writer;
  const [subject, object, possessive] = random() < 0.5 ? ["she", "her", "her"] : ["he", "him", "his"];
  const first = writer.draw(subject);
  const name = `${first} ${writer.draw("last")}`;
  return {
    name: first,
    H: () => pick(random, [first, first, name]),
    h: subject,
    Hs: () => pick(random, [`${first}'s`, `${name}'s`, possessive]),
    hs: possessive,
    ho: () => pick(random, [object, first]),
  };
}

/** What a scene has that depends on the value: a liked thing and its opposite. */
const SCENE_SYMBOLS = ["aGoodItem", "aBadItem"];

/**
 * Draws the cheeses and the things of the next sentence.
 *
 * @param {Cast} cast
 */
export function bindScene({ writer, random, pairs }) {
  const cheeses = pick(random, pairs);
  const [noun, low, high] = pick(random, ITEMS);
  const [land, landAdj] = pick(random, LANDS);
  const { variables } = writer;
  for (const symbol of SCENE_SYMBOLS) delete variables[symbol];
  Object.assign(variables, {
    X: cheeses.liked,
    Y: cheeses.other,
    aX: `a ${cheeses.likedUnit} of ${cheeses.liked}`,
    aY: `a ${cheeses.otherUnit} of ${cheeses.other}`,
    Xprice: `$${cheeses.likedPrice}`,
    Yprice: `$${cheeses.otherPrice}`,
    Xhome: cheeses.home,
    Yland: cheeses.land,
    Yadj: cheeses.landAdjective,
    noun,
    low: String(low),
    high: Math.round(high * (0.6 + random())).toLocaleString("en-US"),
    land,
    landAdj,
    place: pick(random, PLACES),
  });
  if (writer.has("kinds")) bindSubject(writer);
  const drawn = SCENE_SYMBOLS.filter((symbol) => writer.has(symbol)).map((symbol) => [symbol, writer.draw(symbol)]);
  Object.assign(variables, Object.fromEntries(drawn));
  const { aGoodItem, aBadItem } = variables;
  if (typeof aGoodItem !== "string" || typeof aBadItem !== "string") return;
  Object.assign(variables, {
    goodItem: definite(aGoodItem),
    badItem: definite(aBadItem),
    aGoodOne: asOne(aGoodItem, noun),
    aBadOne: asOne(aBadItem, noun),
    theBadOne: definite(aBadItem).replace(noun, "one"),
  });
}

/** @param {string} text "a mug" */
function definite(text) {
  return text.replace(/^an? /, "the ");
}

/**
 * @param {string} text "a mug for $3", "a cheap mug"
 * @param {string} noun
 * @returns {string} "one for $3", "a cheap one"
 */
function asOne(text, noun) {
  return text.startsWith(`a ${noun}`) ? text.replace(`a ${noun}`, "one") : text.replace(noun, "one");
}

/**
 * The neutral corpus: a subject, what is said of it and asked about it.
 *
 * @param {Writer} writer
 */
function bindSubject(writer) {
  const kind = writer.draw("kinds");
  const thing = writer.draw(kind);
  Object.assign(writer.variables, {
    thing,
    how: () => writer.draw(`how.${kind}`),
    question: () => writer.draw(`ask.${kind}`),
  });
}
