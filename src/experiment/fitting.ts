/**
 * @file Whether models can be asked what the evaluations ask: the chat template and the positions of the model, and
 * those of a judge that runs here.
 */
import { InputError, placeError } from "../base/errors.js";
import { DEFAULT_POSITIONS, loadModelTokenizer, resolveFolders } from "../chat/load.js";
import { resolveThinking } from "../chat/thinking.js";
import { isJudged, type JudgedTask } from "../eval/judge/judged-task.js";
import { checkRoom } from "../eval/judge/open.js";
import { loadSamples } from "../eval/samples.js";
import { taskByName } from "../eval/tasks/by-name.js";
import { openCheckpoint } from "../formats/checkpoint.js";
import type { Experiment } from "./file.js";
import type { Forecast } from "./forecast/experiment.js";
import type { Matrix } from "./matrix.js";

type Evaluation = Experiment["evaluations"][number];

/** By so much a forecast may count a prompt too long: what a task says to some models only, what a template adds. */
const SLACK_TOKENS = 128;

/**
 * Throws InputError that names the evaluation. What is refused here would certainly fail once everything is trained.
 */
export async function checkFitting(experiment: Experiment, matrix: Matrix, forecast: Forecast): Promise<void> {
  const { model, tokenizer, evaluations } = experiment;
  const folders = await resolveFolders({ model, adapter: null, tokenizer });
  const checkpoint = openCheckpoint(folders.folder);
  checkpoint.close();
  const positions = Math.min(checkpoint.config.maxPositionEmbeddings, DEFAULT_POSITIONS);
  const codec = loadModelTokenizer(folders.folder, folders.tokenizerFolder);
  for (const { name, settings } of evaluations) {
    const where = `evaluations.${name}`;
    if (settings.seqLen !== null && settings.seqLen > positions)
      throw new InputError(`${where}: seqLen ${settings.seqLen} is more than the model's ${positions} positions`);
    const task = taskByName(settings.task);
    // Longer texts are scored window by window.
    if (task.readsText) continue;
    if (isJudged(task)) await checkJudgeOf(task, where, settings, model);
    try {
      if (task.draws) resolveThinking(settings.thinking, codec);
    } catch (error) {
      throw placeError(where, error);
    }
    const job = matrix.cells.find(({ evaluation }) => evaluation === name)?.job ?? "";
    const work = forecast.jobs.get(job)?.work?.model;
    const least = Math.max(0, (work?.longest ?? 0) - SLACK_TOKENS);
    if (work && least + work.maxTokens > positions)
      throw new InputError(
        `${where}: a prompt of at least ${least} tokens and a response of ${work.maxTokens} do not fit the model's ` +
          `${positions} positions: set maxTokens, or take another model`,
      );
  }
}

async function checkJudgeOf(
  task: JudgedTask,
  where: string,
  settings: Evaluation["settings"],
  model: string,
): Promise<void> {
  const { samples } = await loadSamples(task, settings.data, settings.limit, settings);
  try {
    await checkRoom(settings, model, task, samples);
  } catch (error) {
    throw placeError(where, error);
  }
}
