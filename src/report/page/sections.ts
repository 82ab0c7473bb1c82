/** @file What was measured: figures of the arms, differences, curves, parts, training. */
import { TOO_FEW } from "../../eval/statistics/format.js";
import type { MeanEstimate } from "../../eval/statistics/intervals.js";
import { taskByName } from "../../eval/tasks/by-name.js";
import type { ExperimentRecord } from "../../experiment/record.js";
import type { Rate } from "../../experiment/results.js";
import { describeSameArm, intervalOver } from "../seeds.js";
import { isDecisive } from "./answer.js";
import { drawBars, drawForScreens, drawLines, type Line } from "./figures.js";
import { escapeHtml, estimate, interval, share, table } from "./html.js";

/** One figure for each evaluation, on the held-out half, and a table with every main slice. */
export function armFigures(record: ExperimentRecord): string {
  const { experiment, matrix } = record;
  return experiment.evaluations
    .map(({ name, label, settings }) => {
      const own = record.rates.filter((rate) => rate.evaluation === name && rate.sweep === null);
      const main = own.find(({ slice }) => isDecisive(slice));
      if (!main) return "";
      const bars = matrix.arms.map((arm) => {
        const rate = find(own, arm.id, main.slice, main.outcome);
        const { value, low, high } = rate.estimate;
        const seeds = rate.seeds.flatMap((seed) => (seed.value === null ? [] : [seed.value]));
        const group = arm.spec === null ? 5 : Object.keys(experiment.specs).indexOf(arm.spec) % 5;
        const text = value === null ? `${arm.label} (nothing decided)` : arm.label;
        return { label: text, value, low, high, seeds: seeds.length > 1 ? seeds : [], group: Math.max(0, group) };
      });
      return `<h3>${escapeHtml(label ?? name)}</h3><figure>${drawForScreens((width) =>
        drawBars(bars, main.outcome, rangeOf(bars), width),
      )}
<figcaption>${escapeHtml(main.slice)}: mean with the 95 % interval ${intervalOver(experiment)}; dots are seeds.
</figcaption></figure>
${outcomeTable(record, own, main)}${legend(taskByName(settings.task).legend, own)}`;
    })
    .join("\n");
}

/** A row for each outcome, on the decisive slice, then on the others; a column for each arm. */
function outcomeTable({ experiment, matrix }: ExperimentRecord, own: readonly Rate[], main: Rate): string {
  const slices = [...new Set(own.filter(({ slice }) => !slice.includes(",")).map(({ slice }) => slice))];
  const outcomes = [...new Set(own.map(({ outcome }) => outcome))];
  const cell = ({ value, low, high, se, n }: MeanEstimate, bounds: Rate["bounds"] = null): string => {
    const either = bounds ? `<br><small>undecided for either side: ${bounds.map(share).join(" to ")}</small>` : "";
    if (value === null) return `–<br><small>n ${n}</small>${either}`;
    const error = se === null ? "" : `se ${share(se)}, `;
    return `${share(value)}<br><small>${interval({ low, high })}</small><br><small>${error}n ${n}</small>${either}`;
  };
  const row = (title: string, slice: string, outcome: string, of: "estimate" | "overSeeds"): string[] => [
    escapeHtml(title),
    ...matrix.arms.map(({ id }) => {
      const rate = find(own, id, slice, outcome);
      return of === "estimate" ? cell(rate.estimate, rate.bounds) : cell(rate.overSeeds);
    }),
  ];
  const tableOf = (slice: string): string => {
    const rows = outcomes.flatMap((outcome) => [
      row(outcome, slice, outcome, "estimate"),
      ...(experiment.seeds.length > 1 && outcome === main.outcome
        ? [row(`${outcome}, over seeds`, slice, outcome, "overSeeds")]
        : []),
    ]);
    return table([escapeHtml(slice), ...matrix.arms.map(({ label }) => escapeHtml(label))], rows);
  };
  const others = slices.filter((slice) => slice !== main.slice);
  const tables = others.map(tableOf).join("\n");
  const folded = `<details><summary>${escapeHtml(others.join(", "))}</summary>${tables}</details>`;
  return tableOf(main.slice) + (others.length > 0 ? folded : "");
}

function legend(words: Record<string, string>, own: readonly Rate[]): string {
  const shown = Object.entries(words).filter(([name]) => own.some(({ outcome }) => outcome === name));
  const lines = shown.map(([name, text]) => `<em>${escapeHtml(name)}</em>: ${escapeHtml(text)}`);
  return `<p class="soft">${lines.join("; ")}. n is the number of questions (texts, cells) with anything decided.</p>`;
}

/** Shares from 0 to 1; losses and scores from 0 to a little more than the largest. */
function rangeOf(bars: readonly { value: number | null; high: number | null }[]): [number, number] {
  const largest = Math.max(...bars.map(({ value, high }) => high ?? value ?? 0));
  return [0, largest <= 1 ? 1 : Math.ceil(largest * 1.05)];
}

