/** @file What an experiment's seeds allow to be said. */
import { formatEstimate } from "../eval/statistics/format.js";
import type { ExperimentRecord } from "../experiment/record.js";
import { SEEDS_OF_A_CLAIM } from "../experiment/results.js";
import type { SameArmCheck } from "../experiment/same-arm.js";

/** Empty where there are enough for claims, or where nothing was trained. */
export function describeSeeds({ experiment, matrix }: Pick<ExperimentRecord, "experiment" | "matrix">): string {
  const count = experiment.seeds.length;
  if (count >= SEEDS_OF_A_CLAIM || matrix.arms.every(({ stages }) => stages.length === 0)) return "";
  if (count === 1) return "one seed: describes this adapter, not the method";
  return `${count} seeds: describe these adapters; a claim about the method needs ${SEEDS_OF_A_CLAIM}`;
}

/** What an interval is over. */
export function intervalOver({ seeds }: ExperimentRecord["experiment"]): string {
  return seeds.length > 1 ? "over seeds and questions" : "over questions";
}

export function describeSameArm({ rate, excluding, comparisons }: SameArmCheck): string {
  const found = `${excluding} of ${comparisons} comparisons exclude 0`;
  return `A/A, each arm's seeds against its other seeds: ${found}, ${formatEstimate(rate)}; .050 is expected`;
}
