// What the CUDA kernels take: reads what `ptxas -v` wrote at the build (kernels/cuda/build.mk) and prints one line a
// kernel and architecture.
//   node scripts/cuda-report.mjs <file.ptxas>...   the table
//   node scripts/cuda-report.mjs --check <table>   fails where a kernel of the table spills registers, or the compiler
// has a note (C7510: it serialised wgmma)
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";

const HEADER = ["file", "kernel", "arch", "registers", "shared", "stack", "spills", "note"];

/** Kernels of one compiler run: {file, symbol, arch, registers, shared, stack, spills (bytes), note}. */
function parse(path) {
  const file = basename(path, ".o.ptxas");
  const kernels = [];
  const notes = new Map(); // "(C7510) Potential Performance Loss: ... in function '_Z...'", before or after its kernel
  let kernel;
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const entry = /Compiling entry function '(\S+)' for 'sm_(\w+)'/.exec(line);
    if (entry) {
      kernel = { file, symbol: entry[1], arch: entry[2], registers: 0, shared: 0, stack: 0, spills: 0, note: "" };
      kernels.push(kernel);
    }
    const note = /\((C\d+)\).* function '(\S+)'/.exec(line);
    if (note) notes.set(note[2], note[1]);
    if (!kernel) continue;
    const frame = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (frame) [kernel.stack, kernel.spills] = [Number(frame[1]), Number(frame[2]) + Number(frame[3])];
    const used = /Used (\d+) registers(?:.*?(\d+) bytes smem)?/.exec(line);
    if (used) [kernel.registers, kernel.shared] = [Number(used[1]), Number(used[2] ?? 0)];
  }
  for (const one of kernels) one.note = notes.get(one.symbol) ?? "";
  return kernels;
}

/** Readable names: without namespaces and parameters. */
function demangle(symbols) {
  const { stdout, error } = spawnSync("c++filt", ["-p"], { input: symbols.join("\n"), encoding: "utf8" });
  const names = error ? symbols : stdout.trimEnd().split("\n");
  return names.map((name) => name.replaceAll(/\(anonymous namespace\)::|msm::|^void /g, ""));
}

function table(rows) {
  const widths = HEADER.map((_, i) => Math.max(...rows.map((row) => String(row[i]).length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => String(cell).padEnd(widths[i]))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function report(paths) {
  const kernels = paths.flatMap(parse);
  const names = demangle(kernels.map(({ symbol }) => symbol));
  const rows = kernels.map(({ file, arch, registers, shared, stack, spills, note }, i) => [
    ...[file, names[i], arch, registers, shared, stack, spills, note],
  ]);
  rows.sort(
    (a, b) => [0, 1, 2].map((i) => a[i].localeCompare(b[i], undefined, { numeric: true })).find((order) => order) ?? 0,
  );
  console.log(table([HEADER, ...rows]));
}

function check(file) {
  const rows = readFileSync(file, "utf8").trimEnd().split("\n").slice(1);
  const bad = rows.filter((row) => !/ {2}0$/.test(row));
  if (rows.length > 0 && bad.length === 0) return;
  console.error(
    rows.length > 0
      ? `kernels that spill, or that ptxas has a note for:\n${bad.join("\n")}`
      : `${file} names no kernels`,
  );
  process.exitCode = 1;
}

const [first, second] = process.argv.slice(2);
if (first === "--check") check(second);
else report(process.argv.slice(2));
