/** @file `report`: the report of an experiment once more, from what its folder holds. */
import { join } from "node:path";
import type { Command } from "commander";
import { RunError } from "../base/errors.js";
import { isDone } from "../experiment/execute/done.js";
import { readMatrix } from "../experiment/folder.js";
import { formatSummary } from "../report/summary.js";
import { deriveResults, isKeptReport, writeResults, writeUnfinished } from "../report/write.js";

export function addReportCommand(program: Command): void {
  program
    .command("report")
    .argument("<dir>", "folder of an experiment")
    .summary("write an experiment's report.html, results.json and results.csv again")
    .description(
      "From the folder of a run: all four files. From a report that was kept without its run (results.json and\n" +
        "answers.jsonl.gz): rates, intervals and claims again, from every seed's answers; report.html, which shows\n" +
        "their texts, stays as it is.",
    )
    .option("--json", "results.json on stdout")
    .addHelpText("after", "\nExample:\n  train-msm report runs/cheese-miniature")
    .action(async (folder: string, { json = false }: { json?: boolean }) => {
      if (isKeptReport(folder)) {
        const record = await deriveResults(folder);
        process.stdout.write(`${json ? JSON.stringify(record) : formatSummary(record)}\n`);
        return;
      }
      const { experiment, matrix } = readMatrix(folder);
      const open = matrix.jobs.filter((job) => !isDone(job));
      if (open.length > 0) {
        const why = `${open[0]!.label} for one: \`train-msm run\` goes on`;
        await writeUnfinished(folder, experiment, matrix, why);
        throw new RunError(`${folder}: ${open.length} of ${matrix.jobs.length} jobs are not finished, ${why}`);
      }
      const record = await writeResults(folder, experiment, matrix);
      process.stdout.write(
        json ? `${JSON.stringify(record)}\n` : `${formatSummary(record)}\n\nreport: ${join(folder, "report.html")}\n`,
      );
    });
}
