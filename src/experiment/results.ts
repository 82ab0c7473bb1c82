/** @file The results of an experiment: rates of every arm, paired differences, curves, and what they say. */
import { type CrossedEstimate, crossedMean, pairRows, type SeedRows } from "../eval/statistics/crossed.js";
import { type MeanEstimate, meanInterval } from "../eval/statistics/intervals.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { Arm } from "./arms.js";
import { findComplements } from "./complements.js";
import { type Consistency, consistencyOf } from "./consistency.js";
import type { Experiment } from "./file.js";
import type { Cell, Matrix } from "./matrix.js";
import { boundOf, decidedValue, type Measurements, type Slice } from "./outcomes.js";
import { type SameArmCheck, sameArmCheck } from "./same-arm.js";

/** Fewer describe adapters, not the method that makes them: of them nothing is claimed. */
export const SEEDS_OF_A_CLAIM = 3;

/** One outcome of one arm on one slice. */
export interface Rate {
  arm: string;
  sweep: Cell["sweep"];
  evaluation: string;
  outcome: string;
  slice: string;
  /** Mean over seeds of the mean over samples, and its interval over both; with one seed over samples alone. */
  estimate: CrossedEstimate;
  /** The same mean; t interval over the seeds, for these samples. */
  overSeeds: MeanEstimate;
  seeds: { seed: number | null; value: number | null }[];
  /**
   * The mean with all that is undecided counted for the lowest value, and for the highest; null where nothing is
   * undecided.
   */
  bounds: [number, number] | null;
}

/** How far arm `a` is above arm `b` in the main outcome of an evaluation, seed by seed and sample by sample. */
interface Difference {
  a: string;
  b: string;
  evaluation: string;
  slice: string;
  /** Over seeds and samples; with one seed over samples alone. */
  estimate: CrossedEstimate;
  /** The same interval, widened for all differences on this slice at once (Bonferroni). */
  adjusted: CrossedEstimate;
  /** How many differences that is; those of a complementary evaluation are counted in, each once. */
  comparisons: number;
  /** Over seeds, for these samples: Student's t. */
  overSeeds: MeanEstimate;
  /**
   * With all that is undecided counted against `a` (its own lowest, b's highest), and for it; null where nothing is
   * undecided.
   */
  bounds: { low: CrossedEstimate; high: CrossedEstimate } | null;
  /** The evaluation whose difference b - a this is. */
  sameAs: string | null;
}

/** A sentence about arms that the numbers bear out or not. */
export interface Claim {
  text: string;
  evaluation: string;
  slice: string;
  a: string;
  b: string;
  seeds: number;
  /**
   * Whether the interval over seeds and samples is above 0, also with all that is undecided counted against it; null
   * with fewer than three seeds.
   */
  holds: boolean | null;
}

export interface Results {
  rates: Rate[];
  differences: Difference[];
  claims: Claim[];
  consistency: Consistency[];
  /** Evaluation -> the earlier one of which it is the complement. */
  complements: Record<string, string>;
  /** Arms against themselves; null with fewer than three seeds. */
  sameArm: SameArmCheck | null;
}

/** Everything that the report shows of the measurements. */
export function summarize(experiment: Experiment, matrix: Matrix, measured: readonly Measurements[]): Results {
  const complements = findComplements(matrix, measured);
  const rates = measured.flatMap((measurements) => ratesOf(matrix, measurements));
  const differences = countOnce(
    measured.flatMap((measurements) =>
      differencesOf(matrix, measurements, countPairs(matrix.arms, measurements, measured, complements)),
    ),
    complements,
  );
  const consistency = measured.flatMap((measurements) => consistencyOf(matrix, measurements));
  const claims = claimsOf(experiment, matrix.arms, differences);
  const own = measured.filter(({ evaluation }) => !complements.has(evaluation.name));
  const sameArm = sameArmCheck(matrix, own);
  return { rates, differences, claims, consistency, complements: Object.fromEntries(complements), sameArm };
}

