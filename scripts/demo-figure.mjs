// Draws docs/demo.svg, the picture of README.md, from what the miniature gave:
//
//   npm run build && node scripts/demo-figure.mjs [experiments/reports/cheese-miniature/results.json]
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { drawBars } from "../dist/report/page/figures.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const path = process.argv[2] ?? join(root, "experiments", "reports", "cheese-miniature", "results.json");
const { experiment, matrix, rates } = JSON.parse(readFileSync(path, "utf8"));

const EVALUATION = "affordability";
const SLICE = "split heldout";
const OUTCOME = "liked";
/** Light and dark, as on the report's page. */
const COLOURS = `<style>
svg { --ink: #1c2127; --soft: #5b6570; --line: #d9dee4; --s1: #2f6fb2; --s2: #c2571a; --s6: #8a929c }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6e9ed; --soft: #9aa5b1; --line: #39414a; --s1: #6aa9e9; --s2: #f0955a; --s6: #9aa5b1 }
}
</style>`;

const specs = Object.keys(experiment.specs);
const bars = matrix.arms.flatMap((arm) => {
  const rate = rates.find(
    (one) =>
      one.sweep === null &&
      one.arm === arm.id &&
      one.evaluation === EVALUATION &&
      one.slice === SLICE &&
      one.outcome === OUTCOME,
  );
  if (!rate) return [];
  const { value, low, high } = rate.estimate;
  const seeds = rate.seeds.map((seed) => seed.value).filter((seed) => seed !== null);
  const group = arm.spec === null ? 5 : specs.indexOf(arm.spec);
  return [{ label: arm.label, value, low, high, seeds: seeds.length > 1 ? seeds : [], group }];
});
if (bars.length === 0) throw new Error(`${path} has no rates of ${EVALUATION}, ${SLICE}`);

const svg = drawBars(bars, "share of choices of the cheap and foreign thing", [0, 1]);
const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg);
const title = "<title>Share of choices of the cheap and foreign thing, by arm</title>";
const sized = svg
  .replace('width="100%"', `width="${width}" height="${height}"`)
  .replace(/>/, `>\n${title}\n${COLOURS}\n`)
  // What ECharts writes for a mouse.
  .replace(/<style ><!\[CDATA\[[\s\S]*?<\/style>\n?/, "");
writeFileSync(join(root, "docs", "demo.svg"), `${sized}\n`);
