/** @file What training changed in the weights: norms by layer, and how far a stage turned what it continues. */
import type { StageUpdate } from "../../experiment/adapters.js";
import type { ExperimentRecord } from "../../experiment/record.js";
import { drawForScreens, drawLines } from "./figures.js";
import { escapeHtml, share, table } from "./html.js";

/** Empty where nothing was trained, or where it was not recorded. */
export function adapterSection({ updates = [], matrix }: ExperimentRecord): string {
  const arms = matrix.arms.flatMap(({ id, label }) => {
    const own = updatesOf(id, updates, matrix);
    return own.length === 0 ? [] : [{ label, own }];
  });
  if (arms.length === 0) return "";
  const lines = arms.map(({ label, own }) => ({
    label,
    points: own[0]!.layers.map((_, layer) => ({ x: layer, y: mean(own.map(({ layers }) => layers[layer]!)) })),
  }));
  const rows = arms.map(({ label, own }) => {
    const continued = own.flatMap((one) => one.continued ?? []);
    const angles = continued.flatMap(({ tensors }) => Object.values(tensors).filter((cosine) => cosine !== null));
    const ends = angles.length === 0 ? "" : `<br><small>weights ${range(angles)}</small>`;
    const over = (values: readonly (number | null)[]): string => {
      const known = values.filter((value) => value !== null);
      return known.length === 0 ? "–" : share(mean(known));
    };
    return [
      escapeHtml(label),
      `${share(mean(own.map(({ norm }) => norm)))} <small>${range(own.map(({ norm }) => norm))}</small>`,
      `${over(continued.map(({ cosine }) => cosine))}${ends}`,
      over(continued.map(({ added }) => added)),
    ];
  });
  const names = { x: "layer", y: "norm of the update" };
  const figure = drawForScreens((width) => drawLines(lines, names, { width }));
  return `<figure>${figure}
<figcaption>Frobenius norm of scale · B · A by layer, mean of the seeds.</figcaption></figure>
${table(["arm", "norm of the update", "cosine with what it continues", "added at right angles"], rows)}
<p class="soft">${EXPLAINED}</p>`;
}

const EXPLAINED = [
  "The update is what an arm's last adapter adds to the weights. AFT after midtraining goes on with the same adapter:",
  "the cosine is between the update before and after AFT, all weights as one vector, then the least and the most of",
  "single weights and seeds. Near 1, AFT left in place what midtraining wrote; near 0 the two have nothing in common.",
  "Beside it what AFT added at right angles, as a share of the norm before. results.json has each weight of each seed.",
].join(" ");

/** One a seed: the last stage of the arm. */
function updatesOf(arm: string, updates: readonly StageUpdate[], { cells, jobs }: ExperimentRecord["matrix"]) {
  const last = cells
    .filter((cell) => cell.arm === arm && cell.sweep === null)
    .map((cell) => jobs.find(({ id }) => id === cell.job)?.needs[0]);
  return updates.filter(({ job }) => last.includes(job));
}

function range(values: readonly number[]): string {
  return `${share(Math.min(...values))} to ${share(Math.max(...values))}`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