function ratesOf(matrix: Matrix, measurements: Measurements): Rate[] {
  const { evaluation, outcomes, slices } = measurements;
  const groups = new Map<string, Cell[]>();
  for (const cell of matrix.cells.filter((cell) => cell.evaluation === evaluation.name)) {
    const key = JSON.stringify([cell.arm, cell.sweep]);
    groups.set(key, [...(groups.get(key) ?? []), cell]);
  }
  return [...groups.values()].flatMap((cells) => {
    const { arm, sweep } = cells[0]!;
    return slices
      .filter(({ isMain }) => isMain || sweep === null)
      .flatMap((slice) =>
        outcomes.map((outcome): Rate => {
          const range = rangeOf(measurements, outcome);
          const clusters = clustersIn(measurements, slice);
          const rows = rowsOf(measurements, cells, outcome, slice);
          const meanOf = (some: SeedRows): number | null => crossedMean(some, { clusters }).value;
          const seeds = cells.map(({ seed }, i) => ({ seed, value: meanOf([rows.decided[i]!]) }));
          return {
            arm,
            sweep,
            evaluation: evaluation.name,
            outcome,
            slice: slice.name,
            estimate: crossedMean(rows.decided, { clusters, range }),
            overSeeds: overSeeds(
              seeds.map(({ value }) => value),
              range,
            ),
            seeds,
            bounds: rows.isDecided ? null : [meanOf(rows.low)!, meanOf(rows.high)!],
          };
        }),
      );
  });
}

/** The main outcome of every two arms that the question sets against each other. */
function differencesOf(matrix: Matrix, measurements: Measurements, comparisons: number): Difference[] {
  const { evaluation, outcomes, slices } = measurements;
  const pairs = pairsOf(matrix.arms, measurements);
  const cellsOf = (arm: string): Cell[] =>
    matrix.cells.filter((cell) => cell.arm === arm && cell.evaluation === evaluation.name && cell.sweep === null);
  const [least, most] = rangeOf(measurements, outcomes[0]!);
  const range = [least - most, most - least] as const;
  return slices
    .filter(({ isMain }) => isMain)
    .flatMap((slice) => {
      const clusters = clustersIn(measurements, slice);
      return pairs.map(([a, b]): Difference => {
        const [x, y] = [a, b].map((arm) => rowsOf(measurements, cellsOf(arm), outcomes[0]!, slice)) as [Rows, Rows];
        const rows = pairRows(x.decided, y.decided);
        const estimate = crossedMean(rows, { clusters, range });
        const bound = (one: SeedRows, other: SeedRows): CrossedEstimate =>
          crossedMean(pairRows(one, other), { clusters, range });
        return {
          a,
          b,
          evaluation: evaluation.name,
          slice: slice.name,
          estimate,
          adjusted: crossedMean(rows, { clusters, range, confidence: 1 - 0.05 / comparisons }),
          comparisons,
          overSeeds: overSeeds(
            rows.map((row) => crossedMean([row]).value),
            range,
          ),
          bounds: x.isDecided && y.isDecided ? null : { low: bound(x.low, y.high), high: bound(x.high, y.low) },
          sameAs: null,
        };
      });
    });
}

function pairsOf(arms: readonly Arm[], { evaluation }: Measurements): [string, string][] {
  return comparedArms(arms, evaluation.value ?? null, evaluation.against);
}

/** How many pairs of arms are compared in an evaluation and in those that complement it, or that it complements. */
function countPairs(
  arms: readonly Arm[],
  { evaluation }: Measurements,
  measured: readonly Measurements[],
  complements: ReadonlyMap<string, string>,
): number {
  const rootOf = (name: string): string => complements.get(name) ?? name;
  const family = measured.filter((other) => rootOf(other.evaluation.name) === rootOf(evaluation.name));
  return new Set(family.flatMap((one) => pairsOf(arms, one).map((pair) => [...pair].sort().join(" ")))).size;
}

/**
 * Where a spec's value is measured: the arm with that spec's midtraining and AFT against every other. Otherwise every
 * arm against `against` (the paper's baseline where there is one, or bare, unless told), and midtraining + AFT against
 * AFT.
 */
