/** @file Experiment files, arms, and the matrix of jobs. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { expandArms } from "../../src/experiment/arms.js";
import { type Experiment, readExperiment } from "../../src/experiment/file.js";
import { buildMatrix, type InputHashes, type Matrix } from "../../src/experiment/matrix.js";
import { comparedArms } from "../../src/experiment/results.js";
import { asYaml, smallExperiment } from "./experiment.js";

const scratch = mkdtempSync(join(tmpdir(), "train-msm-matrix-"));
afterAll(() => rmSync(scratch, { recursive: true }));

let files = 0;
function experiment(changes: Record<string, unknown> = {}): Experiment {
  const path = join(scratch, `${files++}.yaml`);
  writeFileSync(path, asYaml(smallExperiment(changes)));
  return readExperiment(path);
}

/** Contents are their names, unless told otherwise. */
function hashes(content: (name: string) => string = (name) => name): InputHashes {
  return { model: "model", of: (args) => args.map(content).join(), ofAdapter: content };
}

const trained = ({ jobs }: Matrix): string[] => jobs.filter(({ kind }) => kind === "train").map(({ label }) => label);

describe("an experiment file", () => {
  it.each([
    ["an unknown key", { armz: [] }, /Unrecognized key: "armz"/],
    ["an unknown setting", { training: { rank: 3 } }, /training: Unrecognized key: "rank"/],
    ["a setting that the experiment decides", { aft: { seed: 3 } }, /aft: Unrecognized key: "seed"/],
    ["an unknown word for an arm", { arms: ["bear"] }, /arms\.0/],
    ["no seeds", { seeds: [] }, /seeds/],
  ])("with %s is refused by name", (_, change, message) => {
    expect(() => experiment(change)).toThrow(message);
  });

  it("is read with paths relative to itself", () => {
    const { neutral } = experiment({ neutral: { data: ["../docs/*.jsonl", "hf://datasets/a/b"] } });
    expect(neutral?.data).toEqual([join(scratch, "..", "docs", "*.jsonl"), "hf://datasets/a/b"]);
  });

  it("that is no YAML is refused with the place", () => {
    const path = join(scratch, "broken.yaml");
    writeFileSync(path, "name: [a\n");
    expect(() => readExperiment(path)).toThrow(/broken\.yaml: .*line 2/);
  });
});

describe("arms", () => {
  it("are one for each word, or one for each spec", () => {
    expect(expandArms(experiment()).map(({ id }) => id)).toEqual([
      "bare",
      "aft",
      "msm:affordability",
      "msm:loyalty",
      "msm:affordability+aft",
      "msm:loyalty+aft",
    ]);
  });

  it("without AFT end with the instruction mix where there is one, and AFT has it shuffled in", () => {
    const arms = expandArms(
      experiment({ instruct: { data: ["mix.jsonl"] }, arms: ["bare", "baseline", "aft", "msm"] }),
    );
    const chains = arms.map(({ id, stages }) => [id, ...stages.map(({ label, mix }) => label + (mix ? "/mix" : ""))]);
    expect(chains).toEqual([
      ["bare"],
      ["baseline", "instruct"],
      ["aft", "aft/mix"],
      ["msm:affordability", "affordability", "instruct"],
      ["msm:loyalty", "loyalty", "instruct"],
    ]);
  });

  it.each([
    ["baseline", /baseline needs `instruct`/],
    ["neutral", /neutral needs `neutral`/],
    ["stripped", /specs\.affordability: stripped needs `stripped`/],
  ])("%s without its data says what is missing", (arm, message) => {
    expect(() => expandArms(experiment({ arms: [arm] }))).toThrow(message);
  });
});

