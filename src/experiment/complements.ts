/** @file Evaluations that are the same answers looked at from the other side: what they say is said once. */
import type { Matrix } from "./matrix.js";
import { decidedValue, type Measurements } from "./outcomes.js";

/**
 * Evaluation -> the earlier one that it complements: for every arm, seed and sample one's main outcome is 1 minus the
 * other's. Two questions on the same two options, each with the other one as the liked, are such.
 */
export function findComplements(matrix: Matrix, measured: readonly Measurements[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const [i, later] of measured.entries()) {
    const earlier = measured.slice(0, i).find((other) => areComplements(matrix, other, later));
    if (earlier) found.set(later.evaluation.name, earlier.evaluation.name);
  }
  return found;
}

function areComplements({ cells }: Matrix, a: Measurements, b: Measurements): boolean {
  const own = cells.filter(({ evaluation }) => evaluation === b.evaluation.name);
  return own.every(({ arm, seed, sweep, job }) => {
    const twin = cells.find(
      (cell) =>
        cell.evaluation === a.evaluation.name &&
        cell.arm === arm &&
        cell.seed === seed &&
        cell.sweep?.name === sweep?.name &&
        cell.sweep?.value === sweep?.value,
    );
    if (!twin) return false;
    const x = mainValues(a, twin.job);
    const y = mainValues(b, job);
    return x.length === y.length && x.every((value, i) => (value === null ? y[i] === null : y[i] === 1 - value));
  });
}

function mainValues({ values, outcomes }: Measurements, job: string): (number | null)[] {
  return values.get(job)![outcomes[0]!]!.map(decidedValue);
}
