/** @file The judges of an experiment: whether they can be asked is known before anything is trained. */
import { isJudged } from "../eval/judge/judged-task.js";
import { checkJudge, type JudgeSettings, tryEndpoint } from "../eval/judge/open.js";
import { taskByName } from "../eval/tasks/by-name.js";
import { isDone } from "./execute/done.js";
import type { Experiment } from "./file.js";
import type { Matrix } from "./matrix.js";

/** Throws InputError where a judge has no key, no readable price or no chat template. Nothing is asked. */
export async function checkJudges({ evaluations, model }: Experiment): Promise<void> {
  const settings = evaluations.map((one) => one.settings).filter(({ task }) => isJudged(taskByName(task)));
  for (const judge of eachOnce(settings)) await checkJudge(judge, model);
}

/** Asks every endpoint that an open job needs one short question. */
export async function tryJudges({ jobs }: Matrix): Promise<void> {
  const settings = jobs.flatMap((job) =>
    job.kind === "eval" && !isDone(job) && isJudged(taskByName(job.config.task)) ? [job.config] : [],
  );
  for (const judge of eachOnce(settings)) await tryEndpoint(judge);
}

function eachOnce(settings: readonly JudgeSettings[]): JudgeSettings[] {
  return [...new Map(settings.map((one) => [`${one.judge} ${one.judgePrice}`, one])).values()];
}
