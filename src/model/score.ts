/** @file Log-probabilities of given continuations; what the prompts have in common is computed once. */
import { readFloats, readInts } from "../backend/backend.js";
import { checkTokenIds } from "../shape/token-ids.js";
import { checkLogprob } from "./finite.js";
import { checkPositions, commonPrefix, prefill } from "./generate.js";
import { forwardTokens, lossesOf, openSession, type Session, type SessionShape, type SessionToken } from "./session.js";
import type { Decoder } from "./weights.js";

/** Tokens run together; more gains no speed and costs memory. */
const MAX_TOKENS = 1024;
/** Cache rows besides the shared prefix, unless one request needs more. */
const CACHE_ROWS = 2 * MAX_TOKENS;

/** Token ids of which those from `from` on (at least 1) are scored, each given all before it. */
export interface ScoreRequest {
  ids: readonly number[];
  from: number;
  /** Names it in errors; by default its number. */
  where?: string;
}

export interface TokenScores {
  /** Log-probability of ids[from], ids[from + 1], ... */
  logprobs: number[];
  /** Whether each was the most likely token. */
  greedy: boolean[];
}

/**
 * Scores `requests`. The tokens that all begin with are run once, and so is the beginning that consecutive requests
 * share (the answers to one question); neither changes a result but for rounding. `onProgress` is told how many
 * requests are done.
 * @throws InputError where a request holds an id that the model does not have, or is longer than the model's positions;
 * RunError where a log-probability is not finite
 */
export async function score(
  decoder: Decoder,
  requests: readonly ScoreRequest[],
  onProgress: (done: number) => void = () => {},
): Promise<TokenScores[]> {
  if (requests.length === 0) return [];
  for (const [i, { ids, where }] of requests.entries())
    checkTokenIds(ids, decoder.config.vocabSize, where ?? `request ${i + 1}`);
  const longest = requests.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  checkPositions(decoder, longest);
  // The token before the first scored one predicts it: the prefix ends before that one.
  const prefix = commonPrefix(requests.map(({ ids, from }) => ids.slice(0, from)));
  const slots = planSlots(requests, prefix);
  const ownRows = Math.max(longest - prefix, Math.min(CACHE_ROWS, sumRows(slots)));
  const session = openSession(decoder, sessionShape(prefix, ownRows));
  try {
    prefill(session, requests[0]!.ids.slice(0, prefix));
    const scores = requests.map((): TokenScores => ({ logprobs: [], greedy: [] }));
    let done = 0;
    for (const group of groupSlots(slots, ownRows)) {
      await scoreGroup(session, requests, group, prefix, scores);
      for (const { members } of group) for (const i of members) checkScores(scores[i]!, requests[i]!, i);
      done += group.reduce((sum, { members }) => sum + members.length, 0);
      onProgress(done);
    }
    return scores;
  } finally {
    session.free();
  }
}

function checkScores({ logprobs }: TokenScores, { where }: ScoreRequest, i: number): void {
  for (const logprob of logprobs) checkLogprob(logprob, where ?? `request ${i + 1}`);
}

function sessionShape(prefix: number, ownRows: number): SessionShape {
  const maxTokens = Math.min(MAX_TOKENS, Math.max(ownRows, prefix));
  return { cacheRows: prefix + ownRows, maxTokens, maxLogits: 0, maxLosses: maxTokens };
}

/** The largest session that `score` opens for requests of at most `longest` tokens. */
export function scoringShape(longest: number): SessionShape {
  return sessionShape(0, Math.max(longest, CACHE_ROWS));
}

/**
 * Consecutive requests that share cache rows: the first runs from the prefix on, then each other one over the rows
 * after `shared`.
 */
interface Slot {
  members: number[];
  /** Tokens that the members begin with, those of the prefix included. */
  shared: number;
  /** Cache rows, those of the prefix not included. */
  rows: number;
}

