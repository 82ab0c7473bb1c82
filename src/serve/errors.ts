/** @file Errors as OpenAI's clients read them. */
import { InputError, RunError } from "../base/errors.js";

/** What was asked cannot be done; the answer is `{error: {message, type, param, code}}`. */
export class ApiError extends Error {
  override name = "ApiError";
  readonly status: number;
  /** The field that is wrong. */
  readonly param: string | null;
  readonly code: string | null;

  constructor(
    status: number,
    message: string,
    { param = null, code = null }: Partial<Pick<ApiError, "param" | "code">> = {},
  ) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
  }
}

const TYPES: Record<number, string> = { 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error" };

export function errorBody({ message, status, param, code }: ApiError): Record<string, unknown> {
  const type = TYPES[status] ?? (status >= 500 ? "server_error" : "invalid_request_error");
  return { error: { message, type, param, code } };
}

/** Anything that was thrown: wrong input is the client's, the rest the server's. Of a defect no details are told. */
export function toApiError(error: unknown, param: string | null = null): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof InputError) return new ApiError(400, error.message, { param });
  if (error instanceof RunError) return new ApiError(500, error.message);
  return new ApiError(500, "internal error; the server's log says more");
}

export function contextTooLong(maxModelLen: number, promptTokens: number, maxTokens: number): ApiError {
  return new ApiError(
    400,
    `This model's maximum context length is ${maxModelLen} tokens. You asked for ${promptTokens + maxTokens} tokens ` +
      `(${promptTokens} in the prompt, ${maxTokens} to be drawn). Shorten the prompt or lower max_tokens.`,
    { param: "max_tokens", code: "context_length_exceeded" },
  );
}
