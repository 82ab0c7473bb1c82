/** @file The OpenAI-compatible service that the environment names. */
import { InputError } from "../base/errors.js";

export interface Service {
  /** Without a slash at the end. */
  baseUrl: string;
  /** Undefined: none is sent. It is never stored or shown. */
  apiKey: string | undefined;
}

const OPENAI_URL = "https://api.openai.com/v1";

/** OPENAI_BASE_URL, or OpenAI's own address. */
export function serviceUrl(env: NodeJS.ProcessEnv): string {
  return (env["OPENAI_BASE_URL"] || OPENAI_URL).replace(/\/+$/, "");
}

/**
 * OPENAI_BASE_URL and OPENAI_API_KEY. Throws InputError naming `option` where neither is set, or the address is none.
 */
export function openService(env: NodeJS.ProcessEnv, option: string): Service {
  const apiKey = env["OPENAI_API_KEY"] || undefined;
  if (apiKey === undefined && !env["OPENAI_BASE_URL"])
    throw new InputError(`${option}: set OPENAI_API_KEY, or OPENAI_BASE_URL for another endpoint`);
  const baseUrl = serviceUrl(env);
  if (!/^https?:/.test(baseUrl) || !URL.canParse(baseUrl))
    throw new InputError(`OPENAI_BASE_URL ${JSON.stringify(baseUrl)}: must be an address such as ${OPENAI_URL}`);
  return { baseUrl, apiKey };
}
