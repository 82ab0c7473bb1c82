/** @file Options come from the schemas of settings: flags, choices, defaults and their help are written there alone. */
import { Command } from "commander";
import { expect, test } from "vitest";
import { z } from "zod";
import { addEvalCommand } from "../../src/commands/eval.js";
import { addGenerateCommand } from "../../src/commands/generate.js";
import { addMergeCommand } from "../../src/commands/merge.js";
import { addOptions, optionOf } from "../../src/commands/options.js";
import { addTrainCommand } from "../../src/commands/train.js";
import { evalSchema, generateSchema, mergeSchema, rejudgeSchema } from "../../src/config/inference.js";
import { trainSchema } from "../../src/config/train.js";

test("one option a setting, with what it takes, its default and its choices", () => {
  const schema = z.strictObject({
    maxTokens: z.number().nullable().default(null).meta({ value: "n", description: "tokens", defaultNote: "all" }),
    every: z.number().default(0).meta({ value: "n", description: "steps", defaultNote: "never" }),
    kinds: z
      .array(z.enum(["a", "b"]))
      .default(["a", "b"])
      .meta({ value: "kind", description: "kinds" }),
    out: z.string().meta({ value: "dir", description: "folder" }),
    raw: z.boolean().default(false).meta({ description: "as it stands" }),
    shuffle: z.boolean().default(true).meta({ description: "keep the order" }),
  });
  const command = addOptions(new Command("x"), schema);
  expect(command.options.map(({ flags, description }) => [flags, description])).toEqual([
    ["--max-tokens <n>", "tokens (default all)"],
    ["--every <n>", "steps (default 0: never)"],
    ["--kinds <kind...>", "kinds (default a b)"],
    ["--out <dir>", "folder"],
    ["--raw", "as it stands"],
    ["--no-shuffle", "keep the order"],
  ]);
  expect(command.options.map(({ argChoices }) => argChoices)).toEqual([
    undefined,
    undefined,
    ["a", "b"],
    undefined,
    undefined,
    undefined,
  ]);
  // Nothing is given that was not: experiments and scripts go by the schema's default.
  command.parse(["--kinds", "b", "--max-tokens", "3"], { from: "user" });
  expect(command.opts()).toEqual({ kinds: ["b"], maxTokens: "3", shuffle: true });
});

test("every command has an option for each of its settings, and a line of help for each", () => {
  const program = new Command("train-msm");
  addTrainCommand(program, "aft");
  for (const add of [addEvalCommand, addGenerateCommand, addMergeCommand]) add(program);
  const rejudge = program.commands.find((command) => command.name() === "eval")!.commands[0]!;
  const schemas = [trainSchema, evalSchema, generateSchema, mergeSchema, rejudgeSchema.omit({ run: true })];
  for (const [i, command] of [...program.commands, rejudge].entries()) {
    const settings = Object.entries(schemas[i]!.shape).map(([key, field]) => optionOf(key, field as z.ZodType));
    // What is shown, which settles nothing of the run.
    const own = ["--plan", "--json", "--tensorboard <dir>", "--trackio <url>", "--log-dir <dir>"];
    const isOwn = (flags: string): boolean => own.includes(flags);
    expect(command.options.map(({ flags }) => flags).filter((flags) => !isOwn(flags))).toEqual(
      settings.map(({ flags }) => flags),
    );
    for (const { flags, description } of settings) {
      expect(flags).not.toContain("<value");
      expect(description, flags).not.toBe("");
    }
  }
});
