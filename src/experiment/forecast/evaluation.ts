/**
 * @file What an evaluation will take: seconds and memory of the model and of its judge, and what asking an endpoint
 * costs.
 */
import type { Backend } from "../../backend/backend.js";
import { InputError } from "../../base/errors.js";
import { DEFAULT_POSITIONS } from "../../chat/load.js";
import { DEFAULT_WINDOW, type EvalConfig } from "../../config/inference.js";
import { CHARACTERS_A_TOKEN } from "../../endpoint/cost.js";
import { cutWindows } from "../../eval/asking/windows.js";
import { CONCURRENCY, MAX_TOKENS as ENDPOINT_TOKENS } from "../../eval/judge/endpoint.js";
import { GROUP, MAX_TOKENS as LOCAL_TOKENS } from "../../eval/judge/local.js";
import { ENDPOINT } from "../../eval/judge/open.js";
import { loadControl, loadSamples } from "../../eval/samples.js";
import { taskByName } from "../../eval/tasks/by-name.js";
import { measure } from "../../model/arena.js";
import type { LoraConfig } from "../../model/lora.js";
import { scoringShape } from "../../model/score.js";
import { measureSession, type SessionShape } from "../../model/session.js";
import { layoutWeights } from "../../model/weights.js";
import type { ModelConfig } from "../../shape/config.js";
import { decodeSeconds, prefillSeconds, type Rates } from "../../train/forecast.js";
import type { Experiment } from "../file.js";
import { checkAskedTokens, type Reader } from "./tokens.js";
import { type Asking, askingOf, countWork, type EvaluationWork } from "./work.js";

/** What a chat template puts around a turn, about. */
const TEMPLATE_TOKENS = 16;
/** What a hosted model takes for a few sentences, about. */
const REPLY_SECONDS = 10;

type Evaluation = Experiment["evaluations"][number];

/**
 * Counts what an evaluation asks. Throws InputError where its data are not at hand and no sizes are recorded, and where
 * the model lacks a token of them.
 */
export async function planEvaluation(
  { name, settings, recorded }: Evaluation,
  isAtHand: boolean,
  reader: Reader | null,
): Promise<EvaluationWork> {
  const task = taskByName(settings.task);
  if (!isAtHand && settings.data.some((arg) => arg.startsWith("hf://"))) {
    if (!recorded || (task.draws && !task.asks))
      throw new InputError(
        `evaluations.${name}: with \`recordedShape\` data on the hub need \`recorded: {records, tokens}\`, and a ` +
          "task that draws nothing",
      );
    // Of a forced choice both orders.
    const texts = task.asks ? 2 * recorded.records : recorded.records;
    return { model: askingOf(task, Array(texts).fill(recorded.tokens / texts), settings), judge: null };
  }
  const count = (text: string): number =>
    TEMPLATE_TOKENS + (reader ? reader.tokenizer.encode(text).length : Math.ceil(text.length / CHARACTERS_A_TOKEN));
  const { samples } = await loadSamples(task, settings.data, settings.limit, settings);
  const control = (await loadControl(task, settings))?.samples ?? [];
  const judge = isEndpoint(settings)
    ? { maxTokens: ENDPOINT_TOKENS, together: CONCURRENCY }
    : { maxTokens: LOCAL_TOKENS, together: GROUP };
  const all = [...samples, ...control];
  if (reader)
    for (const { sample, where } of all)
      for (const text of task.reads(sample)) {
        const place = `evaluations.${name}: ${where}`;
        checkAskedTokens(task, text, place, reader);
        if (task.readsText) cutWindows(reader.tokenizer, text, settings.seqLen ?? DEFAULT_WINDOW, place);
      }
  const placed = all.map(({ sample }) => sample);
  return countWork(task, placed, settings, settings.judge === "none" ? null : judge, count);
}

export function isEndpoint({ judge }: Pick<EvalConfig, "judge">): boolean {
  return judge.startsWith(ENDPOINT);
}

/**
 * Seconds at most, but for questions that the judge is asked again. A judge that is another checkpoint is reckoned as
 * large as the model.
 */
export async function evaluationSeconds(
  { model, judge }: EvaluationWork,
  settings: Pick<EvalConfig, "judge" | "judgeRpm">,
  config: ModelConfig,
  rates: Rates,
  most: number,
): Promise<number> {
  const own = await askingSeconds(model, config, rates, most);
  if (!judge) return own;
  if (!isEndpoint(settings)) return own + (await askingSeconds(judge, config, rates, most));
  const { responses, together } = judge;
  return own + Math.max((60 * responses) / settings.judgeRpm, Math.ceil(responses / together) * REPLY_SECONDS);
}

async function askingSeconds(asking: Asking, config: ModelConfig, rates: Rates, most: number): Promise<number> {
  const { texts, read, responses, maxTokens, together } = asking;
  if (texts === 0) return 0;
  const length = read / texts;
  const reading = prefillSeconds(read, length / 2, config, rates.many);
  if (responses === 0) return reading;
  const rows = Math.min(together, responses, most);
  return (
    reading +
    decodeSeconds(responses * maxTokens, length + maxTokens / 2, config, await rates.at(rows), await rates.at(1))
  );
}

/** Weights, and the larger of the sessions of model and judge. */
export function evaluationBytes(
  { model, judge }: EvaluationWork,
  settings: Pick<EvalConfig, "judge" | "dtype">,
  backend: Backend,
  config: ModelConfig,
  lora: LoraConfig | null,
): number {
  const { dtype } = settings;
  const positions = Math.min(config.maxPositionEmbeddings, DEFAULT_POSITIONS);
  const weights = (adapter: LoraConfig | null): number =>
    measure((alloc) => layoutWeights(alloc, config, dtype, adapter, positions)).bytes;
  const session = (asking: Asking): number =>
    measureSession({ backend, config, dtype, lora }, sessionShape(asking, backend)).bytes;
  const isLocal = judge !== null && !isEndpoint(settings);
  const isOther = isLocal && settings.judge !== "base";
  return weights(lora) + (isOther ? weights(null) : 0) + Math.max(session(model), isLocal ? session(judge) : 0);
}

/** As `generate` and `score` will open it, at most. */
function sessionShape({ longest, responses, maxTokens, together }: Asking, backend: Backend): SessionShape {
  if (responses === 0) return scoringShape(longest);
  const { prefillTokens, sequences } = backend.limits;
  const rows = Math.min(together, responses, sequences);
  return {
    cacheRows: rows * (longest + maxTokens),
    maxTokens: Math.max(rows, prefillTokens),
    maxLogits: rows,
    maxLosses: 0,
  };
}
