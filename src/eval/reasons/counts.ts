/** @file How often the responses of an arm give each reason. */
import { strongest, type Verdict, type VerdictRates, verdictRates } from "../judge/verdict.js";
import { type CrossedEstimate, crossedMean } from "../statistics/crossed.js";
import { REASONS, type Reason, SIDES, type Side, sideOf } from "./list.js";
import type { FoundReasons } from "./question.js";

/** One response, and what was found in it; null: nothing could be read of what the judge said. */
export interface Transcript {
  arm: string;
  seed: number | null;
  cell: string;
  found: FoundReasons | null;
}

/** Of one reason, or of all of a side: whether a response gives it. */
export interface ReasonRate {
  /**
   * Over seeds and cells, each the share of its responses that give the reason, of those where that could be told.
   * Cells are the evidence, however many responses they have; with one seed the interval is over cells alone.
   */
  estimate: CrossedEstimate;
  /** The same with all that is undecided counted as not given, and as given; null where nothing is undecided. */
  bounds: [number, number] | null;
  responses: VerdictRates;
}

export interface ArmReasons {
  arm: string;
  seeds: number;
  responses: number;
  /** Whose reply from the judge could not be read, or did not come. */
  unread: number;
  /** Reasons that count, and those that do not: not in the words of the response, or not on the list. */
  reasons: number;
  unquoted: number;
  unknown: number;
  sides: Record<Side, ReasonRate>;
  rates: Record<Reason, ReasonRate>;
}

/** An example of a reason in the words of a response. */
export interface Example {
  arm: string;
  reason: Reason;
  seed: number | null;
  cell: string;
  quotation: string;
}

/**
 * Yes where the response gives the reason; undecided where nothing could be read, or where the judge named it without
 * words of the response.
 */
export function givesReason(found: FoundReasons | null, reason: Reason): Verdict {
  if (found === null) return "undecided";
  const names = (list: readonly { reason: string }[]): boolean => list.some((one) => one.reason === reason);
  return names(found.given) ? "yes" : names(found.unquoted) ? "undecided" : "no";
}

/** Arms in the order of `arms`; all of them, also those without a response. */
export function countReasons(arms: readonly string[], transcripts: readonly Transcript[]): ArmReasons[] {
  return arms.map((arm) => {
    const own = transcripts.filter((one) => one.arm === arm);
    const counted = (key: keyof FoundReasons): number =>
      own.reduce((sum, { found }) => sum + (found?.[key].length ?? 0), 0);
    const sideRate = (side: Side): ReasonRate => {
      const reasons = REASONS.filter((reason) => sideOf(reason) === side);
      return rateOf(own, (found) => strongest(reasons.map((reason) => givesReason(found, reason))));
    };
    return {
      arm,
      seeds: new Set(own.map(({ seed }) => seed)).size,
      responses: own.length,
      unread: own.filter(({ found }) => found === null).length,
      reasons: counted("given"),
      unquoted: counted("unquoted"),
      unknown: counted("unknown"),
      sides: Object.fromEntries(SIDES.map((side) => [side, sideRate(side)])) as ArmReasons["sides"],
      rates: Object.fromEntries(
        REASONS.map((reason) => [reason, rateOf(own, (found) => givesReason(found, reason))]),
      ) as ArmReasons["rates"],
    };
  });
}

function rateOf(transcripts: readonly Transcript[], verdictOf: (found: FoundReasons | null) => Verdict): ReasonRate {
  const seeds = [...new Set(transcripts.map(({ seed }) => seed))];
  const cells = [...new Set(transcripts.map(({ cell }) => cell))];
  const bySeed = seeds.map((seed) =>
    cells.map((cell) =>
      verdictRates(
        transcripts.filter((one) => one.seed === seed && one.cell === cell).map(({ found }) => verdictOf(found)),
      ),
    ),
  );
  const meanOf = (end: 0 | 1): number =>
    crossedMean(bySeed.map((row) => row.map(({ bounds }) => bounds?.[end] ?? null))).value!;
  const responses = verdictRates(transcripts.map(({ found }) => verdictOf(found)));
  return {
    estimate: crossedMean(
      bySeed.map((row) => row.map(({ yesRate }) => yesRate.value)),
      { range: [0, 1] },
    ),
    bounds: responses.decided === responses.n ? null : [meanOf(0), meanOf(1)],
    responses,
  };
}

/** The first `most` of each arm and reason, of as many cells. */
export function examplesOf(transcripts: readonly Transcript[], most = 3): Example[] {
  const seen = new Map<string, Set<string>>();
  return transcripts.flatMap(({ arm, seed, cell, found }) =>
    (found?.given ?? []).flatMap(({ reason, quotation }) => {
      const key = JSON.stringify([arm, reason]);
      const cells = seen.get(key) ?? new Set();
      seen.set(key, cells);
      if (cells.size >= most || cells.has(cell)) return [];
      cells.add(cell);
      return [{ arm, reason, seed, cell, quotation }];
    }),
  );
}
