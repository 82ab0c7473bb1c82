// Prints the folders of node_modules that train-msm and its tests on a GPU need: the package's dependencies and vitest,
// with theirs, as installed here.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const readPackage = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));

/** Where node finds `name` from `folder`; null for an optional package that is not installed (for another platform). */
function find(name, folder) {
  for (let at = folder; ; at = dirname(at)) {
    const candidate = join(at, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
    if (at === root) return null;
  }
}

const found = new Set();
function add(name, from) {
  const folder = find(name, from);
  if (!folder || found.has(folder)) return;
  found.add(folder);
  const { dependencies = {}, optionalDependencies = {} } = readPackage(folder);
  for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies })) add(dependency, folder);
}

for (const name of [...Object.keys(readPackage(root).dependencies), "vitest"]) add(name, root);
const folders = [...found].map((folder) => relative(root, folder)).sort();
// A folder inside another one comes with it.
console.log(folders.filter((folder) => !folders.some((other) => folder.startsWith(`${other}/`))).join("\n"));
