/** @file Tables by domain, scenario, ...; how consistent the arms are over them; who judged. */
import { formatNumber } from "../../eval/statistics/format.js";
import type { ExperimentRecord } from "../../experiment/record.js";
import { isDecisive } from "./answer.js";
import { escapeHtml, estimate, integer, share, table } from "./html.js";
import { find } from "./sections.js";

/** One row for each arm, one column for each domain, scenario, ...: the main outcome. */
export function partTables({ experiment, matrix, rates }: ExperimentRecord): string {
  return experiment.evaluations
    .map(({ name, label }) => {
      const own = rates.filter((rate) => rate.evaluation === name && rate.sweep === null && rate.slice.includes(","));
      const outcome = own[0]?.outcome;
      // Parts of which nothing is known: cells of a kind that the outcome says nothing about.
      const isKnown = (slice: string): boolean =>
        matrix.arms.some(({ id }) => find(own, id, slice, outcome!).estimate.value !== null);
      const slices = [...new Set(own.map(({ slice }) => slice))].filter(isKnown);
      if (!outcome || slices.length === 0) return "";
      const rows = matrix.arms.map((arm) => {
        const cells = slices.map((slice) => {
          const { value, n } = find(own, arm.id, slice, outcome).estimate;
          return value === null ? "–" : `${share(value)} <small>n ${n}</small>`;
        });
        return [escapeHtml(arm.label), ...cells];
      });
      const head = ["arm", ...slices.map((slice) => escapeHtml(slice.split(", ").slice(1).join(", ")))];
      return (
        `<details><summary>${escapeHtml(label ?? name)}: ` +
        `${escapeHtml(outcome)}</summary>${table(head, rows)}</details>`
      );
    })
    .join("\n");
}

/** Of choices. */
export function consistencyTable({ experiment, matrix, consistency }: ExperimentRecord): string {
  const rows = consistency
    .filter(({ slice, wordings, domains }) => isDecisive(slice) && wordings.n + domains.n > 0)
    .map(({ arm, evaluation, wordings, domains }) => {
      const { label = evaluation } = experiment.evaluations.find(({ name }) => name === evaluation)!;
      const armLabel = matrix.arms.find(({ id }) => id === arm)!.label;
      const cells = [domains, wordings].map(
        (one) => `${estimate(one)}${one.n > 0 ? ` <small>n ${one.n}</small>` : ""}`,
      );
      return [`${escapeHtml(armLabel)} <small>${escapeHtml(label)}</small>`, ...cells];
    });
  if (rows.length === 0) return "";
  return `${table(["arm", "domains on the side of the whole", "wordings decided alike"], rows)}
<p class="soft">A preference is consistent where most domains are on the same side of one half as all
questions together, and where every wording of a question gets the same decided answer. Share of the domains, and of
the questions with several wordings; mean of the seeds, Wilson 95 % interval.</p>`;
}

/** Who judged, how far that is to be trusted, and what it took. */
export function judgeSection({ experiment, judges }: ExperimentRecord): string {
  return judges
    .map(({ evaluation, kind, model, questions, failed, unreadable, why, usage, agreement }) => {
      const { label = evaluation } = experiment.evaluations.find(({ name }) => name === evaluation)!;
      const took = Object.entries(usage ?? {}).flatMap(([key, value]) =>
        value === null ? [] : [`${key} ${key === "cost" ? `$${formatNumber(value)}` : integer(value)}`],
      );
      const rest = `${why ? ` (${why})` : ""}${took.length > 0 ? `; ${took.join(", ")}` : ""}.`;
      const line =
        `${kind} ${model}: ${integer(questions!)} questions, ${integer(failed!)} refused, ` +
        `${integer(unreadable!)} not readable${rest}`;
      return `<h3>${escapeHtml(label)}</h3><p>${escapeHtml(line)}</p>${agreement ? agreementTable(agreement) : ""}`;
    })
    .join("\n");
}

/** What the judge said of responses that are labelled by hand. */
export function agreementTable({
  n,
  table: counts,
  decidedRate,
  agreed,
  kappa,
}: NonNullable<ExperimentRecord["judges"][number]["agreement"]>): string {
  const said = [...new Set(Object.values(counts).flatMap((row) => Object.keys(row)))];
  const rows = Object.entries(counts).map(([label, row]) => [
    `labelled ${escapeHtml(label)}`,
    ...said.map((word) => String(row[word] ?? 0)),
  ]);
  return `${table(["", ...said.map((word) => `judged ${escapeHtml(word)}`)], rows)}
<p class="soft">${n} responses labelled by hand: the judge decided ${estimate(decidedRate)}; of the ${kappa.n} with a
label that it decided, it agreed on ${estimate(agreed)}; Cohen's kappa
${kappa.value === null ? "not defined: it decided too few" : estimate(kappa)}.</p>`;
}
