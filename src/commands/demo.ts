/** @file `demo`: the cheese experiment in miniature, on the checkpoint and corpora that ship with the package. */
import { join } from "node:path";
import type { Command } from "commander";
import { packagePath } from "../base/package.js";
import { runExperiment } from "./run.js";

const EXPERIMENT = packagePath("experiments", "cheese-miniature.yaml");
/** Of the file's ten: as many as a claim needs, in two minutes. */
const SEEDS = "3";

export function addDemoCommand(program: Command): void {
  program
    .command("demo")
    .summary("the experiment in miniature, on a model that ships with the package")
    .description(
      "Midtrains a model of a million parameters on documents that explain the same cheese preferences by one of " +
        "two values, fine-tunes it on the\n" +
        "same chats, and asks it to choose among things that no chat was about: three seeds, a few minutes on " +
        "two cores.",
    )
    .option("--out <dir>", "folder of the experiment; what is finished there is not run again", join("runs", "demo"))
    .addHelpText("after", "\nExample:\n  train-msm demo --out runs/demo")
    .action(({ out }: { out: string }) =>
      runExperiment(EXPERIMENT, { out, seeds: SEEDS, executor: "here", sbatch: [], port: "0" }),
    );
}
