/**
 * @file adapter_config.json as PEFT writes it; options that change what the adapter computes and are not implemented
 * are refused by name.
 */

import { z } from "zod";
import { InputError } from "../base/errors.js";
import { checkJson, formatValue, numberIn, wholeNumber } from "../base/json.js";
import type { AdapterConfig } from "../shape/adapter.js";

/** Above any hidden size that makes a low rank of it. */
const MAX_RANK = 65536;

/** What the file says: which projections those are shows in the tensors. */
export type RawAdapterConfig = Omit<AdapterConfig, "targets"> & {
  targetModules: string[] | string | null;
  excludeModules: string[] | string | null;
};

const modules = z.union([z.array(z.string()), z.string()], "must be a list of modules or one pattern");

const schema = z.looseObject(
  {
    peft_type: z.literal("LORA", 'only LoRA adapters ("LORA") are read'),
    task_type: z.literal("CAUSAL_LM", 'only "CAUSAL_LM" adapters are read').nullish(),
    r: wholeNumber(MAX_RANK),
    lora_alpha: numberIn(1e-6, 1e6),
    lora_dropout: numberIn(0, 1).nullish(),
    use_rslora: z.boolean("must be true or false").nullish(),
    bias: z.literal("none", 'trained biases are not implemented; train with bias "none"').nullish(),
    target_modules: modules.nullish(),
    exclude_modules: modules.nullish(),
    base_model_name_or_path: z.string("must be text").nullish(),
    init_lora_weights: z.union([z.boolean(), z.string()], "must be true, false or the name of a method").nullish(),
  },
  "must be a JSON object",
);

/** Fields that do not change what a trained adapter computes. */
const HARMLESS = new Set([
  ...Object.keys(schema.shape),
  "auto_mapping",
  "inference_mode",
  "layers_pattern",
  "loftq_config",
  "corda_config",
  "eva_config",
  "lora_ga_config",
  "megatron_config",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "revision",
  "runtime_config",
]);

/**
 * Initialisations that leave the base weights as they are; the others (PiSSA, OLoRA, LoftQ, CorDA, ...) subtract the
 * first B A from them.
 */
const PLAIN_INITS: unknown[] = [undefined, null, true, false, "gaussian", "orthogonal", "eva"];

/**
 * The settings in parsed adapter_config.json `json`; `where` names the file. Throws InputError naming field and value.
 */
export function parseAdapterConfig(json: unknown, where: string): RawAdapterConfig {
  const raw = checkJson(schema, json, where);
  if (!PLAIN_INITS.includes(raw.init_lora_weights)) {
    throw new InputError(
      `${where}: init_lora_weights is ${formatValue(raw.init_lora_weights)}, which may change the base weights; ` +
        "convert the adapter to plain LoRA in PEFT (save_pretrained with path_initial_model_for_weight_conversion)",
    );
  }
  for (const [field, value] of Object.entries(raw)) {
    if (HARMLESS.has(field) || isOff(value)) continue;
    throw new InputError(
      `${where}: ${formatValue(field).slice(1, -1)} is ${formatValue(value)}; the engine does not implement it`,
    );
  }
  return {
    r: raw.r,
    alpha: raw.lora_alpha,
    useRslora: raw.use_rslora ?? false,
    targetModules: raw.target_modules ?? null,
    excludeModules: raw.exclude_modules ?? null,
    baseModelNameOrPath: raw.base_model_name_or_path ?? null,
    dropout: raw.lora_dropout ?? 0,
  };
}

function isOff(value: unknown): boolean {
  if (value === null || value === false || value === 0 || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/**
 * adapter_config.json that PEFT (any since 0.7) and vLLM load; newer fields are left to their defaults, older releases
 * refuse them.
 */
export function formatAdapterConfig(config: AdapterConfig): string {
  const json = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: config.baseModelNameOrPath,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    loftq_config: {},
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    megatron_config: null,
    megatron_core: "megatron.core",
    modules_to_save: null,
    peft_type: "LORA",
    r: config.r,
    rank_pattern: {},
    revision: null,
    target_modules: config.targets.map((projection) => `${projection}_proj`),
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: config.useRslora,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}
