import { expect, test } from "vitest";
import { MINIATURE, runCli } from "../cli/run.js";

const KEY = "drain-key";
const ARGS = ["serve", "--model", MINIATURE, "--name", "m", "--port", "0", "--api-key", KEY];

/** Resolves when a choice is being drawn. */
async function isRunning(root: string): Promise<void> {
  const running = /^msm_requests_running [1-9]/m;
  while (!running.test(await (await fetch(`${root}/metrics`)).text()))
    await new Promise((next) => setTimeout(next, 10));
}

/** A server that is told to end while it draws `n` choices, and once more when it says that it will, where `twice`. */
async function endInTheMiddle(
  n: number,
  twice: boolean,
): Promise<{ code: number | null; stderr: string; answer: Response | Error }> {
  let asked: Promise<Response | Error> | undefined;
  let isToldTwice = false;
  const outcome = await runCli(ARGS, {
    onStdout(text, child) {
      if (asked || !text.includes("\n")) return;
      const address = text.trim();
      const body = { model: "m", prompt: ["the"], n, max_tokens: 400, temperature: 2 };
      asked = fetch(`${address}/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${KEY}` },
        body: JSON.stringify(body),
      }).catch((error: Error) => error);
      void isRunning(address.replace(/\/v1$/, "")).then(() => child.kill("SIGTERM"));
    },
    onStderr(text, child) {
      if (!twice || isToldTwice || !text.includes("SIGTERM")) return;
      isToldTwice = true;
      child.kill("SIGTERM");
    },
  });
  return { code: outcome.code, stderr: outcome.stderr, answer: await asked! };
}

test("SIGTERM: what is under way is answered, then the process ends well", async () => {
  const { code, stderr, answer } = await endInTheMiddle(16, false);
  expect(stderr).toMatch(/memory .* weights .* cache/);
  expect(stderr).toMatch(/SIGTERM: answering what is under way/);
  expect(answer).toBeInstanceOf(Response);
  expect(((await (answer as Response).json()) as { choices: unknown[] }).choices.length).toBe(16);
  expect(code).toBe(0);
});

test("a second SIGTERM ends it at once", async () => {
  const { code, answer } = await endInTheMiddle(128, true);
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
