/** @file Options that say who judges. */
import type { Command } from "commander";

/** Adds --judge, --judge-price, --judge-rpm and --judge-cache. */
export function addJudgeOptions(command: Command): Command {
  return command
    .option(
      "--judge <name>",
      "base: the same model with its adapter off; none; openai:NAME: an endpoint (OPENAI_API_KEY, " +
        "OPENAI_BASE_URL); or a checkpoint by folder or hub id (default base)",
    )
    .option(
      "--judge-price <in,out>",
      "dollars for a million tokens in and out, for the forecast (or MSM_JUDGE_PRICE; default not known)",
    )
    .option("--judge-rpm <n>", "requests to the endpoint a minute at most (default 240)")
    .option(
      "--judge-cache <dir>",
      "folder of judges' replies, which are never asked for twice (default ~/.cache/train-msm/judge)",
    );
}
