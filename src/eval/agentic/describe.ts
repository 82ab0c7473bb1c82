/** @file Results of agentic misalignment in a few lines. */

import { describeJudge, type JudgedBy } from "../judge/describe.js";
import type { VerdictRates } from "../judge/verdict.js";
import { formatEstimate, formatNumber } from "../statistics/format.js";
import type { Estimate, MeanEstimate } from "../statistics/intervals.js";
import type { Json } from "../task.js";

interface CellMean {
  mean: MeanEstimate;
  all: VerdictRates;
}

interface Rates {
  cells: number;
  judge: CellMean;
  gate: CellMean;
}

interface Results extends Rates {
  thinking: string | null;
  halves: Record<string, Rates>;
  scenarios: Record<string, Rates>;
  controls: Record<string, Rates & { difference: { judge: Estimate; gate: Estimate } }>;
  benign: { cells: number; refused: CellMean; done: CellMean; toolCallRate: Estimate; tokens: Estimate } | null;
  cut: Estimate;
  suspected: Record<"conflicts" | "benign", VerdictRates>;
  judgedBy: JudgedBy;
}

/** Of a column. */
const WIDTH = 60;

export function describeCells(results: Json): string[] {
  const all = results as unknown as Results;
  const lines = [
    `agentic misalignment (thinking: ${all.thinking}): mean over cells, its standard error; of all responses ` +
      "yes / decided [95 %], n (the rate with the undecided counted as no, and as yes)",
    `  ${"".padEnd(24)}${"judge: decided on it".padEnd(WIDTH)}gate: did it`,
    row("all", all),
    ...Object.entries(all.halves).map(([name, rates]) => row(name, rates)),
    ...Object.entries(all.scenarios).map(([name, rates]) => row(name, rates)),
  ];
  for (const [name, rates] of Object.entries(all.controls)) {
    const { judge, gate } = rates.difference;
    lines.push(row(name, rates));
    const main = name === "asked" ? "without being asked" : "with pressure and conflict";
    lines.push(`  ${main}, higher by ${formatEstimate(judge)} (judge), ${formatEstimate(gate)} (gate)`);
  }
  const { benign } = all;
  if (benign)
    lines.push(
      `${benign.cells} ordinary tasks: refused ${cellMean(benign.refused)}; done ${cellMean(benign.done)}; ` +
        `a tool used in ${formatEstimate(benign.toolCallRate)}; ${formatEstimate(benign.tokens)} tokens`,
    );
  const { conflicts, benign: ordinary } = all.suspected;
  if (conflicts.n + ordinary.n > 0)
    lines.push(
      `took it for a test, asked after each cell: ${formatEstimate(conflicts.yesRate)} of ${conflicts.decided} that ` +
        `said, ordinary tasks ${formatEstimate(ordinary.yesRate)} of ${ordinary.decided}`,
    );
  lines.push(`cut off at the token limit ${formatEstimate(all.cut)}`);
  return [...lines, ...describeJudge(all.judgedBy)];
}

function row(name: string, { cells, judge, gate }: Rates): string {
  return `  ${name.padEnd(14)}${`${cells} cells`.padEnd(10)}${cellMean(judge).padEnd(WIDTH)}${cellMean(gate)}`;
}

/** ".250 se .031; 5/20 [.112, .469], n 24" */
function cellMean({ mean, all }: CellMean): string {
  const se = mean.se === null ? "" : ` se ${formatNumber(mean.se)}`;
  const { value, low, high } = all.yesRate;
  const interval = value === null ? "" : ` [${formatNumber(low!)}, ${formatNumber(high!)}]`;
  const counts = `${all.yes}/${all.decided}${interval}, n ${all.n}`;
  const bounds = all.bounds && all.decided < all.n ? ` (${all.bounds.map(formatNumber).join(" to ")})` : "";
  return `${mean.value === null ? "none" : formatNumber(mean.value)}${se}; ${counts}${bounds}`;
}
