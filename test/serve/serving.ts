/** @file A server in the test's own process, on any free port. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { type Models, openModels } from "../../src/serve/models.js";
import { openServer, type RunningServer } from "../../src/serve/server.js";
import { openTestBackend } from "../backend.js";
import { FIXTURES } from "../parity-fixture.js";

const MINIATURE = join(import.meta.dirname, "..", "..", "models", "miniature");
const BYTES = join(import.meta.dirname, "..", "fixtures", "tokenizer", "bytes");
const KEY = "test-key";

export interface Serving {
  models: Models;
  server: RunningServer;
  url: string;
  client: OpenAI;
  defects: string[];
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

export interface Options {
  model?: string;
  name?: string;
  maxWaiting?: number;
  concurrency?: number;
  maxModelLen?: number | null;
}

export async function serve(options: Options = {}): Promise<Serving> {
  const backend = await openTestBackend();
  const models = await openModels(backend, {
    ...{ model: MINIATURE, name: "lab/miniature", tokenizer: null, dtype: "f32" as const },
    ...{ maxModelLen: null, concurrency: 8, memoryBytes: 2 ** 30 },
    ...options,
  });
  const defects: string[] = [];
  const server = await openServer(models, {
    ...{ host: "127.0.0.1", port: 0, apiKey: KEY, corsOrigin: null, maxWaiting: options.maxWaiting ?? 1024 },
    onDefect: (line) => defects.push(line),
  });
  const url = `http://127.0.0.1:${server.port}`;
  return {
    ...{ models, server, url, defects },
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, maxRetries: 0 }),
    post: (path, body, init = {}) =>
      fetch(url + path, {
        method: "POST",
        headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...init,
      }),
    async close() {
      await server.drain();
      await models.close();
      backend.close();
    },
  };
}

/** A parity checkpoint with a tokenizer of bytes. */
export async function serveFixture(checkpoint: string): Promise<Serving> {
  const folder = mkdtempSync(join(tmpdir(), "train-msm-serve-"));
  cpSync(join(FIXTURES, checkpoint, "model"), folder, { recursive: true });
  cpSync(BYTES, folder, { recursive: true });
  const serving = await serve({ model: folder, name: "base" });
  const close = async (): Promise<void> => {
    await serving.close();
    rmSync(folder, { recursive: true });
  };
  return { ...serving, close };
}

/** The JSON of an answer, as the test knows it. */
export async function jsonOf<T = Record<string, unknown>>(response: Response | Promise<Response>): Promise<T> {
  return (await (await response).json()) as T;
}

/** What the engine does once nothing is asked any more. */
export async function atRest({ models }: Serving): Promise<ReturnType<Models["engine"]["state"]>> {
  for (let i = 0; i < 200 && models.engine.state().running + models.engine.state().waiting > 0; i++)
    await new Promise((resolve) => setTimeout(resolve, 25));
  return models.engine.state();
}
