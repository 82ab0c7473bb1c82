/** @file The judge that --judge names. */
import type { Backend } from "../../backend/backend.js";
import type { ComputeDtype } from "../../backend/tensor.js";
import { InputError } from "../../base/errors.js";
import { cachePath } from "../../base/package.js";
import { DEFAULT_POSITIONS, hashModel, loadModel, resolveFolders } from "../../chat/load.js";
import { openCache } from "../../endpoint/cache.js";
import { parsePrice } from "../../endpoint/cost.js";
import { openService, serviceUrl } from "../../endpoint/service.js";
import { openCheckpoint } from "../../formats/checkpoint.js";
import type { HubProgress } from "../../formats/hub/download.js";
import { resolveModel } from "../../formats/hub/hub.js";
import { withoutAdapter } from "../../model/base.js";
import type { Decoder } from "../../model/weights.js";
import { loadTokenizer } from "../../tokenizer/tokenizer.js";
import type { PlacedSample } from "../task.js";
import { endpointJudge } from "./endpoint.js";
import type { Judge } from "./judge.js";
import { type JudgedTask, leastQuestions } from "./judged-task.js";
import { checkTemplate, localJudge, roomOf } from "./local.js";
import { checkJudgeRoom } from "./room.js";

export interface JudgeSettings {
  /** "none", "base", "openai:NAME", or a checkpoint by folder or hub id. */
  judge: string;
  judgePrice: string | null;
  judgeRpm: number;
  judgeCache: string | null;
}

export interface JudgeHost {
  /** Null: the judge computes nothing here. */
  backend: Backend | null;
  dtype: ComputeDtype;
  /** The model that is evaluated, as it was named; null: it is not known. */
  model: string | null;
  /** Its folder and decoder, where it is loaded. */
  loaded?: { folder: string; decoder: Decoder };
  print: (line: string) => void;
  onDownload?: HubProgress;
}

/** What names of endpoints begin with. */
export const ENDPOINT = "openai:";

/** Null for "none". Throws InputError where it cannot be opened. */
export async function openJudge(settings: JudgeSettings, host: JudgeHost): Promise<Judge | null> {
  const { judge } = settings;
  if (judge === "none") return null;
  if (judge.startsWith(ENDPOINT)) return openEndpoint(settings, host.print, process.env);
  const { backend, dtype, loaded } = host;
  if (!backend) throw new Error(`no backend for --judge ${judge}`);
  const { isa, backend: computed } = backend.info;
  const cache = openCache(settings.judgeCache ?? cachePath("judge"));
  const identify = async (folder: string): Promise<unknown> => {
    const { model } = await hashModel({ folder, adapterFolder: null, tokenizerFolder: folder });
    return [model, dtype, computed, isa];
  };
  if (judge === "base" && loaded)
    return localJudge({
      cache,
      identity: await identify(loaded.folder),
      decoder: withoutAdapter(loaded.decoder),
      // Not the adapter's own: the base model knows its own template.
      tokenizer: loadTokenizer(loaded.folder),
      description: { kind: "base", model: host.model },
      close: () => {},
    });
  const model = judge === "base" ? host.model : judge;
  if (model === null)
    throw new InputError("--judge base: nobody knows which model wrote these responses; name a judge, or none");
  const onDownload = host.onDownload && { onDownload: host.onDownload };
  const { folder, decoder, tokenizer, free } = await loadModel(backend, { model, adapter: null, dtype, ...onDownload });
  const description = { kind: judge === "base" ? "base" : "checkpoint", model };
  return localJudge({ cache, identity: await identify(folder), decoder, tokenizer, description, close: free });
}

function openEndpoint(settings: JudgeSettings, print: (line: string) => void, env: NodeJS.ProcessEnv): Judge {
  const { judge, judgePrice, judgeCache, judgeRpm } = settings;
  const model = judge.slice(ENDPOINT.length);
  if (model === "") throw new InputError("--judge openai: names no model; write openai:NAME");
  const price = judgePrice ?? env["MSM_JUDGE_PRICE"];
  return endpointJudge({
    service: openService(env, `--judge ${judge}`),
    model,
    cache: openCache(judgeCache ?? cachePath("judge")),
    requestsPerMinute: judgeRpm,
    price: price ? parsePrice(price, judgePrice === null ? "MSM_JUDGE_PRICE" : "--judge-price") : null,
    print,
  });
}

/** Whether a judge is a model that runs here. */
export function isLocalJudge(judge: string): boolean {
  return judge !== "none" && !judge.startsWith(ENDPOINT);
}

/**
 * What can be known of a judge without asking or loading it. Throws InputError where it has no key, no price that can
 * be read, or no chat template.
 */
export async function checkJudge(settings: JudgeSettings, model: string): Promise<void> {
  const { judge } = settings;
  if (judge === "none") return;
  if (judge.startsWith(ENDPOINT)) openEndpoint(settings, () => {}, process.env);
  else {
    openCache(settings.judgeCache ?? cachePath("judge"));
    checkTemplate(loadTokenizer(await resolveModel(judge === "base" ? model : judge)), judge);
  }
}

/**
 * Throws InputError where a judge that runs here has no room for the questions of `task`; `model` is what is
 * evaluated.
 */
export async function checkRoom(
  { judge }: JudgeSettings,
  model: string,
  task: JudgedTask,
  samples: readonly PlacedSample[],
): Promise<void> {
  if (!isLocalJudge(judge)) return;
  const folder = await resolveModel(judge === "base" ? model : judge);
  const { config, close } = openCheckpoint(folder);
  close();
  const positions = Math.min(config.maxPositionEmbeddings, DEFAULT_POSITIONS);
  checkJudgeRoom(leastQuestions(task, samples), judge, roomOf(loadTokenizer(folder), positions));
}

/** Asks the endpoint one short question. Throws InputError or RunError that says what is wrong with it. */
export async function tryEndpoint(settings: JudgeSettings): Promise<void> {
  if (settings.judge.startsWith(ENDPOINT)) await openEndpoint(settings, () => {}, process.env).check();
}

/** What of a judge makes two evaluations different: settings, and the content of a checkpoint. */
export async function describeJudgeInputs(
  judge: string,
  onDownload?: HubProgress,
): Promise<{ settings: Record<string, string>; inputs: Record<string, unknown> }> {
  if (judge.startsWith(ENDPOINT)) return { settings: { judge, judgeUrl: serviceUrl(process.env) }, inputs: {} };
  if (judge === "base" || judge === "none") return { settings: { judge }, inputs: {} };
  const folders = await resolveFolders({ model: judge, adapter: null, ...(onDownload && { onDownload }) });
  return { settings: { judge }, inputs: { judge: (await hashModel(folders)).model } };
}
