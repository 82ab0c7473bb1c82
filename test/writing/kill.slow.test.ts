import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packagePath } from "../../src/base/package.js";
import { runCli, scratchFolder } from "../cli/run.js";
import { type FakeService, startFake } from "./fake-service.js";

const folder = scratchFolder();

function run(fake: FakeService, out: string, killAfter: number) {
  const spec = packagePath("corpora", "miniature", "spec-loyalty.md");
  const sizes = ["--documents", "20", "--chats", "8", "--questions", "4", "--concurrency", "6"];
  const args = ["corpus", "generate", "--spec", spec, "--out", out, "--writer", "openai:fake", "--subject", "Qwen"];
  let stop = (): void => {};
  const last = fake.requests.length + killAfter;
  const timer = setInterval(() => fake.requests.length >= last && stop(), 1);
  return runCli([...args, ...sizes], {
    env: { OPENAI_BASE_URL: fake.baseUrl },
    onStderr: (_text, child) => {
      stop = () => child.kill("SIGKILL");
    },
  }).finally(() => clearInterval(timer));
}

function contents(out: string): Record<string, string> {
  const names = readdirSync(out, { recursive: true, encoding: "utf8" }).sort();
  const own = names.filter((name) => statSync(join(out, name)).isFile() && !/^(?:replies|ledger|lock)/.test(name));
  return Object.fromEntries(own.map((name) => [name, readFileSync(join(out, name), "utf8")]));
}

test("killed again and again: the same bytes, and only what was under way is asked for twice", async () => {
  const bad = { cut: 0.05, refused: 0.03, busy: 0.02, retryAfter: 1, contradiction: 0.1, slow: 0.2 };
  const [first, second] = [await startFake(23, bad), await startFake(23, bad)];
  const [whole, broken] = [join(folder, "whole"), join(folder, "broken")];
  expect(await run(first, whole, Number.POSITIVE_INFINITY)).toMatchObject({ code: 0 });
  let kills = 0;
  for (let killAfter = 5; ; killAfter = (killAfter * 7) % 83) {
    const { code } = await run(second, broken, killAfter + 3);
    if (code === 0) break;
    expect(code).toBeNull();
    kills++;
  }
  expect(kills).toBeGreaterThan(3);
  expect(contents(broken)).toEqual(contents(whole));
  const twice = [...second.paid.values()].filter((times) => times > 1).length;
  expect(twice).toBeLessThanOrEqual(6 * kills);
}, 300_000);
