/** @file Options of the command line, made from the schemas of settings (config/). */
import { type Command, Option } from "commander";
import { z } from "zod";
import { flagOf } from "../config/help.js";

/** Of what evaluates. */
export const LOG_DIR = ["--log-dir <dir>", "also write each evaluation there as a log that Inspect opens"] as const;

/** Adds an option for every setting of `schema`, in its order. What is missing or wrong `parseOptions` says. */
export function addOptions(command: Command, schema: z.ZodObject): Command {
  for (const [key, field] of Object.entries(schema.shape)) command.addOption(optionOf(key, field as z.ZodType));
  return command;
}

/**
 * The option of one setting: `--max-tokens <n>`, `--data <file...>` of a list, `--raw` and `--no-shuffle` of what is
 * false or true by default. Commander is told no default, so that a setting that was not given stays absent.
 */
export function optionOf(key: string, field: z.ZodType): Option {
  const { value = "value", description = "", defaultNote } = field.meta() ?? {};
  const byDefault = field.safeParse(undefined).data;
  const type = innerType(field);
  if (type instanceof z.ZodBoolean)
    return new Option(byDefault === true ? flagOf(key).replace("--", "--no-") : flagOf(key), description);
  const isList = type instanceof z.ZodArray;
  const shown = [formatDefault(byDefault), defaultNote].filter(Boolean).join(": ");
  const option = new Option(
    `${flagOf(key)} <${value}${isList ? "..." : ""}>`,
    shown === "" ? description : `${description} (default ${shown})`,
  );
  const item = isList ? type.element : type;
  return item instanceof z.ZodEnum ? option.choices(item.options.map(String)) : option;
}

function innerType(field: z.ZodType): z.ZodType {
  if (field instanceof z.ZodDefault || field instanceof z.ZodNullable) return innerType(field.unwrap() as z.ZodType);
  return field;
}

function formatDefault(value: unknown): string {
  return value === undefined || value === null ? "" : [value].flat().join(" ");
}
