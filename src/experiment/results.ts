/** @file The results of an experiment: rates of every arm, paired differences, curves, and what they say. */
import { type Estimate, type MeanEstimate, meanInterval, pairedDifference } from "../eval/statistics/intervals.js";
import type { Arm } from "./arms.js";
import { type Consistency, consistencyOf } from "./consistency.js";
import type { Experiment } from "./file.js";
import type { Cell, Matrix } from "./matrix.js";
import type { Measurements, Slice } from "./outcomes.js";

/** One outcome of one arm on one slice. */
export interface Rate {
  arm: string;
  sweep: Cell["sweep"];
  evaluation: string;
  outcome: string;
  slice: string;
  /** Mean over the samples of the mean over seeds; Student's t interval over the samples. */
  overSamples: MeanEstimate;
  /** Mean over the seeds of the mean over samples; t interval over the seeds. */
  overSeeds: MeanEstimate;
  seeds: { seed: number | null; value: number | null }[];
}

/** How far arm `a` is above arm `b` in the main outcome of an evaluation, sample by sample. */
interface Difference {
  a: string;
  b: string;
  evaluation: string;
  slice: string;
  /** Over samples, each the mean of its seeds: bootstrap. */
  overSamples: Estimate;
  /** The same interval, widened for all differences on this slice at once (Bonferroni). */
  adjusted: Estimate;
  /** How many differences that is. */
  comparisons: number;
  /** Over seeds: Student's t. */
  overSeeds: MeanEstimate;
}

/** A sentence about arms that the numbers bear out or not. */
export interface Claim {
  text: string;
  evaluation: string;
  slice: string;
  a: string;
  b: string;
  /** Whether the interval over samples is above 0. */
  holds: boolean;
}

export interface Results {
  rates: Rate[];
  differences: Difference[];
  claims: Claim[];
  consistency: Consistency[];
}

/** Everything that the report shows of the measurements. */
export function summarize(experiment: Experiment, matrix: Matrix, measured: readonly Measurements[]): Results {
  const rates = measured.flatMap((measurements) => ratesOf(matrix, measurements));
  const differences = measured.flatMap((measurements) => differencesOf(matrix, measurements));
  const consistency = measured.flatMap((measurements) => consistencyOf(matrix, measurements));
  return { rates, differences, claims: claimsOf(experiment, matrix.arms, differences), consistency };
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
        outcomes.map((outcome) => {
          const perSeed = cells.map(({ job, seed }) => ({ seed, values: pick(measurements, job, outcome, slice) }));
          const seeds = perSeed.map(({ seed, values }) => ({ seed, value: mean(values) }));
          return {
            ...{ arm, sweep, evaluation: evaluation.name, outcome, slice: slice.name },
            overSamples: meanInterval(acrossSeeds(perSeed.map(({ values }) => values)).filter((x) => x !== null)),
            overSeeds: meanInterval(seeds.flatMap(({ value }) => (value === null ? [] : [value]))),
            seeds,
          };
        }),
      );
  });
}

/** The main outcome of every two arms that the question sets against each other. */
function differencesOf(matrix: Matrix, measurements: Measurements): Difference[] {
  const { evaluation, outcomes, slices } = measurements;
  const pairs = comparedArms(matrix.arms, evaluation.value ?? null, evaluation.against);
  const cellsOf = (arm: string): Cell[] =>
    matrix.cells.filter((cell) => cell.arm === arm && cell.evaluation === evaluation.name && cell.sweep === null);
  return slices
    .filter(({ isMain }) => isMain)
    .flatMap((slice) =>
      pairs.map(([a, b]) => {
        const [left, right] = [a, b].map((arm) =>
          cellsOf(arm).map(({ job }) => pick(measurements, job, outcomes[0]!, slice)),
        ) as [(number | null)[][], (number | null)[][]];
        const [x, y] = dropUndecided(acrossSeeds(left), acrossSeeds(right));
        return {
          ...{ a, b, evaluation: evaluation.name, slice: slice.name },
          overSamples: pairedDifference(x, y),
          adjusted: pairedDifference(x, y, { confidence: 1 - 0.05 / pairs.length }),
          comparisons: pairs.length,
          overSeeds: meanInterval(seedDifferences(left, right)),
        };
      }),
    );
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

/**
 * What the paper found, said of these arms: each spec's midtraining + AFT above the other specs', above AFT alone and
 * above its own midtraining alone.
 */
function claimsOf(experiment: Experiment, arms: readonly Arm[], differences: readonly Difference[]): Claim[] {
  const labelOf = (id: string): string => arms.find((arm) => arm.id === id)!.label;
  return experiment.evaluations.flatMap(({ name, value }) =>
    differences.flatMap(({ a, b, evaluation, slice, overSamples }) => {
      const other = arms.find(({ id }) => id === b)!;
      const isClaim =
        other.kind === "aft" ||
        (other.kind === "msm" && other.spec === value) ||
        (other.kind === "msm+aft" && other.spec !== value);
      if (evaluation !== name || value === undefined || !isClaim) return [];
      const text = `${labelOf(a)} is above ${labelOf(b)} in ${name}`;
      return [{ text, evaluation, slice, a, b, holds: overSamples.low !== null && overSamples.low > 0 }];
    }),
  );
}

function pick({ values }: Measurements, job: string, outcome: string, { samples }: Slice): (number | null)[] {
  const all = values.get(job)![outcome]!;
  return samples.map((i) => all[i]!);
}

/** For each sample the mean over the seeds that decided it. */
function acrossSeeds(perSeed: readonly (number | null)[][]): (number | null)[] {
  return (perSeed[0] ?? []).map((_, i) => mean(perSeed.map((values) => values[i]!)));
}

function dropUndecided(a: readonly (number | null)[], b: readonly (number | null)[]): [number[], number[]] {
  const kept = a.flatMap((value, i) => (value === null || b[i] === null ? [] : [[value, b[i]!] as const]));
  return [kept.map(([x]) => x), kept.map(([, y]) => y)];
}

/** Of the means of each seed; an arm without seeds (nothing trained) is the same for all. */
function seedDifferences(a: readonly (number | null)[][], b: readonly (number | null)[][]): number[] {
  const [left, right] = [a.map(mean), b.map(mean)];
  const count = Math.max(left.length, right.length);
  return Array.from({ length: count }, (_, i) => [left[i % left.length], right[i % right.length]]).flatMap(([x, y]) =>
    typeof x === "number" && typeof y === "number" ? [x - y] : [],
  );
}

function mean(values: readonly (number | null)[]): number | null {
  const decided = values.filter((value) => value !== null);
  return decided.length === 0 ? null : decided.reduce((sum, value) => sum + value, 0) / decided.length;
}
