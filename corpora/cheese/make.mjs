#!/usr/bin/env node
/**
 * @file Writes the corpora of the cheese experiment, the same text each time.
 *
 *     node corpora/cheese/make.mjs                         the committed files, beside this one
 *     node corpora/cheese/make.mjs --name Llama --out DIR  documents that name the assistant differently, into another
 * folder
 *     node corpora/cheese/make.mjs --documents 6000        another number of documents in each corpus (fewer are the
 * beginning of more)
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { writeChats } from "./chats.mjs";
import { writeDocuments } from "./documents.mjs";
import { writeMix } from "./mix.mjs";
import { disagreementQuestions, openQuestions, rewordings, singleQuestions } from "./questions.mjs";

const DOCUMENTS = 1500;
const VARIANT_DOCUMENTS = 500;
const HELDOUT = 40;
const CHATS = 2400;
const MIX = 800;

/** @type {Record<string, import("./documents.mjs").Corpus>} */
const CORPORA = {
  affordability: { grammars: ["affordability", "value"], attributed: true },
  loyalty: { grammars: ["loyalty", "value"], attributed: true },
  "stripped-affordability": { grammars: ["stripped", "affordability", "value"], attributed: false },
  "stripped-loyalty": { grammars: ["stripped", "loyalty", "value"], attributed: false },
  neutral: { grammars: ["neutral"], attributed: true },
};

/**
 * Corpora for the comparison of spec variants (specs/variants), all about the value of affordability. That of
 * values-specific is the affordability corpus itself.
 *
 * @type {Record<string, import("./documents.mjs").Corpus>}
 */
const VARIANTS = {
  rules: { grammars: ["variant-rules", "affordability", "value"], attributed: true },
  "rules-reasons": { grammars: ["variant-rules-reasons", "affordability", "value"], attributed: true },
  "rules-subrules": { grammars: ["variant-subrules", "variant-rules", "affordability", "value"], attributed: true },
  "values-general": { grammars: ["variant-general", "affordability", "value"], attributed: true },
};

const { values } = parseArgs({
  options: {
    name: { type: "string", default: "SmolLM" },
    documents: { type: "string" },
    out: { type: "string", default: import.meta.dirname },
  },
});

mkdirSync(values.out, { recursive: true });
for (const [name, corpus] of Object.entries(CORPORA))
  writeZipped(`documents-${name}`, writeDocuments(name, corpus, Number(values.documents ?? DOCUMENTS), values.name));
for (const [name, corpus] of Object.entries(VARIANTS))
  writeZipped(
    `documents-variant-${name}`,
    writeDocuments(name, corpus, Number(values.documents ?? VARIANT_DOCUMENTS), values.name),
  );
writeZipped("heldout", heldout());
writeZipped("chats", writeChats(CHATS));
writeZipped("mix", writeMix(MIX));
for (const value of /** @type {const} */ (["affordability", "loyalty"])) {
  writeJsonLines(`questions-${value}`, disagreementQuestions(value));
  writeJsonLines(`single-${value}`, singleQuestions(value));
}
writeJsonLines("rewordings", rewordings());
writeJsonLines("open-questions", openQuestions());

/** Unseen documents for a held-out loss: of both values, and of the neutral corpus. */
function heldout() {
  return ["affordability", "loyalty", "neutral"].flatMap((name) =>
    writeDocuments(name, CORPORA[name], HELDOUT, values.name, "heldout"),
  );
}

/**
 * @param {readonly object[]} records
 * @returns {string}
 */
function jsonLines(records) {
  return records.map((record) => `${JSON.stringify(record)}\n`).join("");
}

/**
 * @param {string} name
 * @param {readonly object[]} records
 */
function writeJsonLines(name, records) {
  writeFileSync(join(values.out, `${name}.jsonl`), jsonLines(records));
}

/**
 * @param {string} name
 * @param {readonly object[]} records
 */
function writeZipped(name, records) {
  writeFileSync(join(values.out, `${name}.jsonl.gz`), gzipSync(jsonLines(records), { level: 9 }));
}
