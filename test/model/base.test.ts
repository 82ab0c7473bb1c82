import { afterAll, expect, test } from "vitest";
import { openBackend } from "../../src/backend/open.js";
import { withoutAdapter } from "../../src/model/base.js";
import { probeLogits } from "../../src/model/probe.js";
import { openInference, someIds } from "./inference-fixture.js";

const backend = await openBackend("cpu");
afterAll(() => backend.close());

test.each([
  ["llama-odd", "f32", "adapter"],
  ["qwen2-odd", "bf16", "adapter-partial"],
  ["qwen2-odd", "f32", "adapter-partial"],
  ["qwen3", "bf16", "adapter"],
] as const)(
  "%s %s, %s: switched off, it is the model without it, and on again afterwards",
  async (name, dtype, adapter) => {
    const adapted = await openInference(backend, name, { dtype, adapter });
    const bare = await openInference(backend, name, { dtype });
    const ids = someIds(bare.config.vocabSize, 17, 4);
    const on = await probeLogits(adapted, ids);
    const off = await probeLogits(withoutAdapter(adapted), ids);
    const want = await probeLogits(bare, ids);
    expect(off).toEqual(want);
    expect(Math.max(...on.map((logit, i) => Math.abs(logit - off[i]!)))).toBeGreaterThan(1e-3);
    expect(await probeLogits(adapted, ids)).toEqual(on);
    adapted.free();
    bare.free();
  },
);
