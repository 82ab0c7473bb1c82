/**
 * @file Where the Hugging Face hub and its cache are: the environment variables that Python's huggingface_hub reads.
 */

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export interface HubSettings {
  /** No slash at the end. */
  endpoint: string;
  token: string | undefined;
  /** No request may be made. */
  offline: boolean;
  cacheFolder: string;
}

/** Settings from HF_ENDPOINT, HF_TOKEN (or the token file), HF_HUB_OFFLINE, HF_HUB_CACHE and HF_HOME in `env`. */
export function hubSettings(env: NodeJS.ProcessEnv = process.env): HubSettings {
  const home = env["HF_HOME"] || join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "huggingface");
  return {
    endpoint: (env["HF_ENDPOINT"] || "https://huggingface.co").replace(/\/+$/, ""),
    token: env["HF_TOKEN"] || env["HUGGING_FACE_HUB_TOKEN"] || tokenInFile(env["HF_TOKEN_PATH"] || join(home, "token")),
    offline: isTrue(env["HF_HUB_OFFLINE"]) || isTrue(env["TRANSFORMERS_OFFLINE"]),
    cacheFolder: env["HF_HUB_CACHE"] || env["HUGGINGFACE_HUB_CACHE"] || join(home, "hub"),
  };
}

function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((value ?? "").toUpperCase());
}

/** Written there by `hf auth login`. */
function tokenInFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}
