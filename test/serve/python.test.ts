import { spawn, spawnSync } from "node:child_process";
import { afterAll, expect, test } from "vitest";
import { serve } from "./serving.js";

/** The Python that has the clients: MSM_PYTHON, or python3. */
const python = process.env["MSM_PYTHON"] || "python3";
const isInstalled = (module: string): boolean => {
  const found = spawnSync(python, ["-c", `import ${module}`]).status === 0;
  if (!found) console.log(`skipped: ${python} has no ${module}`);
  return found;
};

const serving = await serve();
afterAll(() => serving.close());

const CLIENT = `
import sys, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="test-key", max_retries=0)
messages = [{"role": "user", "content": "the colby or the brie?"}]
ask = dict(model="lab/miniature", messages=messages, max_tokens=8, seed=3)
whole = client.chat.completions.create(**ask, logprobs=True, top_logprobs=2)
stream = client.chat.completions.create(**ask, stream=True)
pieces = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
assert pieces == whole.choices[0].message.content, (pieces, whole)
assert whole.usage.total_tokens > whole.usage.prompt_tokens
scored = client.completions.create(model="lab/miniature", prompt="the brie", max_tokens=1, echo=True, logprobs=1)
assert scored.choices[0].logprobs.token_logprobs[0] is None
try:
    client.chat.completions.create(**{**ask, "model": "nobody"})
except openai.NotFoundError as error:
    assert error.code == "model_not_found"
print("well")
`;

test.skipIf(!isInstalled("openai"))("OpenAI's Python client works as it is", async () => {
  const child = spawn(python, ["-c", CLIENT, `${serving.url}/v1`]);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  await new Promise((resolve) => child.on("close", resolve));
  expect(output.trim()).toBe("well");
});
