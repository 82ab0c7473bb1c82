/** @file Options that inference commands share. */
import { type Command, Option } from "commander";

/** Adds --backend, --dtype, --seed and --json; texts that differ between commands are given. */
export function addCommonOptions(command: Command, texts: { dtype: string; seed: string; json: string }): Command {
  return command
    .addOption(new Option("--backend <name>", "what computes (default auto)").choices(["auto", "cpu", "cuda"]))
    .addOption(
      new Option("--dtype <name>", `weights and activations (default ${texts.dtype})`).choices(["bf16", "f32"]),
    )
    .option("--seed <n>", texts.seed)
    .option("--json", texts.json);
}
