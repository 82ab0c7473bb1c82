/**
 * @file The training loop: every step, held-out losses, samples, checkpoints, and what happens when something goes
 * wrong.
 */
import { join } from "node:path";
import { RunError } from "../base/errors.js";
import type { Row } from "../corpus/pack.js";
import { writeAdapter } from "../formats/adapter.js";
import { unflattenAdapter } from "../model/adapter-values.js";
import { type LogRecord, openLog, readLog } from "../runs/run-folder.js";
import { changeNorm, checkAchieved, countAchieved, isNothing } from "./achieved.js";
import { restoreRunState, saveRunState } from "./run-state.js";
import { learningRate, type RateSettings } from "./schedule.js";
import { readFlat, type TrainState, writeParams } from "./state.js";
import { countTargets, evaluateLoss, type StepResult, trainStep } from "./step.js";

/** So many steps in a row without a finite gradient end the run. */
const MAX_SKIPPED_IN_A_ROW = 3;

export interface TrainSettings extends RateSettings {
  steps: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  clipNorm: number;
  /** 0: never. */
  evalEvery: number;
  sampleEvery: number;
  checkpointEvery: number;
}

export interface TrainInput {
  folder: string;
  state: TrainState;
  /** Values that a fresh run starts from. */
  initialParams: Float32Array;
  baseModelNameOrPath: string;
  /** Puts beside the adapter what belongs to it; called before the adapter is written. */
  keepBeside: (adapterFolder: string) => Promise<void>;
  /** Rows of a step (1-based), the same for the same step in every process. */
  batchRows: (step: number) => Row[] | Promise<Row[]>;
  heldout: Row[];
  /** Text of a few samples under the current adapter; null where none are wanted. */
  sample: (() => Promise<LogRecord[]>) | null;
  /** Which records a batch came from, for messages. */
  nameBatch: (rows: Row[]) => string;
}

export interface TrainHooks {
  onRecord: (record: LogRecord) => void;
  /** Asked before and after each step; true saves the state after the step that is under way and ends the loop. */
  isStopping: () => boolean;
}

export interface TrainResult {
  finished: boolean;
  step: number;
}

/**
 * Trains from the folder's saved state, or from `initialParams`, to the last step, and writes the adapter. Every record
 * goes to log.jsonl and to `hooks.onRecord`.
 * @throws RunError after three steps in a row whose gradient was not finite; the last good state is saved. Also where
 *   the run changed nothing: then no adapter is written
 */
export async function train(input: TrainInput, settings: TrainSettings, hooks: TrainHooks): Promise<TrainResult> {
  const { folder, state } = input;
  const { runsAhead } = state.decoder.backend.limits;
  const restored = restoreRunState(folder, state);
  if (restored === null) writeParams(state, { params: input.initialParams });
  const log = openLog(folder, restored ?? 0);
  const record = (entry: LogRecord): void => {
    log.write(entry);
    hooks.onRecord(entry);
  };
  if (restored !== null) record({ type: "resume", step: restored });

  let saved = restored ?? 0;
  let skipped = 0;
  let isStopping = false;
  let ahead: RunningStep | null = null;
  for (let step = (restored ?? 0) + 1; step <= settings.steps; step++) {
    const began = performance.now();
    const due = dueAfter(step, input, settings);
    const running: RunningStep = ahead ?? (await startStep(step, input, settings));
    isStopping ||= hooks.isStopping();
    const mayEnd = isStopping || skipped === MAX_SKIPPED_IN_A_ROW - 1;
    ahead = runsAhead && !mayEnd && !due.any ? await startStep(step + 1, input, settings) : null;
    const { batch, lr } = running;
    const { loss, gradNorm, applied } = await running.result;
    const seconds = (performance.now() - began) / 1000;
    const tokens = countTokens(batch);
    record({
      type: "step",
      step,
      loss,
      gradNorm,
      lr,
      tokens,
      targetTokens: countTargets(batch),
      tokensPerSecond: Math.round((tokens / seconds) * 10) / 10,
    });
    skipped = applied ? 0 : skipped + 1;
    if (!applied) {
      record({ type: "skip", step, reason: `loss ${loss}, gradient norm ${gradNorm}`, batch: input.nameBatch(batch) });
      if (skipped === MAX_SKIPPED_IN_A_ROW) {
        await saveRunState(folder, state, step - MAX_SKIPPED_IN_A_ROW);
        throw new RunError(
          `${skipped} steps in a row without a finite gradient, the last at step ${step} ` +
            `(${input.nameBatch(batch)}): ` +
            `the state of step ${step - MAX_SKIPPED_IN_A_ROW} is saved in ${folder}. Look at these records, or ` +
            "lower --lr",
        );
      }
    }
    if (due.heldout) record({ type: "heldout", step, loss: await evaluateLoss(state, input.heldout) });
    if (due.sample && input.sample) for (const sample of await input.sample()) record({ step, ...sample });
    isStopping ||= hooks.isStopping();
    // A step that is under way is finished first.
    const isEnd = isStopping && !ahead;
    if (due.checkpoint || isEnd) {
      await saveRunState(folder, state, step);
      saved = step;
    }
    if (isEnd && step < settings.steps) return { finished: false, step: saved };
    // Signals are handled between steps.
    await new Promise(setImmediate);
  }
  await finish(input, settings, log.path, record);
  return { finished: true, step: settings.steps };
}

/** Writes the adapter of a run that achieved something. */
async function finish(
  { folder, state, initialParams, baseModelNameOrPath, keepBeside }: TrainInput,
  { steps }: TrainSettings,
  logPath: string,
  record: (entry: LogRecord) => void,
): Promise<void> {
  const params = await readFlat(state, "params");
  const achieved = countAchieved(readLog(logPath));
  const change = changeNorm(initialParams, params);
  const adapter = unflattenAdapter(params, state.layout, state.lora, baseModelNameOrPath);
  checkAchieved(achieved, { steps, change, isZero: [...adapter.tensors.values()].every(({ B }) => isNothing(B)) });
  const adapterFolder = join(folder, "adapter");
  await keepBeside(adapterFolder);
  await writeAdapter(adapterFolder, adapter);
  record({ type: "done", step: steps, ...achieved, changeNorm: change });
}

/** A step whose work is on the stream. */
interface RunningStep {
  batch: Row[];
  lr: number;
  result: Promise<StepResult>;
}

async function startStep(step: number, input: TrainInput, settings: TrainSettings): Promise<RunningStep> {
  const batch = await input.batchRows(step);
  const lr = learningRate(settings, step, settings.steps);
  const result = trainStep(input.state, batch, { ...settings, step, lr });
  result.catch(() => {}); // awaited in its turn, unless the step before it fails
  return { batch, lr, result };
}

/** What follows a step before the next one may begin. */
function dueAfter(
  step: number,
  { heldout }: TrainInput,
  { steps, evalEvery, sampleEvery, checkpointEvery }: TrainSettings,
): { heldout: boolean; sample: boolean; checkpoint: boolean; any: boolean } {
  const isLast = step === steps;
  const isDue = (every: number): boolean => every > 0 && (step % every === 0 || isLast);
  const due = {
    heldout: (isLast || isDue(evalEvery)) && heldout.length > 0,
    sample: isDue(sampleEvery),
    checkpoint: isDue(checkpointEvery),
  };
  return { ...due, any: isLast || Object.values(due).includes(true) };
}

/** Tokens that are not padding. */
function countTokens(batch: Row[]): number {
  return batch.reduce((sum, row) => sum + row.length, 0);
}
