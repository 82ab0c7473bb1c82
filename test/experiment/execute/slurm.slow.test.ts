/**
 * @file `run --executor slurm` on a real Slurm of this one machine: the same bytes as in-process, and what happens when
 * something dies.
 */
import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runCli, scratchFolder } from "../../cli/run.js";
import { asYaml, smallExperiment } from "../experiment.js";
import { type Cluster, makeFaults, missingForSlurm, startCluster, until } from "./slurm-cluster.js";

const missing = missingForSlurm();
if (missing) console.log(`Slurm is not tested: ${missing}`);

describe.skipIf(missing)("on Slurm", () => {
  const scratch = scratchFolder();
  const file = join(scratch, "small.yaml");
  const shortFile = join(scratch, "short.yaml");
  const slowFile = join(scratch, "slow.yaml");
  let cluster: Cluster;
  // One thread everywhere: products round the same.
  const env = (): Record<string, string> => ({ ...cluster.env, MSM_THREADS: "1" });
  const run = (yaml: string, out: string, options: Partial<Parameters<typeof runCli>[1]> = {}) =>
    runCli(["run", yaml, "--out", out, "--backend", "cpu", "--executor", "slurm"], { env: env(), ...options });
  const queue = (): string[] => cluster.run("squeue", "-h", "-o", "%i %T").trim().split("\n").filter(Boolean);

  beforeAll(async () => {
    cluster = await startCluster(scratch);
    writeFileSync(file, asYaml(smallExperiment({ seeds: [0], arms: ["aft", "msm+aft"] })));
    const [evaluation] = smallExperiment()["evaluations"] as object[];
    const aft = { ...(smallExperiment()["aft"] as object), maxSteps: 40, checkpointEvery: 1 };
    writeFileSync(shortFile, asYaml(smallExperiment({ seeds: [0], arms: ["aft"], aft, evaluations: [evaluation] })));
    // Long enough to be interrupted.
    const midtrain = { batchSize: 2, maxSteps: 300, checkpointEvery: 10 };
    writeFileSync(slowFile, asYaml(smallExperiment({ seeds: [0], arms: ["msm"], midtrain })));
  }, 90_000);
  afterAll(() => cluster?.stop());

  const adapters = (folder: string): Record<string, string> =>
    Object.fromEntries(
      readdirSync(join(folder, "stages")).map((name) => [
        name,
        readFileSync(join(folder, "stages", name, "adapter", "adapter_model.safetensors")).toString("base64"),
      ]),
    );

  it("an experiment gives the same bytes as in this process", { timeout: 180_000 }, async () => {
    const here = join(scratch, "here");
    const there = join(scratch, "there");
    const local = await runCli(["run", file, "--out", here, "--backend", "cpu"], { env: env() });
    expect(local.code).toBe(0);
    const remote = await run(file, there);
    expect(remote.stderr).toMatch(/jobs finished, \d running/);
    expect(remote.code).toBe(0);
    expect(Object.keys(adapters(there)).length).toBe(5);
    expect(adapters(there)).toEqual(adapters(here));
    expect(readFileSync(join(there, "results.csv"), "utf8")).toBe(readFileSync(join(here, "results.csv"), "utf8"));
    expect(existsSync(join(there, "report.html"))).toBe(true);
  });

  /** Sends the signal to the process that follows, once the log of a stage in `out` has its twelfth step. */
  const onceAtWork = (signal: NodeJS.Signals, out: string) => {
    let isWatching = false;
    return (_text: string, child: ChildProcess): void => {
      if (isWatching) return;
      isWatching = true;
      until(() => atWork(out) !== undefined, 60_000).then(
        () => child.kill(signal),
        () => child.kill("SIGKILL"),
      );
    };
  };

  /** A stage that has made its twelfth step: it has a checkpoint. */
  const atWork = (out: string): string | undefined => {
    const stages = existsSync(join(out, "stages")) ? readdirSync(join(out, "stages")) : [];
    return stages.find((stage) => logOf(out, stage).includes('"step":12,'));
  };

  const logOf = (out: string, stage: string): string => {
    const path = join(out, "stages", stage, "log.jsonl");
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };

  it("survives the death of the process that follows it, and a requeued job goes on", {
    timeout: 180_000,
  }, async () => {
    const out = join(scratch, "killed");
    const first = await run(slowFile, out, {
      onStderr: onceAtWork("SIGKILL", out),
    });
    expect(first.code).toBe(null);
    const before = JSON.parse(readFileSync(join(out, "slurm.json"), "utf8"));
    // A job that has something to go on from: another may be about to begin beside it.
    const stage = atWork(out)!;
    const watched = Object.keys(before).find((id) => stage.endsWith(id))!;
    cluster.run("scontrol", "requeue", before[watched].slurm);
    const second = await run(slowFile, out);
    expect(second.code).toBe(0);
    const after = JSON.parse(readFileSync(join(out, "slurm.json"), "utf8"));
    // The same Slurm jobs: nothing was submitted twice.
    for (const [id, { slurm }] of Object.entries<{ slurm: string }>(before)) expect(after[id].slurm).toBe(slurm);
    expect(logOf(out, stage)).toContain('"type":"resume"');
    const here = join(scratch, "uninterrupted");
    await runCli(["run", slowFile, "--out", here, "--backend", "cpu"], { env: env() });
    expect(adapters(out)).toEqual(adapters(here));
  });

  it("is cancelled cleanly", { timeout: 120_000 }, async () => {
    const out = join(scratch, "cancelled");
    const { code, stderr } = await run(slowFile, out, {
      onStderr: onceAtWork("SIGINT", out),
    });
    expect(stderr).toMatch(/train-msm: stopped, and the jobs cancelled/);
    expect(code).toBe(1);
    await until(() => queue().length === 0, 40_000);
  });

  describe("with faults", () => {
    const faults = makeFaults(join(scratch, "faults"));
    const faulty = (out: string) => run(shortFile, out, { env: { ...env(), ...faults.env } });
    const jobs = ["train aft, seed 0", "affordability of AFT, seed 0"];
    beforeEach(() => {
      faults.nodesAreBroken(false);
      faults.failuresAreTimeouts(false);
      faults.submitted();
    });

    it("says what failed, leaves nothing in the queue, and after a repair the same command goes on", {
      timeout: 120_000,
    }, async () => {
      const out = join(scratch, "failed");
      faults.nodesAreBroken(true);
      const { code, stderr } = await faulty(out);
      expect(stderr).toMatch(/train aft, seed 0: its Slurm job \d+ ended as FAILED: the disk of the node is full/);
      expect(code).toBe(1);
      await until(() => queue().length === 0, 40_000);
      expect(faults.submitted()).toEqual(jobs);
      faults.nodesAreBroken(false);
      const repaired = await faulty(out);
      expect(repaired.code, repaired.stderr).toBe(0);
      expect(faults.submitted()).toEqual(jobs);
    });

    it("a controller that does not answer gets no job twice", { timeout: 120_000 }, async () => {
      faults.silence(3);
      const { code, stderr } = await faulty(join(scratch, "silent"));
      expect(code, stderr).toBe(0);
      expect(faults.silentCalls()).toBe(0);
      expect(faults.submitted()).toEqual(jobs);
    });

    it("three timeouts in vain end the run, and the same command has three more", { timeout: 120_000 }, async () => {
      const out = join(scratch, "timeouts");
      faults.failuresAreTimeouts(true);
      faults.nodesAreBroken(true);
      const { code, stderr } = await faulty(out);
      expect(code).toBe(1);
      expect(stderr).toMatch(/train aft, seed 0: its Slurm job \d+ ended as TIMEOUT/);
      expect(faults.submitted().filter((job) => job === jobs[0])).toHaveLength(3);
      faults.nodesAreBroken(false);
      const repaired = await faulty(out);
      expect(repaired.code, repaired.stderr).toBe(0);
      expect(faults.submitted()).toEqual(jobs);
    });

    it("timeouts that bring the training further do not count", { timeout: 180_000 }, async () => {
      const out = join(scratch, "further");
      faults.failuresAreTimeouts(true);
      faults.cut(4, out);
      const { code, stderr } = await faulty(out);
      expect(code, stderr).toBe(0);
      expect(faults.submitted().filter((job) => job === jobs[0])).toHaveLength(5);
      const [stage] = readdirSync(join(out, "stages"));
      expect(logOf(out, stage!).match(/"type":"resume"/g)?.length).toBe(4);
    });
  });

  it("passes options on to sbatch", { timeout: 60_000 }, async () => {
    const args = [
      "run",
      file,
      "--out",
      join(scratch, "options"),
      "--executor",
      "slurm",
      "--sbatch=--partition=nowhere",
    ];
    const { code, stderr } = await runCli(args, { env: env() });
    expect(stderr).toMatch(/train-msm: sbatch failed: .*partition/i);
    expect(code).toBe(1);
  });
});