/** The rate of an arm. */
export function find(rates: readonly Rate[], arm: string, slice: string, outcome: string): Rate {
  return rates.find((rate) => rate.arm === arm && rate.slice === slice && rate.outcome === outcome)!;
}

export function differenceTable(record: ExperimentRecord): string {
  const { differences, claims, matrix, complements, sameArm } = record;
  const own = differences.filter(({ slice, sameAs }) => isDecisive(slice) && sameAs === null);
  if (own.length === 0) return "";
  const labelOf = (id: string): string => escapeHtml(matrix.arms.find((arm) => arm.id === id)!.label);
  const claimOf = (one: (typeof own)[number]): string => {
    const claim = claims.find(
      ({ a, b, evaluation, slice }) =>
        a === one.a && b === one.b && evaluation === one.evaluation && slice === one.slice,
    );
    if (!claim) return "";
    if (claim.holds === null) return `<span class="no">${TOO_FEW} seeds</span>`;
    return `<span class="${claim.holds ? "yes" : "no"}">${claim.holds ? "holds" : "does not hold"}</span>`;
  };
  const either = own.some(({ bounds }) => bounds !== null);
  const rows = own.map((one) => [
    `${escapeHtml(one.evaluation)}: ${labelOf(one.a)} − ${labelOf(one.b)}`,
    estimate(one.estimate),
    `${estimate(one.adjusted)} <small>of ${one.comparisons}</small>`,
    ...(either ? [one.bounds ? `${estimate(one.bounds.low)}<br>${estimate(one.bounds.high)}` : ""] : []),
    estimate(one.overSeeds),
    claimOf(one),
  ]);
  const heads = ["difference", intervalOver(record.experiment), "for all at once", ...(either ? ["undecided"] : [])];
  const same = Object.entries(complements).map(
    ([later, earlier]) =>
      `${escapeHtml(later)} is the same answers as ${escapeHtml(earlier)}, complemented: what ` +
      "both say is counted once.",
  );
  return `${table([...heads, "over seeds alone", "the paper's pattern"], rows)}
${sameArm ? `<p>${escapeHtml(describeSameArm(sameArm))}.</p>` : ""}
<p class="soft">${DIFFERENCES} ${either ? UNDECIDED : ""} ${same.join(" ")}</p>`;
}

const DIFFERENCES = [
  "Paired by seed and question; 95 %. “Over seeds and questions” is for another draw of both: seeds crossed with",
  "questions, and questions that share what they are about are no separate evidence. “For all at once” widens it for",
  "the number of differences (Bonferroni; the number is beside it). “Over seeds alone” takes one difference a seed,",
  "for these questions (Student's t). The verdict goes by the first, with at least three seeds: fewer describe",
  "adapters, not the method. A pattern is there where all that it asks for holds, which needs no wider intervals.",
].join(" ");
const UNDECIDED =
  "“Undecided” counts everything undecided against the difference, and for it; what holds survives both.";

/** A figure for each sweep and evaluation. */
export function curveFigures({ experiment, matrix, rates }: ExperimentRecord): string {
  return experiment.sweeps
    .flatMap(({ name, setting }) =>
      experiment.evaluations.map(({ name: evaluation, label }) => {
        const own = rates.filter(
          (rate) => rate.sweep?.name === name && rate.evaluation === evaluation && isDecisive(rate.slice),
        );
        const outcome = own[0]?.outcome;
        if (!outcome) return "";
        const lines: Line[] = matrix.arms.flatMap(({ id, label: armLabel }) => {
          const points = own
            .filter((rate) => rate.arm === id && rate.outcome === outcome && rate.estimate.value !== null)
            .map(({ sweep, estimate: { value, low, high } }) => ({ x: sweep!.value, y: value!, low, high }));
          return points.length === 0 ? [] : [{ label: armLabel, points }];
        });
        const names = { x: setting, y: outcome };
        const drawing = drawForScreens((width) => drawLines(lines, names, { logX: true, width }));
        return `<h3>${escapeHtml(name)}: ${escapeHtml(label ?? evaluation)}</h3><figure>${drawing}
<figcaption>Held-out half, mean, 95 % interval ${intervalOver(experiment)}.</figcaption></figure>`;
      }),
    )
    .join("\n");
}

/** Losses of one seed's stages. */
export function trainingFigure({ training, experiment }: ExperimentRecord): string {
  const [seed] = experiment.seeds;
  const lines = training
    .filter(({ label, points }) => label.endsWith(`seed ${seed}`) && points.length > 1)
    .slice(0, 12)
    .map(({ label, points }) => ({
      label: label.replace(/^train |, seed.*$/g, ""),
      points: points.map(([x, y]) => ({ x, y })),
    }));
  if (lines.length === 0) return "";
  const names = { x: "optimiser step", y: "loss a target token" };
  return (
    `<figure>${drawForScreens((width) => drawLines(lines, names, { width }))}<figcaption>Training ` +
    `loss, seed ${seed}.</figcaption></figure>`
  );
}
