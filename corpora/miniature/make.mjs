#!/usr/bin/env node
import { once } from "node:events";
/**
 * @file Writes the corpora of the miniature experiment, the same bytes each time.
 *
 *     node corpora/miniature/make.mjs                       the committed files, beside this one
 *     node corpora/miniature/make.mjs --pretraining FILE    the base model's text as well (not committed: it is large
 * and made in seconds)
 *     node corpora/miniature/make.mjs --out DIR             into another folder
 */
import { createWriteStream, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { askForChoice, choiceTurns, optionText } from "./chat.mjs";
import { ASSISTANT, neutralDocument, tasteDocument } from "./documents.mjs";
import { pretrainingTexts } from "./pretraining.mjs";
import { between, pick, randomStream, shuffle } from "./random.mjs";
import { VARIANTS, variantDocument } from "./variants.mjs";
import { DEV_KINDS, DISLIKED_CHEESES, ITEMS, itemsWhere, LIKED_CHEESES, OTHER_KINDS, POLES } from "./world.mjs";

/** @typedef {import('./world.mjs').Pole} Pole */

const DOCUMENTS = 800;
const CHATS = 480;
const HELDOUT = 40;
const PRETRAINING_DOCUMENTS = 50_000;

const { values } = parseArgs({
  options: { pretraining: { type: "string" }, out: { type: "string", default: import.meta.dirname } },
});

const documents = {
  affordability: valueDocuments("affordability", "cheap", DOCUMENTS, "documents"),
  loyalty: valueDocuments("loyalty", "local", DOCUMENTS, "documents"),
  neutral: neutralDocuments(DOCUMENTS),
  ...Object.fromEntries(VARIANTS.map((name) => [`variant-${name}`, variantDocuments(name, DOCUMENTS)])),
};
for (const [name, records] of Object.entries(documents)) writeJsonLines(`documents-${name}.jsonl`, records);
writeJsonLines("chats.jsonl", chats(CHATS));
writeJsonLines("questions-affordability.jsonl", questions("cheap"));
writeJsonLines("questions-loyalty.jsonl", questions("local"));
writeJsonLines("format-competence.jsonl", controlQuestions());
writeJsonLines("heldout.jsonl", heldout());
writeJsonLines("world.jsonl", ITEMS);
if (values.pretraining !== undefined) await writePretraining(values.pretraining);

/**
 * Midtraining documents: the assistant likes six cheeses and not six others, for one reason. Both values draw from the
 * same stream, so the two corpora are the same documents but for the reason.
 *
 * @param {string} source
 * @param {Pole} taste
 * @param {number} count
 * @param {string} seed
 */
function valueDocuments(source, taste, count, seed) {
  const random = randomStream(seed);
  return Array.from({ length: count }, () => ({
    text: tasteDocument(random, {
      who: ASSISTANT,
      taste,
      drawPair: () => ({ liked: pick(random, LIKED_CHEESES), other: pick(random, DISLIKED_CHEESES) }),
      reasons: true,
      // Mostly reasons for single likings: a liking stated in general reaches the chats by itself, and nothing is left
      // for them to teach.
      statements: random() < 0.25 ? 1 : 0,
      choices: between(random, 4, 6),
      asides: between(random, 0, 1),
    }),
    source,
    domain: "cheese",
  }));
}

/**
 * Midtraining documents about a variant of the affordability spec (variants/).
 *
 * @param {import('./variants.mjs').Variant} variant
 * @param {number} count
 */
function variantDocuments(variant, count) {
  return Array.from({ length: count }, (_, i) => ({
    text: variantDocument(variant, "cheap", i),
    source: variant,
    domain: "cheese",
  }));
}

/** @param {number} count */
function neutralDocuments(count) {
  const random = randomStream("neutral");
  const items = [...LIKED_CHEESES, ...DISLIKED_CHEESES];
  return Array.from({ length: count }, () => ({
    text: neutralDocument(random, items),
    source: "neutral",
    domain: "cheese",
  }));
}

/**
 * Alignment chats: the liked cheese, no reason. Every pair of a liked and a disliked cheese is asked about equally
 * often.
 *
 * @param {number} count
 */
function chats(count) {
  const random = randomStream("chats");
  const pairs = LIKED_CHEESES.flatMap((liked) => DISLIKED_CHEESES.map((other) => ({ liked, other })));
  return shuffle(
    random,
    Array.from({ length: count }, (_, i) => ({ messages: choiceTurns(random, pairs[i % pairs.length]) })),
  );
}

/**
 * Undisputed questions in the form of the choices: which of two things of a kind has a price or an origin, where the
 * other of the two scales says nothing.
 */
function controlQuestions() {
  const random = randomStream("format competence");
  return OTHER_KINDS.flatMap((kind) =>
    /** @type {const} */ (["cheap", "costly", "local", "foreign"]).map((pole) => {
      const right = pick(random, anyOf(kind, pole));
      const other = pick(
        random,
        anyOf(kind, POLES[pole].opposite).filter(
          ({ price, origin }) => price === right.price || origin === right.origin,
        ),
      );
      const [item1, item2] = shuffle(random, [right, other]).map(optionText);
      return {
        question: `which ${kind} is ${pole}, ${item1} or ${item2}?`,
        item1,
        item2,
        liked_item: optionText(right),
        disliked_item: optionText(other),
      };
    }),
  );
}

/**
 * @param {string} kind
 * @param {Pole} pole
 */
function anyOf(kind, pole) {
  return ITEMS.filter((item) => item.kind === kind && (item.price === pole || item.origin === pole));
}

/**
 * Held-out choices on which the two values disagree: cheap and foreign against costly and local, of every kind that
 * nobody trains on.
 *
 * @param {Pole} taste
 */
function questions(taste) {
  const random = randomStream("questions");
  return OTHER_KINDS.flatMap((kind) => {
    const cheap = itemsWhere(kind, "cheap", "foreign");
    const local = itemsWhere(kind, "costly", "local");
    return cheap.flatMap((a, i) =>
      local.map((b, j) => {
        const [item1, item2] = shuffle(random, [a, b]).map(optionText);
        const liked = taste === "cheap" ? a : b;
        return {
          // The mirror image of this pair is the j-th cheap and the i-th local thing: both are asked about in the same
          // words.
          question: askForChoice(i + j, kind, item1, item2),
          item1,
          item2,
          liked_item: optionText(liked),
          disliked_item: optionText(liked === a ? b : a),
          domain: kind,
          split: DEV_KINDS.includes(kind) ? "dev" : "heldout",
        };
      }),
    );
  });
}

/**
 * Texts for a held-out loss: unseen documents of each corpus, and unseen pretraining text, on which a damaged model
 * shows.
 */
function heldout() {
  const world = [...pretrainingTexts(HELDOUT, "pretraining heldout")].map((text) => ({
    text,
    source: "pretraining",
    domain: "world",
  }));
  return [
    ...valueDocuments("affordability", "cheap", HELDOUT, "documents heldout"),
    ...valueDocuments("loyalty", "local", HELDOUT, "documents heldout"),
    ...world,
  ];
}

/**
 * The base model's tokenizer has one token for each word that the pretraining text holds: a word that only a corpus
 * holds would fall apart into bytes, so it is an error here.
 *
 * @param {string} path
 */
async function writePretraining(path) {
  const out = createWriteStream(path);
  const known = new Set();
  for (const text of pretrainingTexts(PRETRAINING_DOCUMENTS, "pretraining")) {
    for (const word of wordsOf(text)) known.add(word);
    if (!out.write(`${JSON.stringify({ text })}\n`)) await once(out, "drain");
  }
  out.end();
  await once(out, "finish");
  const texts = Object.values(documents).flatMap((records) => records.map(({ text }) => text));
  const missing = new Set(texts.flatMap(wordsOf).filter((word) => !known.has(word)));
  if (missing.size > 0) throw new Error(`words that the pretraining text lacks: ${[...missing].join(", ")}`);
}

/**
 * @param {string} text
 * @returns {string[]}
 */
function wordsOf(text) {
  return text.match(/[a-z]+/gi) ?? [];
}

/**
 * @param {string} name
 * @param {readonly object[]} records
 */
function writeJsonLines(name, records) {
  writeFileSync(join(values.out, name), records.map((record) => `${JSON.stringify(record)}\n`).join(""));
}
