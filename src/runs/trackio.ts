/**
 * @file A run's steps sent to a Trackio server (huggingface/trackio, POST /api/bulk_log) while it trains. The server
 * keeps one of each `log_id`, so a run that goes on sends its log again without doubling anything.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { InputError, messageOf } from "../base/errors.js";
import { readSteps } from "./steps.js";

const PERIOD_MS = 5000;
const TIMEOUT_MS = 10_000;
/** Steps a request. */
const BATCH = 500;

export interface TrackioServer {
  /** With a slash at its end. */
  url: string;
  /** Of the address that Trackio shows for writing, `?write_token=...`. */
  writeToken: string | null;
}

/** Throws InputError where `given` is no address. */
export function trackioServer(given: string): TrackioServer {
  // What may hold a secret is not shown.
  const shown = given.split("?")[0]!;
  if (!/^https?:\/\//.test(given) || !URL.canParse(given))
    throw new InputError(`--trackio ${shown}: must be an address such as http://127.0.0.1:7860/?write_token=...`);
  const { origin, pathname, searchParams, username, password } = new URL(given);
  if (username !== "" || password !== "")
    throw new InputError("--trackio: a user or password in the address is not sent; leave it out");
  return {
    url: `${origin}${pathname.endsWith("/") ? pathname : `${pathname}/`}`,
    writeToken: searchParams.get("write_token"),
  };
}

/**
 * Sends the steps of `runFolder` as they come, until `end`, which sends the rest. A server that cannot be reached ends
 * the sending, told to `warn` once, and never the training.
 */
export function sendToTrackio(
  server: TrackioServer,
  runFolder: string,
  warn: (line: string) => void,
): { end(): Promise<void> } {
  let sent = 0;
  let isBroken = false;
  let sending: Promise<void> = Promise.resolve();
  const send = async (): Promise<void> => {
    if (isBroken) return;
    try {
      const entries = logEntries(runFolder, sent);
      for (let begin = 0; begin < entries.length; begin += BATCH) {
        const batch = entries.slice(begin, begin + BATCH);
        await post(server, batch);
        sent += batch.length;
      }
    } catch (error) {
      isBroken = true;
      const log = join(runFolder, "log.jsonl");
      // What fetch could not do stands in the cause.
      const reason = messageOf((error as Error).cause ?? error);
      warn(`note: --trackio ${server.url}: ${reason}; nothing more is sent, all steps are in ${log}`);
    }
  };
  const next = (): Promise<void> => {
    sending = sending.then(send);
    return sending;
  };
  const timer = setInterval(() => void next(), PERIOD_MS);
  return {
    async end() {
      clearInterval(timer);
      await next();
    },
  };
}

/** One a step after the first `sent`. The project is the folder that the run's lies in, the run its folder's name. */
function logEntries(runFolder: string, sent: number): object[] {
  const configPath = join(runFolder, "config.json");
  if (!existsSync(configPath)) return [];
  const text = readFileSync(configPath, "utf8");
  const config = JSON.parse(text) as unknown;
  const run_id = createHash("sha256").update(text).digest("hex").slice(0, 32);
  const path = resolve(runFolder);
  const [project, run] = [basename(dirname(path)) || "train-msm", basename(path)];
  const steps = readSteps(runFolder).slice(sent);
  return steps.map(({ step, metrics }) => ({
    ...{ project, run, run_id, step, metrics, config },
    log_id: `${run_id}-${step}`,
  }));
}

async function post({ url, writeToken }: TrackioServer, logs: object[]): Promise<void> {
  const response = await fetch(`${url}api/bulk_log`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(writeToken !== null && { "x-trackio-write-token": writeToken }),
    },
    body: JSON.stringify({ kwargs: { logs, hf_token: null } }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`status ${response.status}, ${text.slice(0, 200)}`);
}
