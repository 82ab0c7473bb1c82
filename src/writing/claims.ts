/**
 * @file Claims: what a spec says, each with the words that carry it. A person may edit the file; a run goes on from it.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeTextFile } from "../base/atomic.js";
import { InputError, RunError } from "../base/errors.js";
import { checkJson, loadJson, loadText, parseJson } from "../base/json.js";
import { STREAMS } from "../base/random.js";
import { jaccard } from "../corpus/near-duplicates.js";
import { ngramHashes, wordsOf } from "../corpus/ngrams.js";
import { sectionsOf } from "../corpus/sections.js";
import { shuffledOrder } from "../corpus/shuffle.js";
import type { Tally } from "./ask.js";
import { contentHash, type JournalRecord } from "./journal.js";
import { fillPrompt } from "./prompt.js";
import { plainReply, type Read, readLabelled } from "./read.js";
import { type Made, makeAll, type Work } from "./work.js";

const KINDS = ["behaviour", "value", "preference", "belief", "tone"] as const;
const CLAIM_LABELS = ["WHAT", "WHY", "LIMIT", "KIND"];
const MAX_SPEC_BYTES = 10_000_000;
/** A passage is a list item or a paragraph; a longer paragraph is cut between sentences. */
const PASSAGE_WORDS = 80;
const LEAST_WORDS = 5;
/** Two claims that have so many pairs of words in common are one. */
const ALIKE = 0.7;
/** Fewer cannot be divided into taught and held out ones. */
const LEAST_CLAIMS = 4;

const claimSchema = z.strictObject({
  id: z.string().min(1),
  section: z.string(),
  /** Of the words in the spec, in UTF-16 code units. */
  from: z.int().min(0),
  to: z.int().min(1),
  words: z.string().min(1),
  what: z.string().min(1),
  /** Null: the spec gives no reason. */
  why: z.string().min(1).nullable(),
  /** Null: it holds always. */
  limit: z.string().min(1).nullable(),
  kind: z.enum(KINDS),
  split: z.enum(["trained", "heldout"]),
});
export type Claim = z.infer<typeof claimSchema>;

/** A list item, or sentences of a paragraph. */
export interface Passage {
  section: string;
  /** Text of the whole section. */
  body: string;
  words: string;
  from: number;
  to: number;
}

/** The spec with line ends as spans count them. Throws InputError where it is empty. */
export function loadSpec(path: string): string {
  const text = loadText(path, MAX_SPEC_BYTES).replace(/\r\n?/g, "\n");
  if (sectionsOf(text).length === 0) throw new InputError(`--spec ${path}: has no text under its headings`);
  return text;
}

/** The passages of a spec in order, each where it stands. */
export function passagesOf(spec: string): Passage[] {
  let at = 0;
  return sectionsOf(spec).flatMap(({ heading, body }) => {
    const begin = spec.indexOf(body, at);
    at = begin + body.length;
    return [...spans(body, begin)]
      .map(([from, to]) => ({ section: heading, body, words: spec.slice(from, to), from, to }))
      .filter(({ words }) => wordsOf(words).length >= LEAST_WORDS);
  });
}

/** Where passages stand: blocks between blank lines and list marks, long ones cut between sentences. */
function* spans(body: string, offset: number): Generator<[number, number]> {
  for (const [first, end] of blocksOf(body)) {
    let from = first;
    let to = first;
    for (const next of sentenceEnds(body, first, end)) {
      if (to > from && wordsOf(body.slice(from, next)).length > PASSAGE_WORDS) {
        yield [offset + from, offset + to];
        from = to + (/^\s*/.exec(body.slice(to))?.[0].length ?? 0);
      }
      to = next;
    }
    yield [offset + from, offset + end];
  }
}

