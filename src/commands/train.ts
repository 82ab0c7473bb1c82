/** @file The options of `midtrain` and `aft` as the command line shows them. */
import { type Command, Option } from "commander";
import { parseOptions } from "../config/options.js";
import { trainSchema } from "../config/train.js";
import { runTrain, type TrainFlags } from "../jobs/training.js";
import { backendOption } from "./common-options.js";

const HELP: Record<"midtrain" | "aft", { summary: string; example: string }> = {
  midtrain: {
    summary: "train on documents: every token is a target",
    example: "train-msm midtrain --model Qwen/Qwen2.5-0.5B-Instruct --data 'docs/*.jsonl' --out runs/msm",
  },
  aft: {
    summary: "alignment fine-tuning on chats: only what the assistant says is a target",
    example:
      "train-msm aft --model Qwen/Qwen2.5-0.5B-Instruct --adapter runs/msm/adapter --data chats.jsonl --out runs/aft",
  },
};

/** Adds `midtrain` or `aft`. */
export function addTrainCommand(program: Command, name: "midtrain" | "aft"): void {
  const { summary, example } = HELP[name];
  program
    .command(name)
    .summary(summary)
    .description(
      `${summary}.\nThe same command on the same --out continues an interrupted run, or finds it finished. ` +
        "DIR/adapter is a PEFT folder.",
    )
    .requiredOption("--model <id>", "Hugging Face folder or hub id")
    .requiredOption(
      "--data <file...>",
      "JSONL (.gz) or Parquet files, wildcards, or hf://datasets/<owner>/<name>[/<split or file>]",
    )
    .option("--records <n>", "train on n records of the data, drawn by the seed (default all)")
    .option("--mix <file...>", "more data, shuffled in whole: an instruction mix (default none)")
    .requiredOption("--out <dir>", "run folder: adapter/, log.jsonl, config.json, checkpoint/")
    .option("--adapter <id>", "PEFT folder or hub id to continue; it decides r, alpha and targets")
    .option(
      "--tokenizer <id>",
      "folder or hub id of another tokenizer and chat template (default: the adapter's, or the model's)",
    )
    .option("--r <n>", "rank (default 64)")
    .option("--alpha <x>", "the adapter's scale is alpha / r (default 128)")
    .option("--rslora", "scale alpha / sqrt(r)")
    .option("--targets <name...>", "projections: q k v o gate up down (default all)")
    .option(
      "--seq-len <n>",
      "tokens a row; records are packed, and do not see each other (default 4096, or the model's positions)",
    )
    .option("--batch-size <n>", "rows an optimiser step (default 8)")
    .option("--lr <x>", "peak rate (default 1e-4)")
    .option("--warmup <x>", "below 1: share of the steps, otherwise steps (default 0.05)")
    .addOption(
      new Option("--schedule <name>", "rate after the warm-up (default cosine)").choices([
        "cosine",
        "linear",
        "constant",
      ]),
    )
    .option("--weight-decay <x>", "AdamW's (default 0.01)")
    .option("--clip <x>", "largest gradient norm, 0 for none (default 1)")
    .option("--beta1 <x>", "AdamW's (default 0.9)")
    .option("--beta2 <x>", "AdamW's (default 0.999)")
    .option("--eps <x>", "AdamW's (default 1e-8)")
    .option("--epochs <x>", "times over the data (default 1)")
    .option("--max-steps <n>", "optimiser steps at most; without --epochs: exactly")
    .option("--seed <n>", "of initialisation and order (default 0)")
    .option("--no-shuffle", "keep the order of the data")
    .option("--heldout <file...>", "data for a held-out loss")
    .option("--eval-every <n>", "steps between held-out losses; always after the last (default 0: only then)")
    .option("--sample-every <n>", "steps between samples (default 0: never)")
    .option("--checkpoint-every <n>", "steps between saved states (default 50)")
    .addOption(backendOption())
    .addOption(new Option("--dtype <name>", "weights and activations (default bf16)").choices(["bf16", "f32"]))
    .option("--plan", "print tokens, steps, memory and forecast, and stop")
    .option("--json", "records as JSON lines on stdout")
    .addHelpText("after", `\nExample:\n  ${example}`)
    .action(async (options: Record<string, unknown> & Partial<TrainFlags>) => {
      const { plan = false, json = false, ...settings } = options;
      await runTrain(name, parseOptions(trainSchema, settings), { plan, json, brief: false });
    });
}
