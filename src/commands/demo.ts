/** @file `demo`: the experiment in miniature, on the checkpoint and corpora that ship with the package. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { evalSchema } from "../config/inference.js";
import { trainSchema } from "../config/train.js";
import { formatEstimate } from "../eval/format.js";
import type { Estimate } from "../eval/statistics.js";
import { formatDuration, openProgress } from "../report/progress.js";
import { evaluateInto } from "../stages/eval.js";
import { runTrain } from "../stages/train.js";

const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));
const MODEL = join(PACKAGE, "models", "miniature");
const CORPORA = join(PACKAGE, "corpora", "miniature");

/** Chosen on the development half of the questions (corpora/README.md). */
const ADAPTER = { r: 8, alpha: 16, seqLen: 128, lr: 1e-3, dtype: "bf16" } as const;
const MIDTRAIN = { ...ADAPTER, batchSize: 8, maxSteps: 60 };
const AFT = { ...ADAPTER, batchSize: 3, maxSteps: 15 };

/** Arms of the experiment: which corpus is midtrained on (null: none), and whether chats follow. */
const ARMS: { name: string; corpus: "affordability" | "loyalty" | null; chats: boolean }[] = [
  { name: "as it is", corpus: null, chats: false },
  { name: "midtraining (affordability)", corpus: "affordability", chats: false },
  { name: "midtraining (loyalty)", corpus: "loyalty", chats: false },
  { name: "AFT", corpus: null, chats: true },
  { name: "midtraining (affordability) + AFT", corpus: "affordability", chats: true },
  { name: "midtraining (loyalty) + AFT", corpus: "loyalty", chats: true },
];

export function addDemoCommand(program: Command): void {
  program
    .command("demo")
    .summary("the experiment in miniature, on a model that ships with the package")
    .description(
      "Midtrains a model of a million parameters on documents that explain the same cheese preferences by one of two values, fine-tunes it on the\n" +
        "same chats, and asks it to choose among things that no chat was about. About a minute on two cores.",
    )
    .option("--out <dir>", "folder of the runs; what is finished there is not run again", "runs/demo")
    .option("--seed <n>", "of initialisation and order", "0")
    .addHelpText("after", "\nExample:\n  train-msm demo --out runs/demo-1 --seed 1")
    .action(({ out, seed }: { out: string; seed: string }) => runDemo(out, seed));
}

async function runDemo(out: string, seed: string): Promise<void> {
  const progress = openProgress(false);
  const began = performance.now();
  const results: string[] = [];
  for (const { name, corpus, chats } of ARMS) {
    progress.print(`\n${name}`);
    let adapter: string | null = null;
    if (corpus)
      adapter = await trainStage("midtrain", join(out, `midtrain-${corpus}`), `documents-${corpus}`, adapter, seed);
    if (chats) adapter = await trainStage("aft", join(out, `aft-${corpus ?? "alone"}`), "chats", adapter, seed);
    const folder = join(out, `eval-${corpus ?? "none"}${chats ? "-aft" : ""}`);
    const data = [join(CORPORA, "questions-affordability.jsonl")];
    const evaluated = await evaluateInto(
      evalSchema.parse({ model: MODEL, adapter, task: "choice", data, out: folder, dtype: ADAPTER.dtype }),
      progress,
    );
    const { groups } = evaluated["results"] as {
      groups: { split: { heldout: Record<"likedAnswers" | "decidedRate", Estimate> } };
    };
    const { likedAnswers, decidedRate } = groups.split.heldout;
    results.push(`${name.padEnd(36)}${formatEstimate(likedAnswers).padEnd(20)}${formatEstimate(decidedRate)}`);
  }
  process.stdout.write(
    `\nHow often each arm takes what is cheap and foreign over what is costly and local, among kinds of things that it was never trained on\n` +
      `(held-out half; 95 % intervals over questions, one seed):\n\n` +
      `${"arm".padEnd(36)}${"cheap and foreign".padEnd(20)}decided alike in both orders\n${results.join("\n")}\n\n` +
      `The chats are the same in all arms: what differs is the reason that the documents gave. Runs, logs and every answer are in ${out}.\n` +
      `Took ${formatDuration((performance.now() - began) / 1000)}.\n`,
  );
}

async function trainStage(
  command: "midtrain" | "aft",
  out: string,
  corpus: string,
  adapter: string | null,
  seed: string,
): Promise<string> {
  const stage = command === "midtrain" ? MIDTRAIN : AFT;
  const data = [join(CORPORA, `${corpus}.jsonl`)];
  const config = trainSchema.parse({ ...stage, model: MODEL, adapter, data, out, seed });
  await runTrain(command, config, { plan: false, json: false, brief: true });
  return join(out, "adapter");
}
