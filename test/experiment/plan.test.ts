/** @file An experiment plans its trainings by the same function as the commands. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openBackend } from "../../src/backend/open.js";
import { packagePath } from "../../src/base/package.js";
import { readExperiment } from "../../src/experiment/file.js";
import { type Forecast, forecastJobs } from "../../src/experiment/forecast/experiment.js";
import { buildMatrix, type Matrix } from "../../src/experiment/matrix.js";
import { runCli, trainArgs } from "../cli/run.js";
import { asYaml, smallExperiment } from "./experiment.js";

const MINIATURE = packagePath("models", "miniature");
const CHATS = packagePath("corpora", "miniature", "chats.jsonl");
const scratch = mkdtempSync(join(tmpdir(), "train-msm-plan-"));
const base = join(scratch, "base");
const backend = await openBackend("cpu");
afterAll(() => {
  backend.close();
  rmSync(scratch, { recursive: true });
});

beforeAll(() => {
  cpSync(MINIATURE, base, { recursive: true });
  const path = join(base, "tokenizer_config.json");
  const { chat_template: _, ...config } = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify(config));
});

let files = 0;
async function forecast(changes: Record<string, unknown>): Promise<{ matrix: Matrix; forecast: Forecast }> {
  const path = join(scratch, `${files++}.yaml`);
  writeFileSync(path, asYaml(smallExperiment({ seeds: [0], ...changes })));
  const experiment = readExperiment(path);
  const hashes = { model: "model", of: (args: readonly string[]) => args.join(), ofAdapter: (name: string) => name };
  const matrix = buildMatrix(experiment, scratch, hashes);
  return { matrix, forecast: await forecastJobs(experiment, matrix, backend) };
}

describe("a base model with the tokenizer and the chat template of another", () => {
  const aft = { data: [CHATS], batchSize: 2, epochs: 1 };

  it("has the steps that the command has", async () => {
    const changes = { model: base, tokenizer: MINIATURE, aft, arms: ["aft"] };
    const { matrix, forecast: found } = await forecast(changes);
    const job = matrix.jobs.find(({ kind }) => kind === "train")!;
    const size = ["--model", base, "--tokenizer", MINIATURE, "--seq-len", "64", "--batch-size", "2", "--epochs", "1"];
    const command = ["aft", ...size, "--data", CHATS, "--r", "2", "--out", "x", "--plan", "--json"];
    const { code, stdout } = await runCli(command);
    expect(code).toBe(0);
    const plan = JSON.parse(stdout) as { steps: number; memoryBytes: { total: number } };
    expect(found.jobs.get(job.id)).toMatchObject({ steps: plan.steps, bytes: plan.memoryBytes.total });
    expect(plan.steps).toBeGreaterThan(1);
  });

  it("is refused without them, before anything runs, also where the steps are given", async () => {
    await expect(forecast({ model: base, aft, arms: ["aft"] })).rejects.toThrow(/has no chat template/);
    const given = { ...aft, epochs: undefined, maxSteps: 2 };
    await expect(forecast({ model: base, aft: given, arms: ["aft"] })).rejects.toThrow(/has no chat template/);
  });
});

describe("a chain of stages", () => {
  it("keeps the rank of its first stage, as training does", async () => {
    const midtrain = { batchSize: 2, maxSteps: 2, r: 16 };
    const { matrix, forecast: found } = await forecast({ midtrain, arms: ["msm+aft", "aft"] });
    const bytesOf = (label: RegExp): number =>
      found.jobs.get(matrix.jobs.find((job) => job.kind === "train" && label.test(job.label))!.id)!.bytes;
    expect(bytesOf(/^train loyalty\+aft/)).toBe(bytesOf(/^train loyalty,/));
    expect(bytesOf(/^train loyalty\+aft/)).toBeGreaterThan(bytesOf(/^train aft/));
  });

  it("that begins with an adapter has that adapter's", async () => {
    const out = join(scratch, "begun");
    expect((await runCli(trainArgs("midtrain", out, "--r", "32"))).code).toBe(0);
    const arms = [{ name: "more", adapter: join(out, "adapter"), aft: true }, "aft"];
    const { matrix, forecast: found } = await forecast({ arms });
    const [more, fresh] = matrix.jobs.filter(({ kind }) => kind === "train").map(({ id }) => found.jobs.get(id)!.bytes);
    expect(more!).toBeGreaterThan(fresh!);
  });
});
