/**
 * Many clients at once on a running `train-msm serve`: what is answered, whether each answer is the one that the same
 * request gets alone, the memory over time, and the throughput against one request after the other.
 *
 *   node bench/serve-load.mjs URL KEY [--clients 64] [--seconds 300] [--models base,adapter] [--tokens 16]
 */
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clients: { type: "string", default: "64" },
    seconds: { type: "string", default: "300" },
    models: { type: "string" },
    tokens: { type: "string", default: "16" },
  },
});
const [url, key] = positionals;
if (!url || !key) throw new Error("give URL (http://127.0.0.1:8000/v1) and KEY");
const [clients, seconds, maxTokens] = [Number(values.clients), Number(values.seconds), Number(values.tokens)];
const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };

const listed = await (await fetch(`${url}/models`, { headers })).json();
const models = values.models?.split(",") ?? listed.data.map(({ id }) => id);
const QUESTIONS = ["Name a cheese.", "What is the capital of France?", "Say hello.", "Count to five."];
/** Every kind of request, each with its own seed. */
const kinds = models.flatMap((model) =>
  QUESTIONS.flatMap((content) => [1, 2].map((seed) => ({ model, content, seed }))),
);

async function ask({ model, content, seed }) {
  const body = { model, messages: [{ role: "user", content }], seed, max_tokens: maxTokens };
  const response = await fetch(`${url}/chat/completions`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const { choices, usage } = await response.json();
  return { text: choices[0].message.content, tokens: usage.completion_tokens };
}

async function residentMegabytes() {
  const text = await (await fetch(`${url.replace(/\/v1$/, "")}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)[1]) / 2 ** 20;
}

const alone = [];
let began = performance.now();
for (const kind of kinds) alone.push(await ask(kind));
const aloneRate = alone.reduce((sum, { tokens }) => sum + tokens, 0) / ((performance.now() - began) / 1000);

const counts = { answered: 0, failed: 0, different: 0, tokens: 0 };
const memory = [];
began = performance.now();
const elapsed = () => (performance.now() - began) / 1000;
const sampler = setInterval(async () => memory.push([elapsed(), await residentMegabytes()]), 5000);
const latencies = [];
let next = 0;
await Promise.all(
  Array.from({ length: clients }, async () => {
    while (elapsed() < seconds) {
      const i = next++ % kinds.length;
      const start = performance.now();
      try {
        const { text, tokens } = await ask(kinds[i]);
        counts.answered++;
        counts.tokens += tokens;
        if (text !== alone[i].text) counts.different++;
        latencies.push((performance.now() - start) / 1000);
      } catch (error) {
        counts.failed++;
        console.error(String(error));
      }
    }
  }),
);
clearInterval(sampler);
const rate = counts.tokens / elapsed();
const early = memory.find(([at]) => at >= Math.min(60, seconds / 3)) ?? memory[0];
latencies.sort((a, b) => a - b);
const result = {
  ...{ clients, seconds: Math.round(elapsed()), models: models.length, kinds: kinds.length, maxTokens, ...counts },
  tokensPerSecond: rate.toFixed(1),
  aloneTokensPerSecond: aloneRate.toFixed(1),
  speedup: (rate / aloneRate).toFixed(2),
  medianSeconds: latencies[latencies.length >> 1]?.toFixed(2),
  rssMegabytesEarly: early?.[1].toFixed(0),
  rssMegabytesEnd: (await residentMegabytes()).toFixed(0),
};
console.log(Object.keys(result).join(","));
console.log(Object.values(result).join(","));