describe("the matrix", () => {
  it("trains what arms share once, and evaluates the bare model once", () => {
    const matrix = buildMatrix(experiment(), "runs/x", hashes());
    // 2 seeds x (aft, 2 midtrainings, 2 that continue them)
    expect(trained(matrix).length).toBe(2 * 5);
    expect(new Set(trained(matrix)).size).toBe(2 * 5);
    expect(matrix.jobs.length).toBe(10 + 2 * (1 + 10));
    expect(matrix.cells.filter(({ arm }) => arm === "bare").map(({ seed }) => seed)).toEqual([null, null]);
  });

  it("puts every job after those that it needs, and gives it their adapter", () => {
    const { jobs } = buildMatrix(experiment(), "runs/x", hashes());
    for (const [i, { needs, config }] of jobs.entries())
      for (const need of needs) {
        const parent = jobs.findIndex(({ id }) => id === need);
        expect(parent).toBeGreaterThanOrEqual(0);
        expect(parent).toBeLessThan(i);
        expect(config.adapter).toBe(join(jobs[parent]!.config.out, "adapter"));
      }
  });

  it("names jobs by what their inputs hold, not by where these are", () => {
    const idsOf = (folder: string, content?: (name: string) => string): string[] =>
      buildMatrix(experiment(), folder, hashes(content)).jobs.map(({ id }) => id);
    expect(idsOf("elsewhere")).toEqual(idsOf("runs/x"));
    const changed = idsOf("runs/x", (name) => (name.endsWith("documents-loyalty.jsonl") ? "other" : name));
    const before = idsOf("runs/x");
    // Two seeds of: midtraining (loyalty), its AFT, and two evaluations of each.
    expect(before.filter((id) => !changed.includes(id)).length).toBe(2 * (2 + 4));

    const withHeldout = (content: string): string[] =>
      buildMatrix(
        experiment({ aft: { ...experiment().aft, heldout: ["held.jsonl"] } }),
        "runs/x",
        hashes(() => content),
      ).jobs.map(({ id }) => id);
    expect(withHeldout("one")).not.toEqual(withHeldout("two"));
    // A setting at its default, wherever it is written, renames nothing; another value does.
    const withRate = (settings: object): string[] =>
      buildMatrix(experiment({ aft: { ...experiment().aft, ...settings } }), "runs/x", hashes()).jobs.map(
        ({ id }) => id,
      );
    expect(withRate({ clip: 1 })).toEqual(before);
    expect(withRate({ clip: 2 })).not.toEqual(before);
  });

  it("makes one job of two evaluations that look at other outcomes of the same answers", () => {
    const settings = { task: "capability" };
    const evaluations = [
      { name: "a", settings },
      { name: "b", outcome: "probability", settings },
    ];
    const { jobs, cells } = buildMatrix(experiment({ evaluations, arms: ["bare"] }), "runs/x", hashes());
    expect([jobs.length, cells.length]).toEqual([1, 2]);
  });

  it("shares with a sweep what the arm has already", () => {
    const sweeps = [
      { name: "AFT size", setting: "aft.maxSteps", values: [2, 4], arms: ["aft", "msm+aft"], seeds: [0] },
    ];
    const matrix = buildMatrix(experiment({ sweeps }), "runs/x", hashes());
    // Only the three arms at 4 steps are new; their midtraining is not.
    expect(trained(matrix).length).toBe(10 + 3);
    expect(matrix.cells.filter(({ sweep }) => sweep !== null).length).toBe(3 * 2 * 2);
  });
});

describe("compared arms", () => {
  it("of a value are its midtraining + AFT against all others", () => {
    const pairs = comparedArms(expandArms(experiment()), "loyalty");
    expect(pairs.map(([a]) => a)).toEqual(Array(5).fill("msm:loyalty+aft"));
    expect(pairs.map(([, b]) => b)).toEqual([
      "bare",
      "aft",
      "msm:affordability",
      "msm:loyalty",
      "msm:affordability+aft",
    ]);
  });

  it("without a value are all against the baseline, or bare, or what is asked for", () => {
    const of = (arms: string[], against?: string): string[][] =>
      comparedArms(expandArms(experiment({ arms, instruct: { data: ["mix.jsonl"] } })), null, against);
    expect(of(["bare", "baseline", "aft"])).toEqual([
      ["bare", "baseline"],
      ["aft", "baseline"],
    ]);
    expect(of(["bare", "baseline", "aft"], "bare")).toEqual([
      ["baseline", "bare"],
      ["aft", "bare"],
    ]);
    expect(of(["bare", "aft"])).toEqual([["aft", "bare"]]);
  });
});
