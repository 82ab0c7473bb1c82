/** @file Names of LoRA targets as users and PEFT write them. */

import { expect, it } from "vitest";
import { parseTargets } from "../../src/model/lora.js";
import { PROJECTIONS } from "../../src/shape/config.js";

it.each([
  [
    ["q", "v"],
    ["q", "v"],
  ],
  [["v_proj,q_proj"], ["q", "v"]],
  [
    ["self_attn.q_proj", "mlp.up_proj"],
    ["q", "up"],
  ],
  [['["q_proj", "v_proj"]'], ["q", "v"]],
  [
    ["['q_proj',", "'v_proj']"],
    ["q", "v"],
  ],
  [["all-linear"], PROJECTIONS],
  [["all"], PROJECTIONS],
])("%j", (names, targets) => expect(parseTargets(names)).toEqual(targets));

it.each(["lm_head", "w", "embed_tokens", "q_projection"])("%s is none", (name) =>
  expect(() => parseTargets([`q_proj,${name}`])).toThrow(`--targets: unknown LoRA target "${name}"; choose from q, k`),
);

it("nothing is none", () => expect(() => parseTargets([" , "])).toThrow("no LoRA target given"));
