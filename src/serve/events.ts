/** @file Server-sent events, and answers that a reader takes too slowly. */
import type { ServerResponse } from "node:http";
import { allDone, type Choice } from "./draw.js";
import { errorBody, toApiError } from "./errors.js";
import type { Call } from "./handler.js";

/** What may wait for a reader; more is only kept by who does not read. */
const MAX_WAITING_BYTES = 4 * 2 ** 20;
/** After the last byte is given out, a reader has so long to take it. */
const TAKE_MS = 60_000;

export interface EventStream {
  send(value: unknown): void;
  /** Ends it as it should, or with an error. */
  end(error?: unknown): void;
}

export function openEvents(response: ServerResponse): EventStream {
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
  });
  const send = (value: unknown): void => {
    if (response.destroyed) return;
    response.write(`data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`);
    if (response.writableLength > MAX_WAITING_BYTES) response.destroy();
  };
  return {
    send,
    end(error) {
      if (error !== undefined) send(errorBody(toApiError(error)));
      send("[DONE]");
      finish(response);
    },
  };
}

/** Ends a stream once all choices are done, after `last` (null: nothing is left to tell), or with what went wrong. */
export async function endStream(
  call: Call,
  events: EventStream,
  choices: readonly Choice[],
  last: object | null,
): Promise<void> {
  try {
    await allDone(choices);
  } catch (error) {
    call.onError(error);
    events.end(error);
    return;
  }
  if (last !== null) events.send(last);
  events.end();
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value);
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
  });
  finish(response, text);
}

/** Ends a response, and its connection where nobody takes what is left. */
export function finish(response: ServerResponse, text?: string): void {
  const timer = setTimeout(() => response.destroy(), TAKE_MS).unref();
  response.once("close", () => clearTimeout(timer));
  response.once("finish", () => clearTimeout(timer));
  response.end(text);
}
