/** @file The answer of an experiment in one paragraph of plain words with numbers. */
import type { ExperimentRecord } from "../record.js";
import type { Claim, Difference } from "../results.js";
import { share } from "./html.js";

/** Slices that count: the held-out half where there is one. */
export function isDecisive(slice: string): boolean {
  return slice === "all" || slice === "split heldout";
}

export function answerOf({ experiment, matrix, rates, differences, claims }: ExperimentRecord): string {
  const decisive = claims.filter(({ slice }) => isDecisive(slice));
  const labelOf = (id: string): string => matrix.arms.find((arm) => arm.id === id)!.label;
  if (decisive.length === 0)
    return plainAnswer(
      experiment.evaluations.map(({ name }) => name),
      differences,
      labelOf,
    );
  const holding = decisive.filter(({ holds }) => holds);
  const rateOf = (arm: string, evaluation: string): number | null =>
    rates.find(
      (rate) => rate.arm === arm && rate.evaluation === evaluation && rate.sweep === null && isDecisive(rate.slice),
    )?.overSamples.value ?? null;
  const sentences = [...new Map(decisive.map((claim) => [claim.evaluation, claim])).values()].map(
    ({ a, evaluation }) => {
      const against = decisive.filter((claim) => claim.evaluation === evaluation);
      const value = rateOf(a, evaluation);
      const others = against.map(({ b }) => `${share(rateOf(b, evaluation) ?? Number.NaN)} of ${labelOf(b)}`);
      return `In ${evaluation}, ${labelOf(a)} reaches ${share(value ?? Number.NaN)}, against ${others.join(", ")}.`;
    },
  );
  const verdict =
    holding.length === decisive.length
      ? `Yes, as the paper found: all ${decisive.length} differences that its pattern asks for are above zero by more than their 95 % interval.`
      : holding.length === 0
        ? `No: none of the ${decisive.length} differences that the paper's pattern asks for is above zero by more than its 95 % interval.`
        : `In part: ${holding.length} of the ${decisive.length} differences that the paper's pattern asks for are above zero by more than their 95 % interval.`;
  return [verdict, ...sentences, failing(decisive, labelOf)].filter(Boolean).join(" ");
}

function failing(claims: readonly Claim[], labelOf: (id: string) => string): string {
  const not = claims.filter(({ holds }) => !holds);
  if (not.length === 0) return "";
  return `What does not hold: ${not.map(({ a, b, evaluation }) => `${labelOf(a)} above ${labelOf(b)} in ${evaluation}`).join("; ")}.`;
}

/** Without a value to measure: how many arms moved, and the largest difference. */
function plainAnswer(
  evaluations: readonly string[],
  differences: readonly Difference[],
  labelOf: (id: string) => string,
): string {
  const sentences = evaluations.map((name) => {
    const own = differences.filter(({ evaluation, slice }) => evaluation === name && isDecisive(slice));
    const apart = own.filter(
      ({ overSamples: { low, high } }) => low !== null && high !== null && (low > 0 || high < 0),
    );
    const [largest] = [...own].sort((x, y) => Math.abs(y.overSamples.value ?? 0) - Math.abs(x.overSamples.value ?? 0));
    if (!largest) return `In ${name} there is nothing to compare.`;
    const { a, b, overSamples } = largest;
    return `In ${name}, ${apart.length} of ${own.length} differences are outside their 95 % interval; the largest is ${labelOf(a)} against ${labelOf(b)}, ${share(overSamples.value ?? Number.NaN)}.`;
  });
  return sentences.join(" ");
}
