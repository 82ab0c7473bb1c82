/** @file `serve`: an OpenAI-compatible server for one base and its adapters. */
import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { openBackend } from "../backend/open.js";
import { InputError } from "../base/errors.js";
import { parseOptions } from "../config/options.js";
import { type ServeConfig, serveSchema } from "../config/serve.js";
import { watchSignals } from "../jobs/signals.js";
import type { Models } from "../serve/models.js";
import { downloadProgress } from "../terminal/download.js";
import { openProgress } from "../terminal/progress.js";
import { memoryBudget } from "../train/memory.js";
import { addOptions } from "./options.js";

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|localhost|::1)$/;

/** Adds `serve`. */
export function addServeCommand(program: Command): void {
  const command = program
    .command("serve")
    .summary("answer over HTTP, as OpenAI's API does")
    .description(
      "Serves a model and its adapters to OpenAI's clients, lm-evaluation-harness, Inspect and chat windows.\n" +
        "SIGTERM or Ctrl-C ends it when what is under way is answered; a second one ends it at once.",
    );
  addOptions(command, serveSchema)
    .addHelpText(
      "after",
      "\nExample:\n  train-msm serve --model models/miniature --adapters loyal=runs/aft/adapter\n" +
        '  curl -H "Authorization: Bearer $MSM_API_KEY" http://127.0.0.1:8000/v1/models',
    )
    .action(async (options: Record<string, unknown>) => runServe(parseOptions(serveSchema, options)));
}

/** Runs until a signal; the address goes to stdout, once requests are taken. */
async function runServe(config: ServeConfig): Promise<void> {
  // Loaded here, so that no other command waits for it.
  const { openModels } = await import("../serve/models.js");
  const { formatServingPlan } = await import("../serve/plan.js");
  const { openServer } = await import("../serve/server.js");
  const adapters = config.adapters.map(parseAdapter);
  const { apiKey, isMade } = keyOf(config);
  const progress = openProgress(false);
  const backend = await openBackend(config.backend, config);
  let models: Models | null = null;
  try {
    const memoryBytes = memoryBudget(backend);
    models = await openModels(backend, { ...config, memoryBytes, onDownload: downloadProgress(progress) });
    for (const line of formatServingPlan(models.plan)) progress.print(line);
    for (const { name, source } of adapters) await models.loadAdapter(name, source);
    const server = await openServer(models, {
      ...config,
      apiKey,
      onDefect: (line) => progress.print(`error: ${line}`),
    });
    progress.print(
      `models     ${models
        .list()
        .map(({ name }) => name)
        .join(", ")}`,
    );
    if (isMade) progress.print(`key        ${apiKey}`);
    const host = server.host.includes(":") ? `[${server.host}]` : server.host;
    process.stdout.write(`http://${host}:${server.port}/v1\n`);
    await untilSignal((line) => progress.print(line));
    await server.drain();
  } finally {
    await models?.close();
    backend.close();
  }
}

function untilSignal(print: (line: string) => void): Promise<void> {
  return new Promise((resolve) => {
    // The second signal ends the process.
    watchSignals((signal) => {
      print(`${signal}: answering what is under way; once more ends it at once`);
      resolve();
    });
  });
}

/** "NAME=DIR|ID". */
function parseAdapter(text: string): { name: string; source: string } {
  const at = text.indexOf("=");
  if (at > 0 && at < text.length - 1) return { name: text.slice(0, at), source: text.slice(at + 1) };
  throw new InputError(`--adapters ${text}: write NAME=FOLDER or NAME=ID`);
}

function keyOf({ host, apiKey }: ServeConfig): { apiKey: string; isMade: boolean } {
  const given = apiKey ?? (process.env["MSM_API_KEY"] || null);
  if (given !== null) return { apiKey: given, isMade: false };
  if (!LOOPBACK.test(host))
    throw new InputError(`--host ${host}: others can reach it, so give a key: --api-key KEY, or MSM_API_KEY`);
  return { apiKey: `msm-${randomBytes(16).toString("hex")}`, isMade: true };
}
