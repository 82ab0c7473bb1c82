// Whether the C++ and CUDA sources are as clang-format lays them out (.clang-format), and no line of theirs, of shell
// and Python scripts and of make files is longer than 120 columns. `--write` puts the layout right first. clang-format
// comes as WebAssembly: the same output on every machine.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { format } from "@wasm-fmt/clang-format";

const MAX_COLUMNS = 120;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const style = readFileSync(join(root, ".clang-format"), "utf8");

/** Files of the repository, those not yet committed too. */
function files(...patterns) {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", ...patterns];
  return execFileSync("git", args, { cwd: root, encoding: "utf8" }).split("\n").filter(Boolean);
}

/** CUDA's launches and qualifiers read as C++ to clang-format, under a name that says so. */
function formatted(name, text) {
  return format(text, name.replace(/\.cuh?$/, ".cpp"), style);
}

const problems = [];
const write = process.argv.includes("--write");
const sources = files("*.cpp", "*.h", "*.cu", "*.cuh");
for (const name of sources) {
  const text = readFileSync(join(root, name), "utf8");
  const wanted = formatted(name, text);
  if (wanted === text) continue;
  if (write) writeFileSync(join(root, name), wanted);
  else problems.push(`${name}: not as clang-format lays it out: \`npm run format\``);
}
// Chat templates as models have them fill a line each.
const scripts = files("*.sh", "*.py", "*.mk", ".ci/run", "kernels/Makefile", ":!test/fixtures/tokenizer");
for (const name of [...sources, ...scripts])
  for (const [i, line] of readFileSync(join(root, name), "utf8").split("\n").entries())
    if ([...line].length > MAX_COLUMNS) problems.push(`${name}:${i + 1}: more than ${MAX_COLUMNS} columns`);

for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
