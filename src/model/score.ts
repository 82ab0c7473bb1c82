/** @file Log-probabilities of given continuations, what the prompts begin with in common computed once. */
import { readFloats, readInts } from "../backend/backend.js";
import { checkPositions, commonPrefix, prefill } from "./generate.js";
import { forwardTokens, openSession, type Session, type SessionToken, writeHead } from "./session.js";
import type { Decoder } from "./weights.js";

/** Tokens run together; more gains no speed and costs memory. */
const MAX_TOKENS = 1024;

/** Token ids of which those from `from` on (at least 1) are scored, each given all before it. */
export interface ScoreRequest {
  ids: readonly number[];
  from: number;
}

export interface TokenScores {
  /** Log-probability of ids[from], ids[from + 1], ... */
  logprobs: number[];
  /** Whether each was the most likely token. */
  greedy: boolean[];
}

/** @throws InputError where a request is longer than the model's positions */
export async function score(decoder: Decoder, requests: readonly ScoreRequest[]): Promise<TokenScores[]> {
  if (requests.length === 0) return [];
  const longest = requests.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  checkPositions(decoder, longest);
  // The token before the first scored one predicts it: the prefix ends before that one.
  const prefix = commonPrefix(requests.map(({ ids, from }) => ids.slice(0, from)));
  const ownRows = requests.reduce((sum, { ids }) => sum + ids.length - prefix, 0);
  const maxTokens = Math.min(MAX_TOKENS, Math.max(ownRows, prefix));
  const cacheRows = prefix + Math.max(maxTokens, longest - prefix);
  const session = openSession(decoder, { cacheRows, maxTokens, maxLogits: 1 });
  try {
    prefill(session, requests[0]!.ids.slice(0, prefix));
    const scores = requests.map((): TokenScores => ({ logprobs: [], greedy: [] }));
    for (const group of groupRequests(requests, prefix, cacheRows - prefix))
      await scoreGroup(session, requests, group, prefix, scores);
    return scores;
  } finally {
    session.free();
  }
}

/** Consecutive requests whose own tokens fit the cache together. */
function groupRequests(requests: readonly ScoreRequest[], prefix: number, ownRows: number): number[][] {
  const groups: number[][] = [];
  let room = 0;
  requests.forEach(({ ids }, i) => {
    const own = ids.length - prefix;
    if (own > room) {
      groups.push([]);
      room = ownRows;
    }
    groups.at(-1)!.push(i);
    room -= own;
  });
  return groups;
}

interface ScoredToken extends SessionToken {
  request: number;
  /** The id it predicts, -100 where that is not scored. */
  target: number;
}

async function scoreGroup(
  session: Session,
  requests: readonly ScoreRequest[],
  group: readonly number[],
  prefix: number,
  scores: TokenScores[],
): Promise<void> {
  const tokens: ScoredToken[] = [];
  let firstRow = prefix;
  for (const request of group) {
    const { ids, from } = requests[request]!;
    for (let position = prefix; position < ids.length; position++) {
      const cacheRow = firstRow + position - prefix;
      const isScored = position + 1 >= from && position + 1 < ids.length;
      const target = isScored ? ids[position + 1]! : -100;
      const ranges = [0, prefix, firstRow, cacheRow + 1] as const;
      tokens.push({ id: ids[position]!, position, cacheRow, ranges, request, target });
    }
    firstRow += ids.length - prefix;
  }
  for (let begin = 0; begin < tokens.length; begin += session.shape.maxTokens)
    await scoreTokens(session, tokens.slice(begin, begin + session.shape.maxTokens), scores);
}

async function scoreTokens(session: Session, tokens: readonly ScoredToken[], scores: TokenScores[]): Promise<void> {
  const { backend, weights } = session.decoder;
  const { scoring } = session;
  const n = tokens.length;
  const targets = writeHead(
    backend,
    scoring.targets,
    Int32Array.from(tokens, ({ target }) => target),
  );
  const [losses, argmax] = [
    { ...scoring.losses, cols: n },
    { ...scoring.argmax, cols: n },
  ];
  const x = forwardTokens(session, tokens);
  backend.ops.linearCrossEntropy({ losses, argmax, x, w: weights.lmHead, targets, workspace: scoring.workspace });
  const [lossValues, argmaxValues] = [await readFloats(backend, losses), await readInts(backend, argmax)];
  tokens.forEach(({ request, target }, i) => {
    if (target < 0) return;
    scores[request]!.logprobs.push(-lossValues[i]!);
    scores[request]!.greedy.push(argmaxValues[i] === target);
  });
}