function blocksOf(body: string): [number, number][] {
  const blocks: [number, number][] = [];
  let at = 0;
  let isOpen = false;
  for (const line of body.split("\n")) {
    const mark = /^\s*(?:(?:[-*+]|\d+[.)])\s+)?/.exec(line)![0];
    const end = at + line.trimEnd().length;
    if (line.trim() === "") isOpen = false;
    else if (isOpen && mark.trim() === "") blocks.at(-1)![1] = end;
    else {
      blocks.push([at + mark.length, end]);
      isOpen = true;
    }
    at += line.length + 1;
  }
  return blocks;
}

/** Ends of the sentences of body[from, to), the last of them `to`. */
function sentenceEnds(body: string, from: number, to: number): number[] {
  const marks = [...body.slice(from, to).matchAll(/[.!?]["”’)*_]*(?=\s)/g)];
  return [...marks.map(({ index, 0: mark }) => from + index + mark.length), to];
}

interface ClaimSettings {
  subject: string;
  heldout: number;
  seed: number;
}

/**
 * The claims of `folder`/claims.jsonl where it is there, checked against the spec; otherwise read from the spec,
 * divided and written there. Throws RunError where there are too few.
 */
export async function readClaims(work: Work, spec: string, folder: string, settings: ClaimSettings): Promise<Claim[]> {
  const path = join(folder, "claims.jsonl");
  const tally = join(folder, "records", "claim-stage.json");
  if (existsSync(path)) {
    // What they took belongs to the corpus, whoever has edited them since.
    if (existsSync(tally)) work.asker.tallies.set("claim", loadTally(tally));
    return loadClaims(path, spec);
  }
  const passages = passagesOf(spec);
  let done = 0;
  let lost = 0;
  const found = await makeAll(
    work,
    passages,
    work.journal("claims"),
    (passage) => readPassage(work, passage, settings.subject),
    ({ value }) => {
      if (value === null) lost++;
      work.onProgress("claims", ++done, passages.length, lost);
    },
  );
  if (work.asker.stopped) throw work.asker.stopped;
  const claims = splitClaims(dropAlike(found.filter((claim) => claim != null)), settings);
  if (claims.length < LEAST_CLAIMS)
    throw new RunError(
      `the spec gave ${claims.length} claims from ${passages.length} passages, and at least ${LEAST_CLAIMS} are ` +
        `needed; write ${path} by hand, or name another writer`,
    );
  const took = work.asker.tallies.get("claim");
  if (took) await writeTextFile(tally, JSON.stringify({ ...took, faults: [...took.faults], examples: [] }));
  await writeTextFile(path, claims.map((claim) => `${JSON.stringify(claim)}\n`).join(""));
  return claims;
}

function loadTally(path: string): Tally {
  const tally = loadJson(path, MAX_SPEC_BYTES) as Omit<Tally, "faults"> & { faults: [string, number][] };
  return { ...tally, faults: new Map(tally.faults) };
}

type FoundClaim = Omit<Claim, "split">;

async function readPassage(work: Work, passage: Passage, subject: string): Promise<Made<FoundClaim>> {
  const { section, body, words, from, to } = passage;
  const source = contentHash([section, words]);
  const root: JournalRecord = { id: source, parent: null, hash: source, stage: "passage", section, from, to };
  if (work.writer.choose) {
    // A writer whose lines are filled in cannot say that there is nothing.
    const prompt = fillPrompt("claim-any", { subject, heading: section, passage: words });
    const any = await work.asker.choose(work.writer, "claim", prompt, ["yes", "no"]);
    if ("fault" in any || any.value === 1)
      return { value: null, records: [root, lostRecord(source, "states nothing")] };
  }
  const asked = await work.asker.ask(work.writer, {
    stage: "claim",
    prompt: fillPrompt("claim", { subject, heading: section, section: body, passage: words }),
    words: 60,
    labels: CLAIM_LABELS,
    read: readClaim,
  });
  if ("fault" in asked) return { value: null, records: [root, lostRecord(source, asked.fault)] };
  const { value, step } = asked;
  const hash = contentHash(step);
  const record = { id: contentHash([source, hash]), parent: source, hash, ...step };
  const claim = value && { id: record.id, section, from, to, words, ...value };
  return { value: claim, records: [root, record] };
}

export function lostRecord(parent: string, why: string): JournalRecord {
  const hash = contentHash(why);
  return { id: contentHash([parent, hash]), parent, hash, stage: "given up", why };
}

/** Null: the passage states nothing of the kind. */
export function readClaim(reply: string): Read<Pick<Claim, "what" | "why" | "limit" | "kind"> | null> {
  if (/^\W*none\W*$/i.test(plainReply(reply))) return { value: null };
  const read = readLabelled(reply, CLAIM_LABELS);
  if ("fault" in read) return read;
  const [what, why, limit, kindText] = read.value as [string, string, string, string];
  const kind = KINDS.find((one) => new RegExp(`\\b${one.replace("behaviour", "behaviou?r")}`, "i").test(kindText));
  if (kind === undefined) return { fault: `KIND is none of ${KINDS.join(", ")}` };
  if (wordsOf(what).length < 3) return { fault: "WHAT is no sentence" };
  const isAbsent = (text: string): boolean => /^\W*(?:not given|none|n\/a|not stated|nothing)\b/i.test(text);
  return { value: { what, why: isAbsent(why) ? null : why, limit: isAbsent(limit) ? null : limit, kind } };
}

/** The first of claims that say the same. */
function dropAlike(claims: readonly FoundClaim[]): FoundClaim[] {
  const kept: { claim: FoundClaim; pairs: Set<number> }[] = [];
  for (const claim of claims) {
    const pairs = new Set(ngramHashes(wordsOf(claim.what), 2));
    if (kept.every((other) => jaccard(pairs, other.pairs) < ALIKE)) kept.push({ claim, pairs });
  }
  return kept.map(({ claim }) => claim);
}

/** At least one held out and one trained. */
function splitClaims(claims: readonly FoundClaim[], { heldout, seed }: ClaimSettings): Claim[] {
  const count = Math.min(claims.length - 1, Math.max(1, Math.round(heldout * claims.length)));
  const out = new Set(shuffledOrder(claims.length, seed, STREAMS.claims).subarray(0, count));
  return claims.map((claim, i) => ({ ...claim, split: out.has(i) ? "heldout" : "trained" }));
}

/** Claims as a person may have left them. Throws InputError that names line and field. */
function loadClaims(path: string, spec: string): Claim[] {
  const lines = loadText(path, MAX_SPEC_BYTES).split("\n");
  const claims = lines.flatMap((line, i) => {
    if (line.trim() === "") return [];
    const where = `${path} line ${i + 1}`;
    const claim = checkJson(claimSchema, parseJson(line, where), where);
    if (spec.slice(claim.from, claim.to) === claim.words) return [claim];
    const from = spec.indexOf(claim.words);
    if (from < 0)
      throw new InputError(`${where}: words ${JSON.stringify(claim.words.slice(0, 80))} are not in the spec`);
    return [{ ...claim, from, to: from + claim.words.length }];
  });
  const ids = claims.map(({ id }) => id);
  const twice = ids.find((id, i) => ids.indexOf(id) < i);
  if (twice !== undefined) throw new InputError(`${path}: the id ${twice} is there twice`);
  for (const split of ["trained", "heldout"] as const)
    if (!claims.some((claim) => claim.split === split))
      throw new InputError(`${path}: no claim has the split ${split}; chats need trained ones, questions heldout ones`);
  return claims;
}

/** What prompts say of a claim. */
export function claimValues(claim: Claim, subject: string): Record<"subject" | "what" | "why" | "limit", string> {
  return { subject, what: claim.what, why: claim.why ?? "not given", limit: claim.limit ?? "it holds always" };
}
