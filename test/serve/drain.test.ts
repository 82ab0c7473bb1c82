import { expect, test } from "vitest";
import { MINIATURE, runCli } from "../cli/run.js";

const KEY = "drain-key";
const ARGS = ["serve", "--model", MINIATURE, "--name", "m", "--port", "0", "--api-key", KEY];

/** A request that takes a while, to a server that is told to end in the middle of it, once or twice. */
async function endInTheMiddle(
  signals: number,
): Promise<{ code: number | null; stderr: string; answer: Response | Error }> {
  let asked: Promise<Response | Error> | undefined;
  const outcome = await runCli(ARGS, {
    onStdout(text, child) {
      if (asked || !text.includes("\n")) return;
      const body = { model: "m", prompt: ["the"], n: 16, max_tokens: 200, temperature: 2 };
      asked = fetch(`${text.trim()}/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${KEY}` },
        body: JSON.stringify(body),
      }).catch((error: Error) => error);
      for (let i = 0; i < signals; i++) setTimeout(() => child.kill("SIGTERM"), 150 + 100 * i);
    },
  });
  return { code: outcome.code, stderr: outcome.stderr, answer: await asked! };
}

test("SIGTERM: what is under way is answered, then the process ends well", async () => {
  const { code, stderr, answer } = await endInTheMiddle(1);
  expect(stderr).toMatch(/memory .* weights .* cache/);
  expect(stderr).toMatch(/SIGTERM: answering what is under way/);
  expect(answer).toBeInstanceOf(Response);
  expect(((await (answer as Response).json()) as { choices: unknown[] }).choices.length).toBe(16);
  expect(code).toBe(0);
});

test("a second SIGTERM ends it at once", async () => {
  const { code, answer } = await endInTheMiddle(2);
  expect(answer).toBeInstanceOf(Error);
  expect(code).toBe(1);
});

test.each([
  [["--host", "0.0.0.0"], /--host 0\.0\.0\.0: .* --api-key KEY, or MSM_API_KEY/],
  [["--adapters", "loyal"], /--adapters loyal: write NAME=FOLDER or NAME=ID/],
  [["--adapters", "loyal=/no/such"], /no\/such/],
  [["--max-model-len", "100000000"], /--max-model-len 100000000: the model has \d+ positions/],
  [["--port", "99999"], /port/],
])("serve %j is refused before it listens", async (more, words) => {
  const args = ["serve", "--model", MINIATURE, ...more];
  const { code, stderr, stdout } = await runCli(args, { env: { MSM_API_KEY: "" } });
  expect(stderr).toMatch(words);
  expect([code, stdout]).toEqual([2, ""]);
});
