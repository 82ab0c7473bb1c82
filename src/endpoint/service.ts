/** @file The services that the environment names: an OpenAI-compatible one, and Anthropic's. */
import { InputError } from "../base/errors.js";

export interface Service {
  form: "openai" | "anthropic";
  /** Without a slash at the end. */
  baseUrl: string;
  /** Undefined: none is sent. It is never stored or shown. */
  apiKey: string | undefined;
}

const OPENAI_URL = "https://api.openai.com/v1";
const ANTHROPIC_URL = "https://api.anthropic.com/v1";

/** OPENAI_BASE_URL, or OpenAI's own address. */
export function serviceUrl(env: NodeJS.ProcessEnv): string {
  return (env["OPENAI_BASE_URL"] || OPENAI_URL).replace(/\/+$/, "");
}

/**
 * OPENAI_BASE_URL and OPENAI_API_KEY. Throws InputError naming `option` where neither is set, or the address is none.
 */
export function openService(env: NodeJS.ProcessEnv, option: string): Service {
  const apiKey = keyOf(env, "OPENAI_API_KEY");
  if (apiKey === undefined && !env["OPENAI_BASE_URL"])
    throw new InputError(`${option}: set OPENAI_API_KEY, or OPENAI_BASE_URL for another endpoint`);
  return { form: "openai", baseUrl: checkUrl(serviceUrl(env), "OPENAI_BASE_URL", OPENAI_URL), apiKey };
}

/**
 * ANTHROPIC_API_KEY, and ANTHROPIC_BASE_URL for another address. Throws InputError naming `option` where it is missing.
 */
export function openAnthropic(env: NodeJS.ProcessEnv, option: string): Service {
  const apiKey = keyOf(env, "ANTHROPIC_API_KEY");
  if (apiKey === undefined && !env["ANTHROPIC_BASE_URL"]) throw new InputError(`${option}: set ANTHROPIC_API_KEY`);
  const given = (env["ANTHROPIC_BASE_URL"] || ANTHROPIC_URL).replace(/\/+$/, "");
  const baseUrl = /\/v\d+$/.test(given) ? given : `${given}/v1`;
  return { form: "anthropic", baseUrl: checkUrl(baseUrl, "ANTHROPIC_BASE_URL", ANTHROPIC_URL), apiKey };
}

/** Throws InputError where no header can carry it; the key itself is not shown. */
function keyOf(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const key = env[name]?.trim();
  if (key && !/^[\x21-\x7e]+$/.test(key))
    throw new InputError(`${name}: holds a space, a line break or another character that no key has; set it again`);
  return key || undefined;
}

function checkUrl(url: string, name: string, example: string): string {
  if (/^https?:/.test(url) && URL.canParse(url)) return url;
  throw new InputError(`${name} ${JSON.stringify(url)}: must be an address such as ${example}`);
}
