/** @file Settings that say which model, with what, computed by what: the same for every command. */
import { z } from "zod";
import { BACKENDS } from "../backend/open.js";
import { countOrZero, text } from "./values.js";

export const modelSetting = text.meta({ value: "id", description: "Hugging Face folder or hub id" });

export const adapterSetting = text
  .nullable()
  .default(null)
  .meta({ value: "id", description: "PEFT folder or hub id", defaultNote: "none" });

/** For a base model without a chat template; kept beside the adapter that is trained with it. */
export const tokenizerSetting = text.nullable().default(null).meta({
  value: "id",
  description: "folder or hub id of another tokenizer and chat template",
  defaultNote: "the adapter's, or the model's",
});

const backendSetting = z.enum(BACKENDS).default("auto").meta({
  value: "name",
  description: "what computes",
  defaultNote: "cuda where it is built and a GPU is there, else cpu",
});

/** Null: MSM_DEVICE, or the first. */
const deviceSetting = countOrZero.nullable().default(null).meta({
  value: "n",
  description: "which of the GPUs that the process sees, from 0",
  defaultNote: "MSM_DEVICE, or 0",
});

/** What computes: the settings that every command has which does. */
export const computingSchema = z.object({ backend: backendSetting, device: deviceSetting });
export type Computing = z.infer<typeof computingSchema>;

/** bf16 weights and activations with f32 sums, as models are trained and served; f32 is for comparing. */
export const dtypeSetting = z
  .enum(["bf16", "f32"])
  .default("bf16")
  .meta({ value: "name", description: "weights and activations" });