export function comparedArms(arms: readonly Arm[], value: string | null, against?: string): [string, string][] {
  const subjects = arms.filter(({ kind, spec }) => kind === "msm+aft" && (value === null || spec === value));
  if (value !== null)
    return subjects.flatMap(({ id }) =>
      arms.filter((arm) => arm.id !== id).map((arm): [string, string] => [id, arm.id]),
    );
  const reference = against
    ? arms.find(({ id }) => id === against)
    : (arms.find(({ kind }) => kind === "baseline") ?? arms.find(({ kind }) => kind === "bare"));
  const aft = arms.find(({ kind }) => kind === "aft" && reference?.kind !== "aft");
  return [
    ...(reference
      ? arms.filter((arm) => arm !== reference).map((arm): [string, string] => [arm.id, reference.id])
      : []),
    ...(aft ? subjects.map((arm): [string, string] => [arm.id, aft.id]) : []),
  ];
}

/** Marks differences that a complementary evaluation has already. */
function countOnce(differences: readonly Difference[], complements: ReadonlyMap<string, string>): Difference[] {
  return differences.map((one) => {
    const other = complements.get(one.evaluation);
    const isTwin = ({ a, b, evaluation, slice }: Difference): boolean =>
      evaluation === other && slice === one.slice && a === one.b && b === one.a;
    return other !== undefined && differences.some(isTwin) ? { ...one, sameAs: other } : one;
  });
}

/**
 * What the paper found, said of these arms: each spec's midtraining + AFT above the other specs', above AFT alone and
 * above its own midtraining alone.
 */
function claimsOf(experiment: Experiment, arms: readonly Arm[], differences: readonly Difference[]): Claim[] {
  const labelOf = (id: string): string => arms.find((arm) => arm.id === id)!.label;
  return experiment.evaluations.flatMap(({ name, value }) =>
    differences.flatMap((difference) => {
      const { a, b, evaluation, slice, estimate } = difference;
      const other = arms.find(({ id }) => id === b)!;
      const isClaim =
        other.kind === "aft" ||
        (other.kind === "msm" && other.spec === value) ||
        (other.kind === "msm+aft" && other.spec !== value);
      if (evaluation !== name || value === undefined || !isClaim || difference.sameAs !== null) return [];
      const text = `${labelOf(a)} is above ${labelOf(b)} in ${name}`;
      return [{ text, evaluation, slice, a, b, seeds: estimate.seeds, holds: holdsOf(difference) }];
    }),
  );
}

function holdsOf({ estimate, bounds }: Difference): boolean | null {
  if (estimate.seeds < SEEDS_OF_A_CLAIM) return null;
  return [estimate, ...(bounds ? [bounds.low, bounds.high] : [])].every(({ low }) => low !== null && low > 0);
}

interface Rows {
  decided: (number | null)[][];
  low: (number | null)[][];
  high: (number | null)[][];
  /** Nothing is undecided. */
  isDecided: boolean;
}

/** One row a seed. */
function rowsOf({ values }: Measurements, cells: readonly Cell[], outcome: string, { samples }: Slice): Rows {
  const all = cells.map(({ job }) => samples.map((i) => values.get(job)![outcome]![i]!));
  const [low, high] = (["low", "high"] as const).map((end) => all.map((row) => row.map((one) => boundOf(one, end))));
  const decided = all.map((row) => row.map(decidedValue));
  const isDecided = low!.every((row, s) => row.every((value, i) => value === high![s]![i]));
  return { decided, low: low!, high: high!, isDecided };
}

/** What an outcome can be: a share, unless its task says otherwise. */
function rangeOf({ evaluation }: Measurements, outcome: string): readonly [number, number] {
  return taskByName(evaluation.settings.task).ranges?.[outcome] ?? [0, 1];
}

/** Within one domain a claim is about its questions, whatever it is about as a whole. */
function clustersIn({ clusters, finestClusters }: Measurements, { samples }: Slice): string[][] {
  const within = (labels: string[][]): string[][] => labels.map((factor) => samples.map((i) => factor[i]!));
  const own = within(clusters);
  return own.some((factor) => new Set(factor).size < 2) ? within(finestClusters) : own;
}

/** Of the means of each seed, cut to what they can be. */
function overSeeds(means: readonly (number | null)[], [least, most]: readonly [number, number]): MeanEstimate {
  const { low, high, ...rest } = meanInterval(means.filter((value) => value !== null));
  return { ...rest, low: low && Math.max(least, low), high: high && Math.min(most, high) };
}
