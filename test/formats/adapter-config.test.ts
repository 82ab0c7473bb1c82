import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { formatAdapterConfig, parseAdapterConfig } from "../../src/formats/adapter-config.js";
import { mutateValue, seeded, succeedsOrInputError } from "./fuzz.js";

const peft = JSON.parse(readFileSync(new URL("../fixtures/peft-adapter/adapter_config.json", import.meta.url), "utf8"));
const parse = (fields: Record<string, unknown> = {}) =>
  parseAdapterConfig({ ...peft, ...fields }, "adapter_config.json");

it("reads what it writes", () => {
  const config = {
    r: 4,
    alpha: 8.5,
    useRslora: true,
    targets: ["q", "up"] as const,
    baseModelNameOrPath: "a/b",
    dropout: 0.1,
  };
  const { targets, ...others } = config;
  const json = JSON.parse(formatAdapterConfig({ ...config, targets: [...targets] }));
  expect(parseAdapterConfig(json, "file")).toEqual({
    ...others,
    targetModules: ["q_proj", "up_proj"],
    excludeModules: null,
  });
});

it("writes no field that PEFT does not know", () => {
  const written = JSON.parse(
    formatAdapterConfig({ r: 4, alpha: 8, useRslora: false, targets: ["q"], baseModelNameOrPath: null, dropout: 0 }),
  );
  for (const field of Object.keys(written)) expect(peft).toHaveProperty(field);
});

it.each<[Record<string, unknown>, RegExp]>([
  [{ use_dora: true }, /use_dora is true; the engine does not implement it/],
  [{ exclude_modules: 3 }, /exclude_modules is 3; must be a list of modules or one pattern/],
  [{ modules_to_save: ["lm_head"] }, /modules_to_save is \["lm_head"\]/],
  [{ bias: "all" }, /bias is "all"; trained biases are not implemented/],
  [{ bias: "lora_only" }, /bias is "lora_only"/],
  [{ rank_pattern: { q_proj: 4 } }, /rank_pattern is \{"q_proj":4\}/],
  [{ alpha_pattern: { q_proj: 4 } }, /alpha_pattern is/],
  [{ layers_to_transform: [0, 1] }, /layers_to_transform is \[0,1\]/],
  [{ layer_replication: [[0, 1]] }, /layer_replication is/],
  [{ lora_bias: true }, /lora_bias is true/],
  [{ fan_in_fan_out: true }, /fan_in_fan_out is true/],
  [{ init_lora_weights: "pissa" }, /init_lora_weights is "pissa", which may change the base weights/],
  [{ init_lora_weights: "pissa_niter_4" }, /pissa_niter_4/],
  [{ init_lora_weights: "olora" }, /olora/],
  [{ init_lora_weights: "loftq" }, /loftq/],
  [{ trainable_token_indices: [1] }, /trainable_token_indices is \[1\]/],
  [{ target_parameters: ["x"] }, /target_parameters is \["x"\]/],
  [{ use_qalora: true }, /use_qalora is true/],
  [{ alora_invocation_tokens: [1, 2] }, /alora_invocation_tokens is/],
  [{ some_future_option: "on" }, /some_future_option is "on"/],
  [{ peft_type: "IA3" }, /peft_type is "IA3"; only LoRA/],
  [{ peft_type: undefined }, /peft_type is missing/],
  [{ task_type: "SEQ_CLS" }, /task_type is "SEQ_CLS"/],
  [{ r: 0 }, /r is 0; must be a whole number from 1/],
  [{ r: 1e9 }, /r is 1000000000/],
  [{ lora_alpha: "16" }, /lora_alpha is "16"/],
  [{ lora_alpha: undefined }, /lora_alpha is missing/],
  [{ lora_dropout: 2 }, /lora_dropout is 2/],
  [{ target_modules: 3 }, /target_modules is 3/],
])("refuses %j", (fields, message) => {
  expect(() => parse(fields)).toThrow(message);
  expect(() => parse(fields)).toThrow(/^adapter_config\.json: /);
});

it.each([
  { init_lora_weights: "gaussian" },
  { init_lora_weights: false },
  { task_type: null },
  { lora_dropout: null },
  { future_option: null, other: false, more: {}, none: [] },
  { base_model_name_or_path: "x/y", revision: "main" },
])("accepts %j", (fields) => {
  expect(parse(fields)).toMatchObject({ r: 2, alpha: 6 });
});

it("gives 10,000 hostile files settings within limits or an InputError", () => {
  const random = seeded(17);
  let parsed = 0;
  for (let i = 0; i < 10_000; i++) {
    const text = mutateValue(peft, random, 1 + random.whole(3));
    const attempt = () => {
      const { r, alpha, dropout } = parseAdapterConfig(JSON.parse(text), "FILE");
      if (!(r >= 1 && r <= 65536 && alpha > 0 && alpha < 1e7 && dropout >= 0 && dropout <= 1)) expect.fail(text);
    };
    if (succeedsOrInputError(attempt, "FILE", text)) parsed++;
  }
  expect(parsed).toBeGreaterThan(500);
});
