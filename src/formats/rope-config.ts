/**
 * @file The rotary embedding of a config.json, as transformers 4 (rope_theta, rope_scaling) or 5 (rope_parameters)
 * writes it.
 */

import { z } from "zod";
import { InputError } from "../base/errors.js";
import { checkJson, formatValue, numberIn, wholeNumber } from "../base/json.js";
import type { Llama3RopeScaling, ModelConfig } from "../shape/config.js";

const DEFAULT_THETA = 10000; // of all three config classes of transformers

const theta = numberIn(1, 1e12);
const parametersSchema = z.looseObject(
  {
    rope_theta: theta.nullish(),
    rope_type: z.string("must be a name").nullish(),
    type: z.string("must be a name").nullish(),
    partial_rotary_factor: z.literal(1, "the engine rotates whole heads only (1)").nullish(),
  },
  "must be an object",
);
type Parameters = z.infer<typeof parametersSchema>;

const schema = z.object({
  rope_theta: theta.nullish(),
  rope_scaling: parametersSchema.nullish(),
  rope_parameters: parametersSchema.nullish(),
});

const llama3Schema = z.object({
  factor: numberIn(1, 1e6),
  low_freq_factor: numberIn(1e-6, 1e6),
  high_freq_factor: numberIn(1e-6, 1e6),
  original_max_position_embeddings: wholeNumber(2 ** 30),
});

/** Anything else (a nested object for each layer type, say) means another kind of RoPE. */
const KNOWN_KEYS = new Set([...Object.keys(parametersSchema.shape), ...Object.keys(llama3Schema.shape)]);

/**
 * RoPE's base and scaling from the parsed config.json `json` of file `where`. Throws InputError on another kind than
 * plain or llama3.
 */
export function parseRope(json: unknown, where: string): Pick<ModelConfig, "ropeTheta" | "ropeScaling"> {
  const { rope_theta, rope_scaling, rope_parameters } = checkJson(schema, json, where);
  const thetas = [rope_theta, rope_parameters?.rope_theta, rope_scaling?.rope_theta].filter(
    (value) => typeof value === "number",
  );
  if (thetas.some((value) => value !== thetas[0])) {
    throw new InputError(`${where}: rope_theta is given as ${thetas.join(" and as ")}; keep the right one`);
  }
  const scalings: (Llama3RopeScaling | null)[] = [];
  if (rope_parameters) scalings.push(parseScaling(rope_parameters, `${where}: rope_parameters`));
  if (rope_scaling) scalings.push(parseScaling(rope_scaling, `${where}: rope_scaling`));
  if (scalings.length === 2 && JSON.stringify(scalings[0]) !== JSON.stringify(scalings[1])) {
    throw new InputError(`${where}: rope_parameters and rope_scaling disagree; keep the right one`);
  }
  return { ropeTheta: thetas[0] ?? DEFAULT_THETA, ropeScaling: scalings[0] ?? null };
}

function parseScaling(parameters: Parameters, where: string): Llama3RopeScaling | null {
  const unknown = Object.keys(parameters).find((key) => !KNOWN_KEYS.has(key) && parameters[key] !== null);
  const type = parameters.rope_type ?? parameters.type;
  if (type !== undefined && type !== null && type !== "default" && type !== "llama3") {
    throw new InputError(
      `${where}: type ${formatValue(type)} is not implemented; the engine runs plain RoPE and "llama3", so use a ` +
        "checkpoint without it",
    );
  }
  if (unknown !== undefined) {
    throw new InputError(
      `${where}: ${formatValue(unknown)} is ${formatValue(parameters[unknown])}; the engine does not implement it`,
    );
  }
  if (type !== "llama3") {
    if (!type && "factor" in parameters)
      throw new InputError(`${where} is ${formatValue(parameters)}; it must name its rope_type`);
    return null;
  }
  const values = checkJson(llama3Schema, parameters, where);
  const { low_freq_factor: low, high_freq_factor: high } = values;
  if (high <= low)
    throw new InputError(`${where}: high_freq_factor is ${high}; it must be above low_freq_factor (${low})`);
  return {
    factor: values.factor,
    lowFreqFactor: low,
    highFreqFactor: high,
    originalMaxPositionEmbeddings: values.original_max_position_embeddings,
  };
}
