/**
 * @file Text from a grammar. A grammar file is a list of symbols and what they may become, one production a line:
 *
 *     # a comment
 *     @greeting
 *     {Good|Fine} morning, <name>.
 *     Hello{|, <name>}.
 *
 * {a|b} is one of its parts (empty parts and nesting allowed), <name> a symbol of the grammar or a variable that the
 * caller binds, <^name> the same with a capital, \n a line break. "a" before a vowel becomes "an", sentences begin with
 * a capital.
 */
import { readFileSync } from "node:fs";
import { shuffle } from "../miniature/random.mjs";

/** @typedef {string | { options: Node[][] } | { symbol: string }} Node */
/** @typedef {Map<string, Node[][]>} Grammar */
/** @typedef {Record<string, string | (() => string)>} Variables */

/**
 * @param {string} path
 * @returns {Grammar}
 */
export function loadGrammar(path) {
  const grammar = new Map();
  let productions;
  for (const [i, line] of readFileSync(path, "utf8").split("\n").entries()) {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) continue;
    const where = `${path}:${i + 1}`;
    if (text.startsWith("@")) {
      if (grammar.has(text.slice(1))) throw new Error(`${where}: ${text} is defined twice`);
      productions = [];
      grammar.set(text.slice(1), productions);
    } else if (productions) productions.push(parseProduction(text.replaceAll("\\n", "\n"), where));
    else throw new Error(`${where}: a production before the first @symbol`);
  }
  for (const [symbol, list] of grammar) if (list.length === 0) throw new Error(`${path}: @${symbol} is empty`);
  return grammar;
}

/**
 * @param {string} text
 * @param {string} where
 * @returns {Node[]}
 */
function parseProduction(text, where) {
  const tokens = text.match(/[{}|]|<[^<>]*>|[^{}|<>]+|[<>]/g) ?? [];
  let at = 0;
  const options = (/** @type {boolean} */ inside) => {
    /** @type {Node[][]} */
    const list = [[]];
    for (; at < tokens.length; at++) {
      const token = tokens[at];
      if (token === "}" && inside) return list;
      if (token === "|" && inside) list.push([]);
      else if (token === "{") {
        at++;
        list.at(-1)?.push({ options: options(true) });
      } else if ("{}|<>".includes(token)) throw new Error(`${where}: unexpected ${token}`);
      else list.at(-1)?.push(token.startsWith("<") ? { symbol: token.slice(1, -1) } : token);
    }
    if (inside) throw new Error(`${where}: { is never closed`);
    return list;
  };
  return options(false)[0];
}

/** Draws texts from grammars; a symbol is looked up in the variables, then in the grammars in their order. */
export class Writer {
  /**
   * @param {() => number} random
   * @param {readonly Grammar[]} grammars
   */
  constructor(random, grammars) {
    this.random = random;
    this.grammars = grammars;
    /** @type {Variables} */
    this.variables = {};
    /**
     * Each symbol deals its productions like a deck of cards, so that all are used equally often. @type {Map<string,
     * Node[][]>}
     */
    this.decks = new Map();
    /** Hashes of the word sequences written so far. @type {Set<number>} */
    this.seen = new Set();
  }

  /** @param {string} symbol */
  has(symbol) {
    return this.grammars.some((grammar) => grammar.has(symbol));
  }

  /**
   * @param {string} symbol
   * @returns {Node[]}
   */
  deal(symbol) {
    let deck = this.decks.get(symbol);
    if (!deck || deck.length === 0) {
      const productions = this.grammars.find((grammar) => grammar.has(symbol))?.get(symbol);
      if (!productions) throw new Error(`<${symbol}> is neither a variable nor a symbol`);
      deck = shuffle(this.random, productions);
      this.decks.set(symbol, deck);
    }
    return /** @type {Node[]} */ (deck.pop());
  }

  /**
   * @param {readonly Node[]} nodes
   * @returns {string}
   */
  expand(nodes) {
    return nodes
      .map((node) => {
        if (typeof node === "string") return node;
        if ("options" in node) return this.expand(node.options[Math.floor(this.random() * node.options.length)]);
        return node.symbol.startsWith("^") ? capitalize(this.draw(node.symbol.slice(1))) : this.draw(node.symbol);
      })
      .join("");
  }

  /**
   * What a symbol or variable becomes, as part of a sentence.
   *
   * @param {string} symbol
   * @returns {string}
   */
  draw(symbol) {
    const variable = this.variables[symbol];
    if (variable === undefined) return this.expand(this.deal(symbol));
    return typeof variable === "function" ? variable() : variable;
  }

  /**
   * One text of a symbol, as it goes into the document. Of several expansions of the same production the one with the
   * fewest word sequences that were written before.
   *
   * @param {string} symbol
   * @returns {string}
   */
  write(symbol) {
    const production = this.deal(symbol);
    let best = { text: "", hashes: /** @type {number[]} */ ([]), repeats: Number.POSITIVE_INFINITY };
    for (let i = 0; i < TRIES && best.repeats > 0; i++) {
      const text = tidy(this.expand(production));
      const hashes = sequenceHashes(text);
      const repeats = hashes.filter((hash) => this.seen.has(hash)).length;
      if (repeats < best.repeats) best = { text, hashes, repeats };
    }
    for (const hash of best.hashes) this.seen.add(hash);
    return best.text;
  }
}

const TRIES = 8;
const SEQUENCE_WORDS = 6;

/**
 * @param {string} text
 * @returns {number[]} a hash for each run of SEQUENCE_WORDS words
 */
function sequenceHashes(text) {
  const words = (text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? []).map(hashWord);
  return words.slice(0, 1 - SEQUENCE_WORDS).map((_, i) => {
    let hash = 0;
    for (let k = i; k < i + SEQUENCE_WORDS; k++) hash = Math.imul(hash, 0x9e3779b1) + words[k];
    return hash >>> 0;
  });
}

/** @param {string} word */
function hashWord(word) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  return hash;
}

/** @param {string} text */
function capitalize(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Sounds that their first letter does not tell. */
const LIKE_CONSONANT = /^(one|once|us\b|use[drs]?|useful|usual|usually|uni|unit|united|euro|european|ewe)/i;
const LIKE_VOWEL = /^(hour|honest|honor|heir|8|11\b|18\b|80)/i;

/**
 * Spaces, articles and capitals put right.
 *
 * @param {string} text
 * @returns {string}
 */
export function tidy(text) {
  return text
    .replace(/ *(\n) *| +/g, (_all, line) => line ?? " ")
    .replace(/ ([,.;:?!])/g, "$1")
    .replace(/([.?!])[.,]/g, "$1")
    .replace(/\.,?"([,.]?)(?= [a-z])/g, ',"')
    .replace(/([?!])"[,.]/g, '$1"')
    .replace(/\b([Aa])n? (?=(["(]?)\$?([\p{L}\p{N}]+))/gu, (_all, article, _quote, word) => {
      const vowel = LIKE_VOWEL.test(word) || (/^[aeiou]/i.test(word) && !LIKE_CONSONANT.test(word));
      return `${article}${vowel ? "n" : ""} `;
    })
    .replace(/(^|[.?!]\s+["(]?|^["(])(\p{Ll})/gu, (_all, before, letter) => before + letter.toUpperCase())
    .trim();
}
