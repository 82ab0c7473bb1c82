/** @file What a route is given, and what it tells. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import type { Choice } from "./draw.js";
import type { Models } from "./models.js";

export interface Call {
  models: Models;
  request: IncomingMessage;
  response: ServerResponse;
  /** Cancels the choices where the client goes away. */
  onGone(choices: readonly Choice[]): void;
  /** Of an answer that has begun. */
  onError(error: unknown): void;
  onPrompt(tokens: number): void;
  onToken(): void;
}

export interface Route {
  method: "GET" | "POST";
  /** "{id}" is one segment of it. */
  path: string;
  summary: string;
  /** Of the body; absent: there is none. */
  body?: z.ZodType;
  /** `body` is what the schema made of it, `id` the segment. */
  handle(call: Call, body: never, id: string): Promise<void> | void;
}

/** A route with its body's type. */
export function post<T>(
  path: string,
  summary: string,
  body: z.ZodType<T>,
  handle: (call: Call, body: T) => Promise<void> | void,
): Route {
  return { method: "POST", path, summary, body, handle: handle as Route["handle"] };
}

export function get(path: string, summary: string, handle: (call: Call, id: string) => Promise<void> | void): Route {
  return { method: "GET", path, summary, handle: (call, _body, id) => handle(call, id) };
}
