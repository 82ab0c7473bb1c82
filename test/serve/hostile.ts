/** @file Requests that nobody means well, as a function of a seed. */
import { randomUint32 } from "../../src/base/random.js";
import type { Serving } from "./serving.js";

const PATHS = [
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/load_lora_adapter",
  "/v1/unload_lora_adapter",
  "/tokenize",
  "/detokenize",
  "/v1/models/%2e%2e%2f%00",
  "/v1/models/%",
  "/nowhere",
];
const GOOD = [
  { model: "lab/miniature", messages: [{ role: "user", content: "the brie" }], max_tokens: 2, temperature: 0 },
  { model: "lab/miniature", prompt: "the brie", max_tokens: 2, logprobs: 1, echo: true },
  { lora_name: "a", lora_path: "b" },
  { prompt: "the brie", add_special_tokens: false },
  { tokens: [3, 4] },
];
const VALUES: unknown[] = [
  ...[null, true, -1, 0, 1, 1e308, 2 ** 53, 0.5, "", "a", "\ud800", "\u0000", "%s", "__proto__", [], {}, [[]]],
  ...[[null], { a: 1 }, [{ role: "user" }], [{ role: "user", content: [] }], { type: "text" }, "x".repeat(5000)],
  ...[["a", "b"], [1, 2], [-1], [1.5], [[1], "a"], { __proto__: 1 }, { constructor: {} }, "<|im_end|>", "{{ 7 * 7 }}"],
];

/** A body: a good one with something wrong, or no JSON at all. */
function fuzzedBody(pick: (n: number) => number): string {
  const body = structuredClone(GOOD[pick(GOOD.length)]!) as Record<string, unknown>;
  const keys = [...Object.keys(body), "stop", "n", "seed", "top_p", "tools", "stream", "logprobs", "echo", "__proto__"];
  for (let i = 0; i <= pick(3); i++) body[keys[pick(keys.length)]!] = VALUES[pick(VALUES.length)];
  const text = JSON.stringify(body);
  const at = pick(text.length);
  switch (pick(6)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + String.fromCharCode(pick(256)) + text.slice(at + 1);
    case 2:
      return `${"[".repeat(pick(2000))}${text}`;
    default:
      return text;
  }
}

/** Sends `count` requests, some at a time; every answer that is no 200 must be an error of the right form. */
export async function fuzz({ url, post }: Serving, count: number, seed: number): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      let drawn = 0;
      const pick = (n: number): number => randomUint32(seed, i, drawn++) % Math.max(1, n);
      const path = PATHS[pick(PATHS.length)]!;
      const response = await post(path, fuzzedBody(pick));
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      const text = await response.text();
      if (response.status === 200) continue;
      const { error } = JSON.parse(text) as { error: Record<string, unknown> };
      const keys = Object.keys(error).sort().join();
      if (keys !== "code,message,param,type" || typeof error["message"] !== "string" || response.status >= 500)
        throw new Error(`request ${i} to ${url}${path}: ${response.status} ${text.slice(0, 300)}`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  return statuses;
}
