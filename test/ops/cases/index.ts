/** @file All cases, by op. */
import type { GradientCase, OpCase } from "../harness.js";
import * as adamw from "./adamw.js";
import * as attention from "./attention.js";
import * as attentionCached from "./attention-cached.js";
import * as convert from "./convert.js";
import * as fill from "./fill.js";
import * as gather from "./gather.js";
import * as gradnorm from "./gradnorm.js";
import * as linearCrossEntropy from "./linear-cross-entropy.js";
import * as matmul from "./matmul.js";
import * as rmsnorm from "./rmsnorm.js";
import * as rope from "./rope.js";
import * as sample from "./sample.js";
import * as scatter from "./scatter.js";
import * as swiglu from "./swiglu.js";

const files: { cases: OpCase[]; gradients?: GradientCase[] }[] = [
  convert,
  scatter,
  gather,
  fill,
  rmsnorm,
  rope,
  attention,
  attentionCached,
  swiglu,
  matmul,
  linearCrossEntropy,
  gradnorm,
  adamw,
  sample,
];

export const ALL_CASES: OpCase[] = files.flatMap(({ cases }) => cases);
export const ALL_GRADIENTS: GradientCase[] = files.flatMap(({ gradients }) => gradients ?? []);
