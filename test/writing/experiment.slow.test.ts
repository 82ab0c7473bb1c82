/** @file An experiment that names a spec: experiments/from-spec.yaml with tiny limits, from the spec to the report. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { packagePath } from "../../src/base/package.js";
import { MINIATURE, runCli, scratchFolder } from "../cli/run.js";
import { startFake } from "./fake-service.js";

const folder = scratchFolder();
const SPEC = `# How it is

- It likes what costs little, because anybody can share it.
- It asks before it deletes, because what is gone is gone.
- It says when it does not know; a guess misleads people.
- It thanks those who correct it, since they spent time on it.
`;

test("from a spec to a report in one command; the corpus is made once", async () => {
  const fake = await startFake(29);
  const env = { OPENAI_BASE_URL: fake.baseUrl };
  const given = parse(readFileSync(packagePath("experiments", "from-spec.yaml"), "utf8"));
  const out = join(folder, "corpus");
  given.model = MINIATURE;
  given.training = { r: 2, alpha: 4, seqLen: 512, batchSize: 2, maxSteps: 2 };
  given.specs.affordability.text = join(folder, "spec.md");
  writeFileSync(given.specs.affordability.text, SPEC);
  const { generate } = given.specs.affordability;
  Object.assign(generate, { out, writer: "openai:fake", documents: 4, chats: 3, questions: 2 });
  given.aft.data = [join(out, "chats.jsonl")];
  given.arms = ["bare", "msm+aft"];
  for (const [name, file] of [
    ["choices", "questions.jsonl"],
    ["knowledge", "knowledge.jsonl"],
  ])
    given.evaluations.find((one: { name: string }) => one.name === name).settings.data = [join(out, file!)];
  given.evaluations.pop();
  const file = join(folder, "from-spec.yaml");
  writeFileSync(file, stringify(given));

  const plan = await runCli(["run", file, "--plan", "--out", join(folder, "run")], { env });
  expect(plan).toMatchObject({ code: 0, stdout: expect.stringMatching(/corpus is made first.*documents: 4, five/s) });
  expect(fake.requests.length).toBe(0);

  const first = await runCli(["run", file, "--out", join(folder, "run")], { env });
  expect(first.stderr).not.toMatch(/^train-msm:/m);
  expect(first.code).toBe(0);
  expect(existsSync(join(folder, "run", "report.html"))).toBe(true);
  expect(existsSync(join(out, "report.html"))).toBe(true);
  const asked = fake.requests.length;
  const again = await runCli(["run", file, "--out", join(folder, "run")], { env });
  expect(again.code).toBe(0);
  expect(again.stderr).not.toMatch(/\[1\/|forecast from the pilot/);
  expect(fake.requests.length).toBe(asked);

  generate.documents = 5;
  writeFileSync(file, stringify(given));
  const more = await runCli(["run", file, "--out", join(folder, "run")], { env });
  expect(more.code).toBe(0);
  expect(more.stderr).toMatch(/train affordability/);
  expect(readFileSync(join(out, "documents.jsonl"), "utf8").trim().split("\n").length).toBe(5);
  // A document is five calls.
  expect(fake.requests.length).toBe(asked + 5);
}, 300_000);
