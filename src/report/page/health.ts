/** @file Whether the arms can still answer, and what two ways of asking find. */
import type { ExperimentRecord } from "../../experiment/record.js";
import type { Rate } from "../../experiment/results.js";
import { missingAnswers } from "../missing.js";
import { isDecisive } from "./answer.js";
import { escapeHtml, integer, share, table } from "./html.js";

/**
 * A tenth: the size of the differences that are looked for. Ways of asking that are further apart than it cannot both
 * be read.
 */
const APART = 0.1;

/** Format competence, loss of unseen text and replies of every arm; empty where nothing of it was measured. */
export function healthTable({ matrix, health = [] }: ExperimentRecord): string {
  const shown = health.filter(({ competence, loss }) => competence.length > 0 || loss !== null);
  if (shown.length === 0) return "";
  const rows = shown.map(({ arm, competence, loss, replies, broken }) => {
    const worst = (way: string): string => {
      const own = competence.filter((one) => one.way === way);
      const [least] = own.sort((a, b) => a.right - b.right);
      if (!least) return "–";
      const verdict = own.every(({ isCompetent }) => isCompetent) ? "" : ' <span class="no">not to be read</span>';
      return `${share(least.right)} <small>of ${least.n}</small>${verdict}`;
    };
    const increase = loss?.increase ?? null;
    const rise =
      increase === null
        ? ""
        : ` <small>${increase < 0 ? "" : "+"}${share(increase)}, ${escapeHtml(loss!.part)}</small>`;
    const said = replies.map(({ tokens, empty, cut }) => {
      const lost = empty + cut > 0 ? ` <small>empty ${share(empty)}, cut off ${share(cut)}</small>` : "";
      return `${tokens === null ? "–" : tokens.toFixed(1)}${lost}`;
    });
    return [
      escapeHtml(matrix.arms.find(({ id }) => id === arm)!.label),
      worst("log-probability"),
      worst("answer"),
      loss ? `${loss.loss.toFixed(3)}${rise}` : "–",
      said[0] ?? "–",
      broken.length > 0 ? `<span class="no">broken</span>` : "",
    ];
  });
  const why = shown.flatMap(({ arm, broken }) =>
    broken.map((reason) => {
      const { label } = matrix.arms.find(({ id }) => id === arm)!;
      return `<li>${escapeHtml(label)}: ${escapeHtml(reason)}</li>`;
    }),
  );
  const head = ["arm", "undisputed questions, log-probability", "undisputed questions, answer"];
  const reasons = why.length > 0 ? `<ul>${why.join("")}</ul>` : "";
  return `${table([...head, "loss of unseen text", "tokens a reply", ""], rows)}${reasons}
<p class="soft">Undisputed questions in the form of the choices, right in both orders: on fewer than half, choices in
that form are not to be read. Loss in nats a token, of the texts whose loss rose most against the bare model. Broken is
an arm that fails undisputed questions which the bare model answers, whose loss of some unseen text rose by more than
half a nat, or most of whose replies are empty or never end. Means of the seeds.</p>`;
}

/** Answers that did not come or could not be read; empty where none is missing. */
export function missingTable(record: ExperimentRecord): string {
  const missing = missingAnswers(record);
  if (missing.length === 0) return "";
  const rows = missing.map(({ what, counts: { asked, answered, readable, failed } }) => [
    escapeHtml(what),
    ...[asked, answered, readable, failed].map(integer),
  ]);
  return `${table(["evaluation", "asked for", "say something", "could be read", "refused by the judge"], rows)}
<p class="soft">Answers of all seeds, drawn or scored. Those that are missing are in no rate.</p>`;
}

/** The liked option's share by every way of asking, and where the ways disagree. */
export function askingTable({ experiment, matrix, rates }: ExperimentRecord): string {
  const tables = experiment.evaluations.flatMap(({ name, label, settings }) => {
    if (settings.task !== "choice") return [];
    const own = rates.filter((rate) => rate.evaluation === name && rate.sweep === null && isDecisive(rate.slice));
    const rateOf = (arm: string, outcome: string): number | null =>
      own.find((rate: Rate) => rate.arm === arm && rate.outcome === outcome)?.estimate.value ?? null;
    const ways = ["liked", "liked per token", "answer"].filter((way) => own.some(({ outcome }) => outcome === way));
    if (ways.length < 2) return [];
    const hasReplies = ways.includes("answer");
    const rows = matrix.arms.map(({ id, label: armLabel }) => {
      const values = ways.map((way) => rateOf(id, way));
      const parsed = hasReplies ? [rateOf(id, "parsed")] : [];
      const cells = [...values, ...parsed].map((value) => (value === null ? "–" : share(value)));
      return [escapeHtml(armLabel), ...cells, disagreement(ways, values)];
    });
    const titles = ways.map((way) =>
      way === "answer" ? "by answer" : way.replace("liked", "by log-probability, sum").replace("sum per", "per"),
    );
    const head = ["arm", ...titles, ...(hasReplies ? ["replies read"] : []), ""];
    return [`<h3>${escapeHtml(label ?? name)}</h3>${table(head, rows)}`];
  });
  if (tables.length === 0) return "";
  return `${tables.join("\n")}
<p class="soft">Share of the liked option. Sums of log-probabilities favour the shorter option; what a model says is
another measurement than what it finds likely. Ways disagree where they are on opposite sides of one half or more than
${share(APART)} apart: then what is found depends on how one asks.</p>`;
}

function disagreement(ways: readonly string[], values: readonly (number | null)[]): string {
  const [first, ...others] = values;
  if (typeof first !== "number") return "";
  const apart = others.flatMap((value, i) =>
    value !== null && (Math.abs(value - first) > APART || (value - 0.5) * (first - 0.5) < 0) ? [ways[i + 1]!] : [],
  );
  return apart.length === 0 ? "" : `<span class="no">${escapeHtml(apart.join(", "))} disagrees</span>`;
}
