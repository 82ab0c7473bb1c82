/** @file Mistakes in experiment files that are found before anything else is done. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { expandArms } from "../../src/experiment/arms.js";
import { checkExperiment } from "../../src/experiment/check.js";
import { readExperiment } from "../../src/experiment/file.js";
import { asYaml, smallExperiment } from "./experiment.js";

const EXPERIMENTS = fileURLToPath(new URL("../../experiments", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "train-msm-check-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function check(file: string): void {
  const experiment = readExperiment(file);
  checkExperiment(experiment, expandArms(experiment));
}

function checkChanged(changes: Record<string, unknown>): void {
  const file = join(scratch, "changed.yaml");
  writeFileSync(file, asYaml(smallExperiment(changes)));
  check(file);
}

const settings = { task: "choice", data: ["q.jsonl"] };
const evaluation = (more: object = {}, own: object = {}) => ({
  evaluations: [{ name: "e", settings: { ...settings, ...own }, ...more }],
});
const sweep = (more: object) => ({
  sweeps: [{ name: "s", setting: "aft.lr", values: [1e-3, 1e-4], arms: ["aft"], ...more }],
});

describe("an experiment file", () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    [
      "an outcome that the task lacks",
      evaluation({ outcome: "likd" }),
      /evaluations\.e: outcome likd: .*liked, decided/,
    ],
    ["a value of no spec", evaluation({ value: "nobody" }), /evaluations\.e: value nobody: .*affordability, loyalty/],
    ["no arm to set against", evaluation({ against: "bear" }), /evaluations\.e: against bear: .*bare, aft/],
    ["a value and an arm to set against", evaluation({ value: "loyalty", against: "bare" }), /leave one of them out/],
    ["a column that the paper lacks", evaluation({ paper: "cheese" }), /paper cheese: .*cheese\.affordability/],
    [
      "two evaluations of one name",
      { evaluations: [0, 1].map(() => ({ name: "e", settings })) },
      /evaluations: the name e is there twice/,
    ],
    ["an unknown task", evaluation({}, { task: "chioce" }), /evaluations\.e: --task chioce: no such task/],
    [
      "draws that the task does not make",
      evaluation({}, { task: "perplexity", samples: 3 }),
      /evaluations\.e: --samples: --task perplexity draws no responses/,
    ],
    [
      "draws of a choice that is only scored",
      evaluation({}, { ask: "logprob", samples: 3 }),
      /--samples: --task choice with --ask logprob draws no responses/,
    ],
    ["thinking that it does not do", evaluation({}, { thinking: "none" }), /--thinking: .*asks for the answer alone/],
    ["a suite that it does not have", evaluation({}, { suite: "1" }), /--suite: --task choice has no cells/],
    ["actions that it does not have", evaluation({}, { actions: "native" }), /--actions: --task choice has no cells/],
    ["cells that it does not have", evaluation({}, { cells: "dev" }), /--cells: --task choice has no cells/],
    ["kinds that it does not have", evaluation({}, { kinds: ["all"] }), /--kinds: --task choice has no cells/],
    ["windows that it does not have", evaluation({}, { seqLen: 64 }), /--seq-len: --task choice has no windows/],
    ["a judge that it does not ask", evaluation({}, { judge: "openai:x" }), /--judge openai:x: .*asks no judge/],
    [
      "a scratchpad that is told to nobody",
      evaluation({}, { task: "open-values", data: [], thinking: "scratchpad" }),
      /tells the model nothing/,
    ],
    ["a seed twice", { seeds: [0, 0] }, /seeds 0 is there twice/],
    ["a seed of a sweep twice", sweep({ seeds: [1, 1] }), /sweeps\.s: seeds 1 is there twice/],
    ["a value of a sweep twice", sweep({ values: [1e-3, 1e-3] }), /sweeps\.s: values 0\.001 is there twice/],
    ["a sweep of one value", sweep({ values: [1e-3] }), /sweeps\.0\.values/],
    ["a swept arm twice", sweep({ arms: ["aft", "aft"] }), /sweeps\.s: the arm aft is there twice/],
    [
      "an arm swept by word and by name",
      sweep({ arms: ["msm+aft", "msm:loyalty+aft"] }),
      /arm msm:loyalty\+aft is there/,
    ],
    ["two sweeps of one name", { sweeps: [0, 1].map(() => sweep({}).sweeps[0]) }, /sweeps: the name s is there twice/],
    ["a sweep of no setting", sweep({ setting: "aft.colour" }), /there is no setting colour/],
    ["a sweep of the seed", sweep({ setting: "aft.seed" }), /there is no setting seed/],
    ["a sweep of what is no number", sweep({ setting: "aft.schedule" }), /aft\.schedule 0\.001: /],
    [
      "a value that the setting cannot have",
      sweep({ setting: "aft.r", values: [4, 1.5] }),
      /aft\.r 1\.5: must be a whole/,
    ],
    ["a sweep of a stage that the arm lacks", sweep({ setting: "midtrain.lr" }), /arm aft has no midtrain stage/],
    ["a sweep of an arm that is not there", sweep({ arms: ["afd"] }), /no arm afd; there are bare, aft/],
    ["an arm of nothing", { arms: ["bare", { name: "x" }] }, /arms\.x: has neither adapter, midtrain nor aft/],
    ["a name of dots", { name: ".." }, /name: .*not dots alone/],
    [
      "a spec called neutral",
      { specs: { neutral: { documents: { data: ["d"] } } } },
      /specs\.neutral: the name stands/,
    ],
    [
      "the text of a spec missing",
      { specs: { a: { text: "no/spec.md", documents: { data: ["d"] } } }, evaluations: evaluation().evaluations },
      /specs\.a: text no\/spec\.md: no such file/,
    ],
  ])("with %s is refused by name", (_, changes, message) => {
    expect(() => checkChanged(changes)).toThrow(message);
  });

  it.each(readdirSync(EXPERIMENTS).filter((name) => name.endsWith(".yaml")))("%s has none of them", (name) => {
    check(join(EXPERIMENTS, name));
  });
});
