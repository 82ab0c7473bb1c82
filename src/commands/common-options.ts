/** @file Options that inference commands share. */
import { type Command, Option } from "commander";
import { BACKENDS } from "../backend/open.js";

/** --backend, the same for every command. */
export function backendOption(): Option {
  return new Option(
    "--backend <name>",
    "what computes (default auto: cuda where it is built and a GPU is there, else cpu)",
  ).choices(BACKENDS);
}

/** Adds --backend, --dtype, --seed and --json; texts that differ between commands are given. */
export function addCommonOptions(command: Command, texts: { dtype: string; seed: string; json: string }): Command {
  return command
    .addOption(backendOption())
    .addOption(
      new Option("--dtype <name>", `weights and activations (default ${texts.dtype})`).choices(["bf16", "f32"]),
    )
    .option("--seed <n>", texts.seed)
    .option("--json", texts.json);
}
