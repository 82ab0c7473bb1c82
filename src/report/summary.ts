/** @file The results of an experiment in lines for the console. */
import { formatEstimate, formatNumber } from "../eval/statistics/format.js";
import { decidedName } from "../experiment/outcomes.js";
import type { ExperimentRecord } from "../experiment/record.js";
import type { Rate } from "../experiment/results.js";

/** For each evaluation a table of arms, then what the differences say. */
export function formatSummary(record: ExperimentRecord): string {
  const { experiment, matrix, rates, differences, claims, judges } = record;
  const lines: string[] = [experiment.question.trim()];
  const width = Math.max(...matrix.arms.map(({ label }) => label.length)) + 2;
  for (const { name, label } of experiment.evaluations) {
    const own = rates.filter((rate) => rate.evaluation === name && rate.sweep === null);
    const [main] = own;
    if (!main) continue;
    const decidedOutcome = decidedName(
      main.outcome,
      own.map(({ outcome }) => outcome),
    );
    const slices = [...new Set(own.filter(({ slice }) => !slice.includes(",")).map(({ slice }) => slice))];
    lines.push(
      "",
      `${label ?? name} (${main.outcome}), mean of the seeds, 95 % interval over questions; in brackets the seeds`,
    );
    for (const slice of slices) {
      lines.push(`  ${slice}`);
      for (const arm of matrix.arms) {
        const rate = own.find((one) => one.arm === arm.id && one.slice === slice && one.outcome === main.outcome);
        const decided = own.find((one) => one.arm === arm.id && one.slice === slice && one.outcome === decidedOutcome);
        if (!rate) continue;
        const seeds = rate.seeds.map(({ value }) => (value === null ? "-" : value.toFixed(2))).join(" ");
        const share = decided?.overSamples.value ?? null;
        lines.push(
          `    ${arm.label.padEnd(width)}${formatEstimate(rate.overSamples)}  (${seeds})  n ` +
            `${rate.overSamples.n}${share === null ? "" : `  decided ${share.toFixed(2)}`}`,
        );
        const others = own.filter(
          (one) => one.arm === arm.id && one.slice === slice && ![main.outcome, decidedOutcome].includes(one.outcome),
        );
        if (others.length > 0) lines.push(`      ${others.map(formatOther).join(", ")}`);
      }
    }
    for (const { kind, model, failed, unreadable, why, questions, agreement } of judges.filter(
      ({ evaluation }) => evaluation === name,
    ))
      lines.push(
        `  judge ${kind} ${model}: ${failed ? `${failed} of ${questions} questions refused, ` : ""}` +
          `${unreadable} of ${questions} replies not readable${why ? ` (${why})` : ""}; kappa ` +
          `${agreement ? formatEstimate(agreement.kappa) : "none"} with the labelled set`,
      );
  }
  const decisive = differences.filter(({ slice }) => slice === "all" || slice === "split heldout");
  if (decisive.length > 0) {
    lines.push("", "differences on the held-out half, 95 % bootstrap interval over questions [over seeds]");
    for (const { a, b, evaluation, overSamples, overSeeds } of decisive)
      lines.push(`    ${evaluation}: ${a} - ${b}  ${formatEstimate(overSamples)}  [${formatEstimate(overSeeds)}]`);
  }
  const shown = claims.filter(({ slice }) => slice === "all" || slice === "split heldout");
  if (shown.length > 0) {
    lines.push(
      "",
      `of ${shown.length} things that the paper's pattern asks for, ${shown.filter(({ holds }) => holds).length} hold:`,
    );
    for (const { text, holds } of shown) lines.push(`    ${holds ? "yes" : "no "}  ${text}`);
  }
  return lines.join("\n");
}

function formatOther({ outcome, overSamples: { value, n } }: Rate): string {
  return `${outcome} ${value === null ? "none" : formatNumber(value)} (n ${n})`;
}
