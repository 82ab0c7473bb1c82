/** @file The plan: cells of claim x genre x readers x stance x length, with names and a place, all by the seed. */
import { seedOf } from "../base/seed.js";
import type { Claim } from "./claims.js";
import {
  AUDIENCES,
  GENRES,
  type Genre,
  LENGTHS,
  nameOf,
  placeOf,
  QUESTION_KINDS,
  SHOWS,
  STANCES,
  TOPICS,
} from "./genres.js";
import { contentHash } from "./journal.js";

export interface Cell {
  id: string;
  claim: Claim;
  /** How many cells the claim has before this one. */
  turn: number;
  genre: Genre;
  audience: string;
  stance: string;
  /** Wanted. */
  words: number;
  names: string;
  place: string;
  thing: string;
}

/** The cell `turn` of a claim. A claim meets every genre once before it meets one again. */
function cellOf(claim: Claim, turn: number, seed: number): Cell {
  const draw = drawsOf(seed, "cell", claim.id, turn);
  const first = seedOf(seed, "genre", claim.id) % GENRES.length;
  const genre = GENRES[(first + turn) % GENRES.length]!;
  const names = `${nameOf(draw)} and ${nameOf(draw)}`;
  const audience = draw(AUDIENCES.length);
  const stance = draw(STANCES.length);
  const length = draw(LENGTHS.length);
  return {
    id: contentHash([claim, turn, seed]),
    claim,
    turn,
    genre,
    names,
    audience: AUDIENCES[audience]!,
    stance: STANCES[stance]!,
    words: Math.round((genre.words * LENGTHS[length]!) / 10) * 10,
    place: placeOf(draw),
    thing: TOPICS[draw(TOPICS.length)]!,
  };
}

/** What a chat of a cell begins with. */
export function questionKindOf({ turn, claim }: Cell, seed: number): (typeof QUESTION_KINDS)[number] {
  return QUESTION_KINDS[(seedOf(seed, "kind", claim.id) + turn) % QUESTION_KINDS.length]!;
}

/** How the value shows in a forced choice of a cell, and what it is about: not the same in two of one claim. */
export function choiceFormOf({ turn, claim }: Cell, seed: number): { shows: (typeof SHOWS)[number]; topic: string } {
  const first = seedOf(seed, "topic", claim.id);
  return { shows: SHOWS[(first + turn) % SHOWS.length]!, topic: TOPICS[(first + turn) % TOPICS.length]! };
}

/** Numbers below what is asked for, by what they are of. */
function drawsOf(...of: unknown[]): (below: number) => number {
  let counter = 0;
  return (below) => seedOf(...of, counter++) % below;
}

/** What is to be kept of each claim: as equal as can be, the first ones one more. */
function quotasOf(claims: readonly Claim[], count: number): Map<string, number> {
  const each = Math.floor(count / claims.length);
  const more = count % claims.length;
  return new Map(claims.map(({ id }, i) => [id, each + (i < more ? 1 : 0)]));
}

/**
 * Makes cells until every claim has its quota of what is kept: in rounds, each asking for what the ones before were
 * short of, with the claim's next genres. `makeRound` returns all that is kept so far; after `MAX_ROUNDS` a claim stays
 * short.
 */
export async function fillQuotas<T extends { cell: Cell }>(
  claims: readonly Claim[],
  count: number,
  seed: number,
  makeRound: (cells: Cell[], kept: readonly T[]) => Promise<T[]>,
  isStopped: () => boolean,
): Promise<T[]> {
  const quotas = quotasOf(claims, count);
  const turns = new Map<string, number>();
  let kept: T[] = [];
  for (let round = 0; round < MAX_ROUNDS && !isStopped(); round++) {
    const short = claims.map((claim) => {
      const has = kept.filter(({ cell }) => cell.claim.id === claim.id).length;
      return { claim, missing: quotas.get(claim.id)! - has };
    });
    const cells = interleave(
      short.map(({ claim, missing }) => {
        const begin = turns.get(claim.id) ?? 0;
        turns.set(claim.id, begin + Math.max(0, missing));
        return Array.from({ length: Math.max(0, missing) }, (_, i) => cellOf(claim, begin + i, seed));
      }),
    );
    if (cells.length === 0) break;
    kept = await makeRound(cells, kept);
  }
  return kept;
}

const MAX_ROUNDS = 6;

/** The first of each list, then the second of each, ...: a run that is stopped has something of every claim. */
function interleave<T>(lists: readonly T[][]): T[] {
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list.slice(i, i + 1))).flat();
}
