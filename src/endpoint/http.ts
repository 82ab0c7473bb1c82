/** @file JSON over HTTP: retries with back-off and jitter, Retry-After, time limits. */
import { messageOf, RunError } from "../base/errors.js";
import { printable } from "../base/json.js";
import { type Rate, sleep } from "./rate.js";
import { errorIn } from "./reply.js";

/**
 * What came of one request: its value; refused or busy, which costs nothing; or lost, when nobody knows what it cost.
 */
export type Outcome<T> = { value: T } | "refused" | "busy" | "lost";

export interface PostOptions<T> {
  headers: Record<string, string>;
  rate: Rate;
  /** Of one request, its reply included. */
  timeoutMs: number;
  retries: number;
  /** Before the first repeat; doubled for each further one. */
  backoffMs: number;
  onRetry: () => void;
  /** Before every single request; what it returns is told what came of it. */
  enter: () => Promise<(came: Outcome<T>) => void>;
}

/** The server says that the request itself is wrong: repeating it is no use. */
export class RefusedError extends RunError {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** A longer wait than this is not waited for. */
const MAX_WAIT_MS = 10 * 60_000;
const MAX_BACKOFF_MS = 60_000;
/** Busy, or broken for a moment. */
const RETRIED = new Set([408, 409, 425, 429]);

interface Failure {
  message: string;
  /** What the server asks for. */
  waitMs: number;
  came: "busy" | "lost";
}

/**
 * Posts `body` and returns what `read` makes of the JSON that comes back; a body that holds an error is one, whatever
 * its status, and one that `read` cannot take is asked for again. Throws RefusedError, or RunError after the last
 * retry, or what `enter` throws.
 */
export async function postJson<T>(
  url: string,
  body: unknown,
  read: (json: unknown) => T,
  options: PostOptions<T>,
): Promise<T> {
  const { rate, retries, backoffMs, onRetry, enter } = options;
  for (let attempt = 0; ; attempt++) {
    const leave = await enter();
    await rate.turn();
    const outcome = await tryPost(url, body, read, options).catch((error: RefusedError) => error);
    if (outcome instanceof RefusedError) {
      leave("refused");
      throw outcome;
    }
    leave("value" in outcome ? outcome : outcome.came);
    if ("value" in outcome) return outcome.value;
    const { message, waitMs } = outcome;
    if (attempt >= retries || waitMs > MAX_WAIT_MS) throw new RunError(`${message} (${attempt + 1} attempts)`);
    onRetry();
    // Where the server asks for a pause, it asks it of all requests.
    if (waitMs > 0) rate.pause(waitMs);
    const backoff = Math.min(MAX_BACKOFF_MS, backoffMs * 2 ** attempt) * (0.5 + Math.random() / 2);
    await sleep(Math.max(waitMs, backoff));
  }
}

async function tryPost<T>(
  url: string,
  body: unknown,
  read: (json: unknown) => T,
  options: PostOptions<T>,
): Promise<{ value: T } | Failure> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...options.headers },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(options.timeoutMs),
    });
    const text = await response.text();
    const json = response.ok ? JSON.parse(text) : jsonOrNull(text);
    const error = errorIn(json);
    if (response.ok && error === null) return { value: read(json) };
    // Proxies answer 200 and put the error into the body.
    const status = response.ok ? (error?.status ?? null) : response.status;
    const message = `${status ?? `${response.status}, an error`} from ${url}: ${oneLine(error?.message ?? text)}`;
    if (isRefusal(status, text)) throw new RefusedError(message, status);
    const waitMs = retryAfterMs(response.headers.get("retry-after"));
    return { message, waitMs, came: response.ok ? "lost" : "busy" };
  } catch (error) {
    if (error instanceof RefusedError) throw error;
    // No connection, no reply in time, no JSON, or not of the form that is read.
    const cause = error instanceof Error && error.cause ? error.cause : error;
    return { message: `${url}: ${messageOf(cause)}`, waitMs: 0, came: "lost" };
  }
}

/**
 * An error without a status may pass; an account without money will not, though OpenAI calls it "too many requests".
 */
function isRefusal(status: number | null, text: string): status is number {
  if (status === null) return false;
  return (status === 429 && text.includes("insufficient_quota")) || (!RETRIED.has(status) && status < 500);
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Seconds or a date (RFC 9110, section 10.2.3); 0 where there is neither. */
export function retryAfterMs(value: string | null, now = Date.now()): number {
  if (value === null) return 0;
  const seconds = Number(value);
  if (value.trim() !== "" && Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? 0 : Math.max(0, date - now);
}

function oneLine(text: string): string {
  return printable(text.replace(/\s+/g, " ")).slice(0, 300);
}
