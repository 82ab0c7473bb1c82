/** @file The results of an experiment in lines for the console. */

import { describeCounts } from "../eval/counts.js";
import { formatBounds, formatEstimate, formatNumber } from "../eval/statistics/format.js";
import { decidedName } from "../experiment/outcomes.js";
import type { ExperimentRecord } from "../experiment/record.js";
import type { Claim, Rate } from "../experiment/results.js";
import { missingAnswers } from "./missing.js";
import { isDecisive } from "./page/answer.js";
import { describeSameArm, describeSeeds, intervalOver } from "./seeds.js";

/** For each evaluation a table of arms, then what the differences say. */
export function formatSummary(record: ExperimentRecord): string {
  const { experiment, matrix, rates, differences, claims, judges, complements, sameArm } = record;
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
      `${label ?? name} (${main.outcome}), mean and 95 % interval ${intervalOver(experiment)}; in brackets the seeds`,
    );
    for (const slice of slices) {
      lines.push(`  ${slice}`);
      for (const arm of matrix.arms) {
        const rate = own.find((one) => one.arm === arm.id && one.slice === slice && one.outcome === main.outcome);
        const decided = own.find((one) => one.arm === arm.id && one.slice === slice && one.outcome === decidedOutcome);
        if (!rate) continue;
        const seeds = rate.seeds.map(({ value }) => (value === null ? "-" : value.toFixed(2))).join(" ");
        const share = decided?.estimate.value ?? null;
        lines.push(
          [
            `    ${arm.label.padEnd(width)}${formatEstimate(rate.estimate)}  (${seeds})  n ${rate.estimate.n}`,
            share === null ? "" : `decided ${share.toFixed(2)}`,
            formatBounds(rate.bounds),
          ]
            .filter(Boolean)
            .join("  "),
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
  const decisive = differences.filter(({ slice, sameAs }) => isDecisive(slice) && sameAs === null);
  if (decisive.length > 0) {
    lines.push("", `differences on the held-out half, 95 % interval ${intervalOver(experiment)} [over seeds alone]`);
    for (const { a, b, evaluation, estimate, overSeeds, bounds } of decisive) {
      const either =
        bounds && `; undecided against it ${formatEstimate(bounds.low)}, for it ${formatEstimate(bounds.high)}`;
      const line = `${formatEstimate(estimate)}  [${formatEstimate(overSeeds)}]${either ?? ""}`;
      lines.push(`    ${evaluation}: ${a} - ${b}  ${line}`);
    }
    for (const [later, earlier] of Object.entries(complements))
      lines.push(`    ${later}: the same answers as ${earlier}, complemented; what both say is counted once`);
  }
  if (sameArm) lines.push("", describeSameArm(sameArm));
  lines.push(...formatClaims(claims.filter(({ slice }) => isDecisive(slice))));
  const missing = missingAnswers(record);
  if (missing.length > 0) lines.push("", "what is missing");
  for (const { what, counts } of missing) lines.push(`    ${what}: ${describeCounts(counts)}`);
  const seeds = describeSeeds(record);
  if (seeds) lines.push("", seeds);
  return lines.join("\n");
}

function formatClaims(claims: readonly Claim[]): string[] {
  if (claims.length === 0) return [];
  const holding = claims.filter(({ holds }) => holds).length;
  const open = claims.some(({ holds }) => holds === null);
  const head = open
    ? `of ${claims.length} things that the paper's pattern asks for, nothing is claimed with fewer than three seeds:`
    : `of ${claims.length} things that the paper's pattern asks for, ${holding} hold:`;
  return ["", head, ...claims.map(({ text, holds }) => `    ${VERDICT_WORDS[String(holds)]}  ${text}`)];
}

const VERDICT_WORDS: Record<string, string> = { true: "yes", false: "no ", null: "-  " };

function formatOther({ outcome, estimate: { value, n } }: Rate): string {
  return `${outcome} ${value === null ? "none" : formatNumber(value)} (n ${n})`;
}