function planSlots(requests: readonly ScoreRequest[], prefix: number): Slot[] {
  const slots: Slot[] = [];
  requests.forEach(({ ids, from }, i) => {
    const slot = slots.at(-1);
    const leader = slot && requests[slot.members[0]!]!.ids;
    const shared = slot && leader ? Math.min(slot.shared, from - 1, commonLength(leader, ids)) : 0;
    const own = ids.length - prefix;
    // Worth it where it spares at least half of the request's tokens and costs the other members nothing.
    if (slot && (slot.members.length === 1 ? shared - prefix >= own / 2 : shared === slot.shared)) {
      slot.members.push(i);
      slot.shared = shared;
      slot.rows = Math.max(slot.rows, own);
    } else slots.push({ members: [i], shared: ids.length, rows: own });
  });
  return slots;
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function sumRows(slots: readonly Slot[]): number {
  return slots.reduce((sum, { rows }) => sum + rows, 0);
}

/** Slots that fit the cache together, in order. */
function groupSlots(slots: readonly Slot[], ownRows: number): Slot[][] {
  const groups: Slot[][] = [];
  let room = 0;
  for (const slot of slots) {
    if (slot.rows > room) {
      groups.push([]);
      room = ownRows;
    }
    groups.at(-1)!.push(slot);
    room -= slot.rows;
  }
  return groups;
}

interface ScoredToken extends SessionToken {
  request: number;
  /** The id that it predicts, null where that is not scored. */
  target: number | null;
}

/**
 * Runs the first member of every slot, then the second ones over what the first left after the shared tokens, and so
 * on.
 */
async function scoreGroup(
  session: Session,
  requests: readonly ScoreRequest[],
  group: readonly Slot[],
  prefix: number,
  scores: TokenScores[],
): Promise<void> {
  const rounds = group.reduce((most, { members }) => Math.max(most, members.length), 0);
  for (let round = 0; round < rounds; round++) {
    const tokens: ScoredToken[] = [];
    let firstRow = prefix;
    for (const { members, shared, rows } of group) {
      const request = members[round];
      if (request !== undefined) {
        const begin = round === 0 ? prefix : shared;
        tokens.push(...requestTokens(requests[request]!, request, begin, prefix, firstRow));
      }
      firstRow += rows;
    }
    for (let begin = 0; begin < tokens.length; begin += session.shape.maxTokens)
      await scoreTokens(session, tokens.slice(begin, begin + session.shape.maxTokens), scores);
  }
}

/** The tokens of a request from `begin` on; the last predicts nothing and is left out. */
function* requestTokens(
  { ids, from }: ScoreRequest,
  request: number,
  begin: number,
  prefix: number,
  firstRow: number,
): Generator<ScoredToken> {
  for (let position = begin; position + 1 < ids.length; position++) {
    const cacheRow = firstRow + position - prefix;
    const target = position + 1 >= from ? ids[position + 1]! : null;
    yield {
      id: ids[position]!,
      position,
      cacheRow,
      ranges: [0, prefix, firstRow, cacheRow + 1],
      request,
      target,
    };
  }
}

async function scoreTokens(session: Session, tokens: readonly ScoredToken[], scores: TokenScores[]): Promise<void> {
  const { backend } = session.decoder;
  const hidden = forwardTokens(session, tokens);
  const scored = tokens.flatMap(({ request, target }, row) => (target === null ? [] : [{ row, request, target }]));
  if (scored.length === 0) return;
  const { losses, argmax } = lossesOf(
    session,
    hidden,
    scored.map(({ row }) => row),
    scored.map(({ target }) => target),
  );
  const lossValues = await readFloats(backend, losses);
  const argmaxValues = await readInts(backend, argmax);
  scored.forEach(({ request, target }, i) => {
    scores[request]!.logprobs.push(-lossValues[i]!);
    scores[request]!.greedy.push(argmaxValues[i] === target);
  });
}
