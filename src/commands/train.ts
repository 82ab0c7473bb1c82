/** @file The options of `midtrain` and `aft` as the command line shows them. */
import type { Command } from "commander";
import { parseOptions } from "../config/options.js";
import { trainSchema } from "../config/train.js";
import { describeForms } from "../corpus/forms.js";
import { runTrain, type TrainFlags } from "../jobs/training.js";
import { writeTensorboard } from "../runs/tensorboard.js";
import { sendToTrackio, trackioServer } from "../runs/trackio.js";
import { openProgress } from "../terminal/progress.js";
import { addOptions } from "./options.js";

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

/** Where the steps of a run are shown besides here. */
interface Elsewhere {
  tensorboard?: string;
  trackio?: string;
}

/** Adds `midtrain` or `aft`. */
export function addTrainCommand(program: Command, name: "midtrain" | "aft"): void {
  const { summary, example } = HELP[name];
  const command = program
    .command(name)
    .summary(summary)
    .description(
      `${summary}.\nThe same command on the same --out continues an interrupted run, or finds it finished. ` +
        "DIR/adapter is a PEFT folder.",
    );
  addOptions(command, trainSchema)
    .option("--plan", "print tokens, steps, memory and forecast, and stop")
    .option("--json", "records as JSON lines on stdout")
    .option("--tensorboard <dir>", "when it ends, write its steps there as a TensorBoard event file")
    .option("--trackio <url>", "send its steps to this Trackio server while it trains")
    .addHelpText("after", `\nRecords of the data, each one of:\n${describeForms()}\n\nExample:\n  ${example}`)
    .action(async (options: Record<string, unknown> & Partial<TrainFlags> & Elsewhere) => {
      const { plan = false, json = false, tensorboard, trackio, ...settings } = options;
      const config = parseOptions(trainSchema, settings);
      const server = trackio === undefined ? null : trackioServer(trackio);
      let endSending = async (): Promise<void> => {};
      const onOpen = (): void => {
        if (server) endSending = sendToTrackio(server, config.out, openProgress(false).print).end;
      };
      try {
        await runTrain(name, config, { plan, json, brief: false, onOpen });
      } finally {
        // Also of a run that was interrupted, or failed.
        await endSending();
        if (tensorboard && !plan) await writeTensorboard(config.out, tensorboard, Date.now() / 1000);
      }
    });
}
