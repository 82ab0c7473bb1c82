/** @file What was run: cost, configuration, hashes, and the paper's numbers beside ours. */

import type { ExperimentRecord } from "../../experiment/record.js";
import { formatDuration } from "../../terminal/progress.js";
import { isDecisive } from "./answer.js";
import { escapeHtml, estimate, integer, share, table } from "./html.js";

/** Rates that the paper reports: table -> arm word -> value. */
export type PaperTables = Record<string, { source: string; setup: string; rates: Record<string, number> }>;

export function costTable({ training }: ExperimentRecord): string {
  if (training.length === 0) return "";
  const rows = training.map(({ label, steps, updates, skipped, changeNorm, tokens, seconds }) => [
    escapeHtml(label),
    integer(steps),
    `${integer(updates)}${skipped > 0 ? ` <span class="no">${integer(skipped)} skipped</span>` : ""}`,
    changeNorm === null ? "–" : String(Number(changeNorm.toPrecision(3))),
    integer(tokens),
    formatDuration(seconds),
  ]);
  const total = (key: "steps" | "updates" | "tokens" | "seconds"): number =>
    training.reduce((sum, curve) => sum + curve[key], 0);
  const counts = [integer(total("steps")), integer(total("updates")), "", integer(total("tokens"))];
  const sum = ["all stages", ...counts, formatDuration(total("seconds"))];
  return `${table(["stage", "optimiser steps", "updates", "change", "tokens", "time in steps"], [...rows, sum])}
<p class="soft">Updates are the steps with a finite gradient and a rate above 0. Change is the Euclidean norm of what
training did to the adapter's parameters.</p>`;
}

/** The paper's rates of arms of the same kind; what differs in the set-up is said above the table. */
export function paperTable({ experiment, matrix, rates }: ExperimentRecord, paper: PaperTables): string {
  return experiment.evaluations
    .flatMap(({ name, label, paper: key }) => {
      const theirs = key === undefined ? undefined : paper[key];
      if (!theirs) return [];
      const own = rates.filter((rate) => rate.evaluation === name && rate.sweep === null && isDecisive(rate.slice));
      const rows = matrix.arms.flatMap(({ id, label: armLabel, kind, spec }) => {
        const value = theirs.rates[id] ?? theirs.rates[spec === null ? kind : `${kind}:${spec}`];
        const rate = own.find(({ arm }) => arm === id);
        return value === undefined || !rate ? [] : [[escapeHtml(armLabel), share(value), estimate(rate.estimate)]];
      });
      return [
        `<h3>${escapeHtml(label ?? name)}</h3><p class="soft">${escapeHtml(theirs.source)}. ` +
          `${escapeHtml(theirs.setup)}</p>${table(["arm", "paper", "here"], rows)}`,
      ];
    })
    .join("\n");
}

export function configurationSection({ experiment, jobs, matrix }: ExperimentRecord): string {
  const [first] = jobs;
  const versions = Object.entries((first?.config as { versions?: object })?.versions ?? {});
  const json = (value: unknown): string => `<pre>${escapeHtml(JSON.stringify(value, null, 2))}</pre>`;
  const details = (title: string, body: string): string =>
    `<details><summary>${escapeHtml(title)}</summary>${body}</details>`;
  return [
    `<p>${versions.map(([name, value]) => `${escapeHtml(name)} ${escapeHtml(String(value))}`).join(" · ")}</p>`,
    details("experiment file", json(experiment)),
    ...jobs.map(({ id, label, folder, config }) =>
      details(`${label} (${id})`, `<p class="soft">${escapeHtml(folder)}</p>${json(config)}`),
    ),
    `<p class="soft">${matrix.cells.length} cells of ${matrix.jobs.length} jobs. A job's name is the hash of its ` +
      "settings and of what its inputs hold.</p>",
  ].join("\n");
}
