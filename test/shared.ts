/**
 * @file Real material beside the repository, which is not part of it: tests that use it skip with a printed reason
 * where it is absent.
 */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The folder of shared model `name`; undefined, with a printed reason, where this machine has none. */
export function sharedModel(name: string): string | undefined {
  const folder = fileURLToPath(new URL(`../../shared/models/${name}`, import.meta.url));
  if (existsSync(folder)) return folder;
  console.log(`skipped: no ../shared/models/${name} beside the repository`);
  return undefined;
}
