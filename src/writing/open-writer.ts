/** @file The writer that --writer or --critic names. */
import type { Backend } from "../backend/backend.js";
import { InputError } from "../base/errors.js";
import { loadModel } from "../chat/load.js";
import type { GenerateCorpusConfig } from "../config/writing.js";
import { openChat } from "../endpoint/chat.js";
import { type Price, parsePrice } from "../endpoint/cost.js";
import { openAnthropic, openService, type Service } from "../endpoint/service.js";
import type { HubProgress } from "../formats/hub/download.js";
import type { Budget } from "./budget.js";
import { localWriter } from "./local-writer.js";
import type { Writer } from "./writer.js";

/** Whether the name is that of a model behind a service. */
export function isService(name: string): boolean {
  return /^(?:openai|anthropic):/.test(name);
}

const FREE: Price = { input: 0, output: 0 };
/** Room for reasoning before an answer: services count it as a part of the reply. */
const SERVICE_TOKENS = 4096;

export interface WriterHost {
  budget: Budget;
  backend: Backend | null;
  onDownload?: HubProgress;
  /** Before the first repeat of a request; doubled for each further one. */
  backoffMs?: number;
}

/** Throws InputError where the writer that `option` names cannot be opened. */
export async function openWriter(
  name: string,
  option: "--writer" | "--critic",
  config: GenerateCorpusConfig,
  { budget, backend, onDownload, backoffMs }: WriterHost,
): Promise<Writer> {
  if (isService(name)) {
    const { service, model } = serviceOf(name, option, process.env);
    const price = priceOf(config, option);
    const chat = openChat({
      service,
      model,
      requestsPerMinute: config.rpm,
      concurrency: config.concurrency,
      meter: budget.meter(price ?? FREE),
      ...(backoffMs !== undefined && { backoffMs }),
    });
    return {
      name,
      identity: { service: service.form, model },
      temperature: config.temperature ?? 1,
      // A text waits for its own replies most of the time only where the window is full.
      lanes: 2 * config.concurrency,
      room: (words) => Math.max(SERVICE_TOKENS, 4 * words),
      async complete({ messages, temperature, maxTokens }) {
        const reply = await chat.complete({ messages, temperature, maxTokens });
        const { promptTokens, completionTokens } = reply;
        const isTold = promptTokens !== null && completionTokens !== null;
        const tokens = isTold && { tokens: { prompt: promptTokens, completion: completionTokens } };
        const thought = reply.reasoning === "" ? "" : `<think>\n${reply.reasoning}\n</think>\n\n`;
        return { text: thought + reply.text, finish: reply.finish, ...tokens };
      },
      close: () => {},
    };
  }
  if (!backend) throw new Error(`no backend for ${option} ${name}`);
  const request = { model: name, adapter: null, dtype: config.dtype, ...(onDownload && { onDownload }) };
  const loaded = await loadModel(backend, request);
  return localWriter(name, option, loaded, backend, config, budget.meter(FREE));
}

/** Of the writer or the critic; null: not known. Throws InputError where a cap on the cost needs it. */
export function priceOf(config: GenerateCorpusConfig, option: "--writer" | "--critic"): Price | null {
  const [flag, text] =
    option === "--critic" && config.criticPrice !== null
      ? ["--critic-price", config.criticPrice]
      : ["--price", config.price];
  if (text !== null) return parsePrice(text!, flag!);
  if (config.maxCost === null) return null;
  throw new InputError(`--max-cost ${config.maxCost}: needs --price, dollars for a million tokens in and out`);
}

/** Throws InputError where the name is none, or the environment has no key. */
function serviceOf(name: string, option: string, env: NodeJS.ProcessEnv): { service: Service; model: string } {
  const colon = name.indexOf(":");
  const form = name.slice(0, colon);
  const model = name.slice(colon + 1);
  if (model === "") throw new InputError(`${option} ${name} names no model; write ${form}:NAME`);
  return { service: (form === "openai" ? openService : openAnthropic)(env, `${option} ${name}`), model };
}
