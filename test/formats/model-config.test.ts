import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseModelConfig } from "../../src/formats/model-config.js";
import { sharedModel } from "../shared.js";
import { smallConfig } from "./folder.js";
import { mutateValue, seeded, succeedsOrInputError } from "./fuzz.js";

type Family = "llama" | "qwen2" | "qwen3";
const parse = (family: Family, fields: Record<string, unknown> = {}) =>
  parseModelConfig(smallConfig(family, fields), "config.json");

const LLAMA3 = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};
const LLAMA3_PARSED = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 8192 };

describe("parseModelConfig", () => {
  it("reads every field", () => {
    expect(
      parse("qwen3", { num_attention_heads: 4, head_dim: 16, rope_theta: 1e6, tie_word_embeddings: true }),
    ).toEqual({
      family: "qwen3",
      vocabSize: 32,
      hiddenSize: 16,
      intermediateSize: 24,
      numLayers: 2,
      numHeads: 4,
      numKvHeads: 1,
      headDim: 16,
      maxPositionEmbeddings: 64,
      rmsNormEps: 1e-5,
      ropeTheta: 1e6,
      ropeScaling: null,
      qkvBias: false,
      qkNorm: true,
      tieWordEmbeddings: true,
    });
    expect(parse("qwen2")).toMatchObject({ qkvBias: true, qkNorm: false });
    expect(parse("llama")).toMatchObject({ qkvBias: false, qkNorm: false });
  });

  it("fills in the defaults of transformers", () => {
    const none = {
      head_dim: undefined,
      num_key_value_heads: undefined,
      rms_norm_eps: undefined,
      rope_theta: undefined,
    };
    const fields = { ...none, tie_word_embeddings: undefined, max_position_embeddings: undefined };
    const defaults = { numKvHeads: 2, rmsNormEps: 1e-6, ropeTheta: 10000, tieWordEmbeddings: false };
    expect(parse("llama", fields)).toMatchObject({ ...defaults, headDim: 8, maxPositionEmbeddings: 2048 });
    expect(parse("qwen2", fields)).toMatchObject({ ...defaults, headDim: 8, maxPositionEmbeddings: 32768 });
    expect(parse("qwen3", fields)).toMatchObject({ ...defaults, headDim: 128 });
    expect(
      parse("llama", { head_dim: null, num_key_value_heads: null, rope_scaling: null, rope_parameters: null }),
    ).toMatchObject({
      headDim: 8,
      numKvHeads: 2,
      ropeScaling: null,
    });
  });

  it.each([
    ["transformers 4", { rope_theta: 5e5, rope_scaling: LLAMA3, torch_dtype: "bfloat16" }],
    ["its older spelling", { rope_theta: 5e5, rope_scaling: { ...LLAMA3, rope_type: undefined, type: "llama3" } }],
    ["transformers 5", { rope_theta: undefined, rope_parameters: { ...LLAMA3, rope_theta: 5e5 }, dtype: "bfloat16" }],
    ["both at once", { rope_theta: 5e5, rope_scaling: LLAMA3, rope_parameters: { ...LLAMA3, rope_theta: 5e5 } }],
  ])("reads llama3 scaling as %s writes it", (_, fields) => {
    expect(parse("llama", fields)).toMatchObject({ ropeTheta: 5e5, ropeScaling: LLAMA3_PARSED });
  });

  it.each([
    { rope_theta: undefined, rope_parameters: { rope_type: "default", rope_theta: 5e5 } },
    { rope_theta: 5e5, rope_scaling: { type: "default" } },
    { rope_theta: 5e5, rope_scaling: {} },
  ])("reads plain RoPE from %j", (fields) => {
    expect(parse("qwen2", fields)).toMatchObject({ ropeTheta: 5e5, ropeScaling: null });
  });

  it("accepts a window that is stored but not used, as Qwen's are", () => {
    parse("qwen2", { use_sliding_window: false, sliding_window: 32768, max_window_layers: 28 });
    parse("qwen3", {
      use_sliding_window: false,
      sliding_window: null,
      layer_types: ["full_attention", "full_attention"],
    });
    parse("qwen2", { attention_bias: true }); // what Qwen2 always has
  });

  it.each<[Family, Record<string, unknown>, RegExp]>([
    ["qwen2", { use_sliding_window: true }, /use_sliding_window is true; sliding-window attention is not implemented/],
    ["qwen3", { layer_types: ["full_attention", "sliding_attention"] }, /layer_types\[1\] is "sliding_attention"/],
    ["qwen3", { layer_types: ["full_attention"] }, /layer_types is \["full_attention"\]; it must list .* 2 layers/],
    ["llama", { sliding_window: 4096 }, /sliding_window is 4096/],
    ["llama", { model_type: "mistral" }, /model_type is "mistral"; the engine runs llama, qwen2 and qwen3 only/],
    ["llama", { model_type: undefined }, /model_type is missing/],
    ["qwen3", { model_type: "qwen3_moe" }, /model_type is "qwen3_moe"/],
    ["qwen3", { num_experts: 8 }, /num_experts is 8; mixture-of-experts/],
    [
      "llama",
      { quantization_config: { quant_method: "fp8" } },
      /quantization_config is \{"quant_method":"fp8"\}; quantised/,
    ],
    ["llama", { rope_scaling: { type: "linear", factor: 2 } }, /rope_scaling: type "linear" is not implemented/],
    ["qwen2", { rope_scaling: { rope_type: "yarn", factor: 4 } }, /type "yarn"/],
    ["qwen2", { rope_parameters: { full_attention: { rope_theta: 1 } } }, /rope_parameters: "full_attention"/],
    ["llama", { rope_scaling: { factor: 4 } }, /must name its rope_type/],
    ["llama", { rope_scaling: { ...LLAMA3, factor: undefined } }, /rope_scaling: factor is missing/],
    ["llama", { rope_scaling: { ...LLAMA3, high_freq_factor: 1 } }, /high_freq_factor is 1; it must be above/],
    ["llama", { rope_scaling: LLAMA3, rope_parameters: { rope_type: "default" } }, /disagree/],
    ["llama", { rope_theta: 1e4, rope_parameters: { rope_theta: 1e6 } }, /rope_theta is given as 10000 and as 1000000/],
    ["llama", { partial_rotary_factor: 0.5 }, /partial_rotary_factor is 0.5/],
    ["llama", { attention_dropout: 0.1 }, /attention_dropout is 0.1/],
    ["llama", { attention_bias: true }, /attention_bias is true/],
    ["qwen3", { attention_bias: true }, /attention_bias is true/],
    ["llama", { mlp_bias: true }, /mlp_bias is true/],
    ["llama", { hidden_act: "gelu" }, /hidden_act is "gelu"/],
    ["llama", { pretraining_tp: 2 }, /pretraining_tp is 2/],
    ["llama", { head_dim: 12 }, /head_dim 12 is not a multiple of 8/],
    ["llama", { head_dim: 4 }, /head_dim 4/],
    ["llama", { head_dim: undefined, hidden_size: 18 }, /head_dim 9/],
    [
      "llama",
      { num_attention_heads: 3, num_key_value_heads: 2 },
      /num_attention_heads 3 is not a multiple of num_key_value_heads 2/,
    ],
    [
      "llama",
      { architectures: ["LlamaForSequenceClassification"] },
      /architectures is \["LlamaForSequenceClassification"\]/,
    ],
    ["qwen2", { architectures: ["LlamaForCausalLM"] }, /runs \["Qwen2ForCausalLM"\]/],
    ["llama", { hidden_size: "576" }, /hidden_size is "576"; must be a whole number from 1 to/],
    ["llama", { hidden_size: -1 }, /hidden_size is -1/],
    ["llama", { vocab_size: 1e308 }, /vocab_size is 1e\+308/],
    ["llama", { num_hidden_layers: 1e6 }, /num_hidden_layers is 1000000; must be a whole number from 1 to 1024/],
    ["llama", { num_hidden_layers: 0 }, /num_hidden_layers is 0/],
    ["llama", { rms_norm_eps: Number.NaN }, /rms_norm_eps is NaN/],
    ["llama", { rope_theta: Number.POSITIVE_INFINITY }, /rope_theta is Infinity/],
    ["llama", { tie_word_embeddings: "yes" }, /tie_word_embeddings is "yes"; must be true or false/],
    ["llama", { intermediate_size: undefined }, /intermediate_size is missing/],
  ])("refuses %s with %j", (family, fields, message) => {
    expect(() => parse(family, fields)).toThrow(message);
    expect(() => parse(family, fields)).toThrow(/^config\.json: /);
  });

  it.each([null, [], "x", 3])("refuses %j for a config", (json) => {
    expect(() => parseModelConfig(json, "config.json")).toThrow(/^config\.json: must be a JSON object/);
  });

  it("gives 10,000 hostile configs a config within limits or an InputError", () => {
    const random = seeded(11);
    let parsed = 0;
    for (let i = 0; i < 10_000; i++) {
      const family = random.pick(["llama", "qwen2", "qwen3"] as const);
      const text = mutateValue(
        smallConfig(family, { rope_scaling: LLAMA3, sliding_window: null, layer_types: null, num_experts: 0 }),
        random,
        1 + random.whole(3),
      );
      const attempt = () => {
        const config = parseModelConfig(JSON.parse(text), "config.json");
        for (const value of Object.values(config)) {
          if (typeof value === "number" && !(value > 0 && value < 1e13)) expect.fail(`${value} from ${text}`);
        }
      };
      if (succeedsOrInputError(attempt, "config.json", text)) parsed++;
    }
    expect(parsed).toBeGreaterThan(500);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it.each(["stories260k", "tinystories-656k", "smollm2-135m-instruct"])("reads %s", (name) => {
    const folder = sharedModel(name);
    if (!folder) return;
    const path = join(folder, "config.json");
    expect(parseModelConfig(JSON.parse(readFileSync(path, "utf8")), path)).toMatchObject({
      family: "llama",
      tieWordEmbeddings: true,
    });
  });
});
