/** @file Bodies of requests: limits of length and depth, and a schema that refuses what it does not know. */
import type { IncomingMessage } from "node:http";
import type { z } from "zod";
import { InputError } from "../base/errors.js";
import { checkJsonKeys, formatValue, parseOrderedJson, printable } from "../base/json.js";
import { ApiError } from "./errors.js";

export const MAX_BODY_BYTES = 16 * 2 ** 20;
/** Deeper JSON is an attack: a tool's schema has a dozen levels. */
const MAX_DEPTH = 64;

/** The JSON of a body as `schema` sees it. Throws ApiError (400, 413). */
export async function readBody<T>(request: IncomingMessage, schema: z.ZodType<T>): Promise<T> {
  const text = await readText(request);
  let json: unknown;
  try {
    checkJsonKeys(text, MAX_DEPTH, "the body");
    json = parseOrderedJson(text, "the body");
  } catch (error) {
    if (error instanceof InputError) throw new ApiError(400, error.message, { code: "invalid_json" });
    throw error;
  }
  return checkBody(schema, json);
}

async function readText(request: IncomingMessage): Promise<string> {
  const tooLong = new ApiError(413, `the body is longer than ${MAX_BODY_BYTES} bytes`, { code: "body_too_large" });
  if (Number(request.headers["content-length"] ?? 0) > MAX_BODY_BYTES) throw tooLong;
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > MAX_BODY_BYTES) throw tooLong;
    pieces.push(piece);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(pieces));
  } catch {
    throw new ApiError(400, "the body is not UTF-8", { code: "invalid_json" });
  }
}

/** `json` as `schema` sees it. Throws ApiError naming the field. */
function checkBody<T>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    const param = printable([...path, issue.keys[0]!].join(".")).slice(0, 200);
    throw new ApiError(400, `${param} is not supported; leave it out`, { param, code: "unsupported_parameter" });
  }
  const param = printable(path.join(".")).slice(0, 200);
  let value: unknown = json;
  for (const key of issue.path)
    value = typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  const found = value === undefined ? "is missing" : `is ${printable(formatValue(value))}`;
  const message = param === "" ? `the body ${found}: ${issue.message}` : `${param} ${found}: ${issue.message}`;
  throw new ApiError(400, message, { param: param || null, code: "invalid_value" });
}
