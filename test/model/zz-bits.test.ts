import { test } from "vitest";
import { openBackend } from "/work/main/src/backend/open.js";
import { score } from "/work/main/src/model/score.js";
import { openInference, someIds } from "/work/main/test/model/inference-fixture.js";
test("x", async () => {
  const backend = openBackend("cpu");
  for (const dtype of ["f32", "bf16"] as const) for (const ck of ["qwen3", "llama-odd"]) {
    const decoder = openInference(backend, ck, { adapter: "adapter", dtype });
    const diff = async (name: string, requests: any[]) => {
      const a = await score(decoder, requests);
      const b = []; for (const r of requests) b.push(...await score(decoder, [r]));
      let m = 0; let ne = 0; let n = 0;
      a.forEach((x, i) => x.logprobs.forEach((v, j) => { n++; if (v !== b[i]!.logprobs[j]) ne++; m = Math.max(m, Math.abs(v - b[i]!.logprobs[j]!)); }));
      console.log(dtype, ck, name, m, `${ne}/${n}`);
    };
    await diff("short from=1", [40,30,50,20].map((l, i) => ({ ids: [3 + i, ...someIds(90, l, i)], from: 1 })));
    await diff("many short from=1", Array.from({length: 20}, (_, i) => ({ ids: [3 + i, ...someIds(90, 40, i)], from: 1 })));
    await diff("long from=1", [300, 400, 500, 350, 290, 300].map((l, i) => ({ ids: [3 + i, ...someIds(90, l, i)], from: 1 })));
    const c = someIds(90, 50, 77);
    await diff("prefix", [40,30,50,20].map((l, i) => ({ ids: [...c, ...someIds(90, l, i)], from: 50 })));
    decoder.free();
  }
  backend.close();
});
