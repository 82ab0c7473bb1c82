/**
 * @file What of an experiment file can only be wrong: names that nothing has, things that are there twice, settings
 * that nothing uses. Found before anything is hashed, planned or run.
 */
import { existsSync } from "node:fs";
import { InputError, placeError } from "../base/errors.js";
import { loadJson } from "../base/json.js";
import { packagePath } from "../base/package.js";
import { trainSchema } from "../config/train.js";
import { checkTaskSettings } from "../eval/task-settings.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { Arm } from "./arms.js";
import { type Experiment, STAGE_SETTINGS, type Sweep } from "./file.js";

const MAX_PAPER_BYTES = 1_000_000;

/** Throws InputError that names the place in the file and what would be right. `arms` are the experiment's. */
export function checkExperiment(experiment: Experiment, arms: readonly Arm[]): void {
  const { evaluations, sweeps, seeds, specs } = experiment;
  if ("neutral" in specs)
    throw new InputError("specs.neutral: the name stands for the documents without a value; give another");
  checkOnce("seeds", seeds);
  checkOnce(
    "evaluations: the name",
    evaluations.map(({ name }) => name),
  );
  checkOnce(
    "sweeps: the name",
    sweeps.map(({ name }) => name),
  );
  for (const evaluation of evaluations) checkEvaluation(evaluation, Object.keys(specs), arms);
  for (const sweep of sweeps) checkSweep(sweep, arms);
  for (const { id, kind, adapter, stages } of arms)
    if (kind === "custom" && adapter === null && stages.length === 0)
      throw new InputError(`arms.${id}: has neither adapter, midtrain nor aft: that is the word bare`);
  for (const [name, { text }] of Object.entries(specs))
    if (text !== undefined && experiment.recordedShape === undefined && !existsSync(text))
      throw new InputError(`specs.${name}: text ${text}: no such file`);
}

function checkEvaluation(
  { name, settings, outcome, value, against, paper }: Experiment["evaluations"][number],
  specs: readonly string[],
  arms: readonly Arm[],
): void {
  const where = `evaluations.${name}`;
  const task = within(where, () => taskByName(settings.task));
  within(where, () => checkTaskSettings(task, settings));
  checkKnown(`${where}: outcome`, outcome, Object.keys(task.legend));
  checkKnown(`${where}: value`, value, specs);
  checkKnown(
    `${where}: against`,
    against,
    arms.map(({ id }) => id),
  );
  if (paper !== undefined) checkKnown(`${where}: paper`, paper, Object.keys(readPaper()));
  if (value !== undefined && against !== undefined)
    throw new InputError(
      `${where}: value and against: with a value, the spec's own midtraining and AFT is set against every other arm; ` +
        "leave one of them out",
    );
}

function checkSweep({ name, setting, values, arms: names, seeds }: Sweep, arms: readonly Arm[]): void {
  const where = `sweeps.${name}`;
  const [command, key] = setting.split(".") as [string, keyof typeof trainSchema.shape];
  if (!STAGE_SETTINGS.includes(key))
    throw new InputError(`${where}: there is no setting ${key}; there are ${STAGE_SETTINGS.join(", ")}`);
  for (const value of values) {
    const wrong = trainSchema.shape[key].safeParse(value).error?.issues[0];
    if (wrong) throw new InputError(`${where}: ${setting} ${value}: ${wrong.message}`);
  }
  checkOnce(`${where}: values`, values);
  if (seeds) checkOnce(`${where}: seeds`, seeds);
  const swept = names.flatMap((wanted) => {
    const found = arms.filter(({ id, kind }) => id === wanted || kind === wanted);
    if (found.length > 0) return found;
    throw new InputError(`${where}: no arm ${wanted}; there are ${arms.map(({ id }) => id).join(", ")}`);
  });
  checkOnce(
    `${where}: the arm`,
    swept.map(({ id }) => id),
  );
  const without = swept.find(({ stages }) => !stages.some((stage) => stage.command === command));
  if (without) throw new InputError(`${where}: arm ${without.id} has no ${command} stage`);
}

function checkKnown(what: string, given: string | undefined, known: readonly string[]): void {
  if (given !== undefined && !known.includes(given))
    throw new InputError(`${what} ${given}: there is none; there are ${known.join(", ") || "none"}`);
}

function checkOnce(what: string, values: readonly (string | number)[]): void {
  const twice = values.find((value, i) => values.indexOf(value) < i);
  if (twice !== undefined) throw new InputError(`${what} ${twice} is there twice`);
}

function within<T>(where: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw placeError(where, error);
  }
}

/** Columns of the paper's tables, by the names that `paper` may give. */
function readPaper(): object {
  return loadJson(packagePath("experiments", "paper.json"), MAX_PAPER_BYTES) as object;
}
