/** @file `generate`: what a model says. */
import type { Command } from "commander";
import { openBackend } from "../backend/open.js";
import { InputError } from "../base/errors.js";
import { continuationText, cutAtStop, openTextStream } from "../chat/continuation.js";
import { type LoadedModel, loadModel } from "../chat/load.js";
import { DEFAULT_MAX_TOKENS, type GenerateConfig, generateSchema } from "../config/inference.js";
import { parseOptions } from "../config/options.js";
import { type Completion, type GenerateOptions, generate } from "../model/generate.js";
import { chatNotes } from "../terminal/data-notes.js";
import { downloadProgress } from "../terminal/download.js";
import { openProgress } from "../terminal/progress.js";
import { addNotes, NO_CHAT_NOTES } from "../tokenizer/chat.js";
import { addOptions } from "./options.js";
import { loadPrompts, type Prompt } from "./prompts.js";

/** Adds `generate`. */
export function addGenerateCommand(program: Command): void {
  const command = program
    .command("generate")
    .summary("let a model answer a prompt, or the chats of a file")
    .description(
      "Lets a model answer. A prompt is one user turn where the checkpoint has a chat template; --raw continues " +
        "it as it stands.\n" +
        "One answer is written as it is made; several come with their numbers.",
    );
  addOptions(command, generateSchema)
    .option("--json", "one line an answer: {prompt, text, ids, logprobs, end}")
    .addHelpText(
      "after",
      "\nExample:\n" +
        '  train-msm generate --model models/miniature --prompt "the colby or the brie?" --temperature 0.7 --n 3',
    )
    .action(async (options: Record<string, unknown>) => {
      const { json = false, ...settings } = options;
      await runGenerate({ ...parseOptions(generateSchema, settings), json: json === true });
    });
}

/** Runs `generate`; answers go to stdout. */
async function runGenerate({ json, ...config }: GenerateConfig & { json: boolean }): Promise<void> {
  const progress = openProgress(json);
  const backend = await openBackend(config.backend, config);
  try {
    const model = await loadModel(backend, { ...config, onDownload: downloadProgress(progress) });
    const asked = await loadPrompts(config, model.tokenizer);
    const notes = { ...NO_CHAT_NOTES };
    for (const prompt of asked) addNotes(notes, prompt);
    for (const note of chatNotes(notes)) progress.print(`note: ${note}`);
    const prompts = asked.flatMap((prompt) => Array.from({ length: config.n }, () => prompt));
    const only = prompts.length === 1 && !json ? prompts[0]! : null;
    const stream = only && openTextStream(model.tokenizer, only.ids, config.stop);
    const options = generateOptions(config, model, prompts);
    const completions = await generate(
      model.decoder,
      prompts.map(({ ids }) => ids),
      {
        ...options,
        onToken: (_prompt, id) => {
          if (stream && !options.stopIds.has(id)) process.stdout.write(stream.push(id));
        },
      },
    );
    if (stream) process.stdout.write(`${stream.end()}\n`);
    else for (const [i, completion] of completions.entries()) print(completion, prompts[i]!, i, config, model, json);
    model.free();
  } finally {
    backend.close();
  }
}

function generateOptions(
  config: GenerateConfig,
  { decoder, tokenizer }: LoadedModel,
  prompts: readonly Prompt[],
): GenerateOptions {
  const longest = Math.max(...prompts.map(({ ids }) => ids.length));
  const room = decoder.weights.cos.rows - longest;
  if (room < 1)
    throw new InputError(
      `a prompt of ${longest} tokens leaves no room: the model has ${decoder.weights.cos.rows} positions`,
    );
  return {
    maxTokens: config.maxTokens ?? Math.min(DEFAULT_MAX_TOKENS, room),
    temperature: config.temperature,
    topP: config.topP,
    seed: config.seed,
    stopIds: new Set(tokenizer.stopIds),
    stopStrings: config.stop,
    decode: (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }),
  };
}

function print(
  { ids, logprobs, end }: Completion,
  prompt: Prompt,
  i: number,
  config: GenerateConfig,
  { tokenizer }: LoadedModel,
  json: boolean,
): void {
  const text = cutAtStop(continuationText(tokenizer, prompt.ids, ids), config.stop);
  if (json) process.stdout.write(`${JSON.stringify({ prompt: prompt.text, text, ids, logprobs, end })}\n`);
  else process.stdout.write(`--- ${i + 1}\n${text}\n`);
}
