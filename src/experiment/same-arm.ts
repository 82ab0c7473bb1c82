/**
 * @file The A/A check: an arm against itself, which differs in nothing but its seeds. Whatever excludes 0 here is a
 * false positive.
 */
import { unpairedDifference } from "../eval/statistics/crossed.js";
import { type Estimate, wilson } from "../eval/statistics/intervals.js";
import type { Matrix } from "./matrix.js";
import { decidedValue, type Measurements } from "./outcomes.js";

/** Below this there is no seed to be told from the spread of two others. */
const FEWEST_SEEDS = 3;

export interface SameArmCheck {
  /** Comparisons whose 95 % interval excludes 0: one in twenty is what the interval promises. */
  rate: Estimate;
  excluding: number;
  comparisons: number;
  arms: { arm: string; evaluation: string; slice: string; excluding: number; comparisons: number }[];
}

/**
 * Of every arm with three seeds or more, each seed against the others, in the main outcome of every evaluation, on its
 * main slices, by the estimator of the differences. Null where no arm has so many seeds.
 */
export function sameArmCheck(matrix: Matrix, measured: readonly Measurements[]): SameArmCheck | null {
  const arms = measured.flatMap(({ evaluation, outcomes, slices, values }) =>
    matrix.arms.flatMap(({ id }) => {
      const cells = matrix.cells.filter(
        (cell) => cell.arm === id && cell.evaluation === evaluation.name && cell.sweep === null,
      );
      if (cells.length < FEWEST_SEEDS) return [];
      return slices
        .filter(({ isMain }) => isMain)
        .flatMap(({ name, samples }) => {
          const rows = cells.map(({ job }) => samples.map((i) => decidedValue(values.get(job)![outcomes[0]!]![i])));
          const intervals = rows
            .map((row, s) => unpairedDifference([row], rows.toSpliced(s, 1)))
            .filter(({ low }) => low !== null);
          if (intervals.length === 0) return [];
          const excluding = intervals.filter(({ low, high }) => low! > 0 || high! < 0).length;
          const place = { arm: id, evaluation: evaluation.name, slice: name };
          return [{ ...place, excluding, comparisons: intervals.length }];
        });
    }),
  );
  if (arms.length === 0) return null;
  const total = (key: "excluding" | "comparisons"): number => arms.reduce((sum, one) => sum + one[key], 0);
  const excluding = total("excluding");
  const comparisons = total("comparisons");
  return { rate: wilson(excluding, comparisons), excluding, comparisons, arms };
}
