/** @file This package: its version, where its files are, and what it keeps for this user. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The path of a file of the package, in a checkout as in an installed package. */
export function packagePath(...names: string[]): string {
  return join(ROOT, ...names);
}

const manifest = JSON.parse(readFileSync(packagePath("package.json"), "utf8")) as { version: string };

export const VERSION = manifest.version;

/**
 * A path in the folder where things are kept that can be had again: replies of judges, kernels that were built here.
 */
export function cachePath(...names: string[]): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "train-msm", ...names);
}
