/** @file The answer of an experiment in one paragraph of plain words with numbers. */
import { decidedName } from "../../experiment/outcomes.js";
import type { ExperimentRecord } from "../../experiment/record.js";
import type { Claim, Rate } from "../../experiment/results.js";
import { describeSeeds } from "../seeds.js";
import { interval, share } from "./html.js";

/** Slices that count: the held-out half where there is one. */
export function isDecisive(slice: string): boolean {
  return slice === "all" || slice === "split heldout";
}

/** Below this share of decided answers the reader is warned. */
const FEW_DECIDED = 0.5;

export function answerOf(record: ExperimentRecord): string {
  const { experiment, matrix, rates, claims } = record;
  const decisive = claims.filter(({ slice }) => isDecisive(slice));
  const labelOf = (id: string): string => matrix.arms.find((arm) => arm.id === id)!.label;
  const others = experiment.evaluations.filter(({ name }) => !decisive.some(({ evaluation }) => evaluation === name));
  const beside = plainAnswer(others, record, labelOf);
  if (decisive.length === 0) return [sentence(describeSeeds(record)), beside].filter(Boolean).join(" ");
  const holding = decisive.filter(({ holds }) => holds);
  const rateOf = (arm: string, evaluation: string): number | null =>
    rates.find(
      (rate) => rate.arm === arm && rate.evaluation === evaluation && rate.sweep === null && isDecisive(rate.slice),
    )?.estimate.value ?? null;
  const sentences = [...new Map(decisive.map((claim) => [claim.evaluation, claim])).values()].map(
    ({ a, evaluation }) => {
      const against = decisive.filter((claim) => claim.evaluation === evaluation);
      const value = rateOf(a, evaluation);
      const others = against.map(({ b }) => `${share(rateOf(b, evaluation) ?? Number.NaN)} of ${labelOf(b)}`);
      return `In ${evaluation}, ${labelOf(a)} reaches ${share(value ?? Number.NaN)}, against ${others.join(", ")}.`;
    },
  );
  const asked = "differences that the paper's pattern asks for";
  const above = "above zero by more than the 95 % interval over seeds and questions";
  const verdict = decisive.some(({ holds }) => holds === null)
    ? `No claim: ${describeSeeds(record)}.`
    : holding.length === decisive.length
      ? `Yes, as the paper found: all ${decisive.length} ${asked} are ${above}.`
      : holding.length === 0
        ? `No: none of the ${decisive.length} ${asked} is ${above}.`
        : `In part: ${holding.length} of the ${decisive.length} ${asked} are ${above}.`;
  return [verdict, ...sentences, failing(decisive, labelOf), beside].filter(Boolean).join(" ");
}

function failing(claims: readonly Claim[], labelOf: (id: string) => string): string {
  const not = claims.filter(({ holds }) => holds === false);
  if (not.length === 0) return "";
  return (
    "What does not hold: " +
    `${not.map(({ a, b, evaluation }) => `${labelOf(a)} above ${labelOf(b)} in ${evaluation}`).join("; ")}.`
  );
}

function sentence(words: string): string {
  return words && `${words[0]!.toUpperCase()}${words.slice(1)}.`;
}

/** Of an evaluation of which little can be said, because most answers were undecided; empty otherwise. */
function fewDecided(name: string, rates: readonly Rate[]): string {
  const own = rates.filter(({ evaluation }) => evaluation === name);
  const outcomes = own.map(({ outcome }) => outcome);
  const decisive = own.find(({ slice }) => isDecisive(slice))?.slice;
  const wanted = decidedName(outcomes[0] ?? "", outcomes);
  const decided = own.flatMap(({ outcome, slice, sweep, estimate: { value } }) =>
    outcome === wanted && sweep === null && slice === decisive && value !== null ? [value] : [],
  );
  const mean = decided.reduce((sum, value) => sum + value, 0) / decided.length;
  if (mean === 0) return "no answer was decided";
  return mean < FEW_DECIDED ? `only ${share(mean)} of the answers were decided` : "";
}

/** Without a value to measure: how many arms moved, and the largest difference. */
function plainAnswer(
  evaluations: readonly { name: string }[],
  { differences, rates }: ExperimentRecord,
  labelOf: (id: string) => string,
): string {
  const sentences = evaluations.map(({ name }) => {
    const own = differences.filter(({ evaluation, slice }) => evaluation === name && isDecisive(slice));
    const known = own.filter(({ estimate: { value } }) => value !== null);
    const few = fewDecided(name, rates);
    const [largest] = known.sort((x, y) => Math.abs(y.estimate.value!) - Math.abs(x.estimate.value!));
    if (!largest) return `In ${name} nothing can be compared${few && `: ${few}`}.`;
    const { value, low, high } = largest.estimate;
    const words = `${labelOf(largest.a)} minus ${labelOf(largest.b)} is ${share(value!)} (${interval({ low, high })})`;
    const apart = own.filter(
      ({ estimate }) => estimate.low !== null && (estimate.low > 0 || estimate.high! < 0),
    ).length;
    const rest =
      own.length > 1 ? `, the largest of ${own.length} differences, of which ${apart} are apart from zero` : "";
    return `In ${name}, ${words}${rest}${few && `; ${few}`}.`;
  });
  return sentences.join(" ");
}
