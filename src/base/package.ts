/** @file This package: its version, and where its files are. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The path of a file of the package, in a checkout as in an installed package. */
export function packagePath(...names: string[]): string {
  return join(ROOT, ...names);
}

const manifest = JSON.parse(readFileSync(packagePath("package.json"), "utf8")) as { version: string };

export const VERSION = manifest.version;
