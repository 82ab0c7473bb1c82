/** @file Whether an arm's preference is one: the same in other words, on the same side in other domains. */
import { signAgreement, wordingAgreement } from "../eval/statistics/consistency.js";
import { type Estimate, wilson } from "../eval/statistics/intervals.js";
import type { Matrix } from "./matrix.js";
import { decidedValue, type Measurements, type Slice } from "./outcomes.js";

/** Of one arm in one evaluation. */
export interface Consistency {
  arm: string;
  evaluation: string;
  slice: string;
  /**
   * Share of the questions of which every wording (records of one `pair`) is decided alike; n 0 where none has several.
   * Mean of the seeds, Wilson interval.
   */
  wordings: Estimate;
  /** Share of the domains whose mean is on the same side of a half as the mean of all; likewise. */
  domains: Estimate;
}

/** Of choices, whose main outcome is 1, 0 or (undecided) a half; on their main slices. */
export function consistencyOf(
  matrix: Matrix,
  { evaluation, outcomes, slices, values, records }: Measurements,
): Consistency[] {
  if (evaluation.settings.task !== "choice") return [];
  return matrix.arms.flatMap(({ id }) => {
    const cells = matrix.cells.filter(
      (cell) => cell.arm === id && cell.evaluation === evaluation.name && cell.sweep === null,
    );
    const perSeed = cells.map(({ job }) => values.get(job)![outcomes[0]!]!.map(decidedValue));
    const groupsOf = (field: string, slice: Slice): number[][] => {
      const groups = new Map<unknown, number[]>();
      for (const i of slice.samples) {
        const key = records[i]![field];
        if (key !== undefined) groups.set(key, [...(groups.get(key) ?? []), i]);
      }
      return [...groups.values()];
    };
    return slices
      .filter(({ isMain }) => isMain)
      .map((slice) => ({
        arm: id,
        evaluation: evaluation.name,
        slice: slice.name,
        wordings: wordings(
          groupsOf("pair", slice).filter(({ length }) => length > 1),
          perSeed,
        ),
        domains: domains(groupsOf("domain", slice), slice.samples, perSeed),
      }));
  });
}

type Values = readonly (number | null)[];

function wordings(groups: readonly number[][], perSeed: readonly Values[]): Estimate {
  // A share that is neither 0 nor 1 differs between the orders of the options: undecided.
  const decision = (value: number | null): boolean | null => (value === 1 ? true : value === 0 ? false : null);
  return meanOf(
    perSeed.map((values) => wordingAgreement(groups.map((group) => group.map((i) => decision(values[i]!))))),
  );
}

function domains(groups: readonly number[][], all: readonly number[], perSeed: readonly Values[]): Estimate {
  return meanOf(
    perSeed.map((values) => {
      const decided = (places: readonly number[]): number[] => places.flatMap((i) => values[i] ?? []);
      return signAgreement(groups.map(decided), decided(all));
    }),
  );
}

/** Shares of the same groups, one of each seed. */
function meanOf(shares: readonly Estimate[]): Estimate {
  const groups = shares[0]!.n;
  const held = shares.reduce((sum, { value }) => sum + Math.round((value ?? 0) * groups), 0);
  return wilson(held / shares.length, groups);
}
