/** @file `doctor`: what this machine can run, and what to install for more. */
import { cpus, totalmem } from "node:os";
import type { Command } from "commander";
import { BUILD_COMMAND } from "../backend/build.js";
import { availableIsas, openBackend } from "../backend/open.js";
import { messageOf, RunError } from "../errors.js";
import { ONEDNN_HINT } from "../report/device.js";
import { VERSION } from "../version.js";

interface Finding {
  what: string;
  state: string;
  /** What to do about it; null where nothing is wrong. */
  fix: string | null;
}

export function addDoctorCommand(program: Command): void {
  program
    .command("doctor")
    .summary("what this machine can run, and what to install for more")
    .description("What this machine can run, and what to install for more. Exit code 1 where no backend works.")
    .option("--json", "findings as JSON on stdout")
    .action(({ json = false }: { json?: boolean }) => runDoctor(json));
}

/** Throws RunError where no backend works. */
function runDoctor(json: boolean): void {
  const findings = [...machine(), ...cpuBackend()];
  if (json) process.stdout.write(`${JSON.stringify(findings)}\n`);
  else for (const { what, state, fix } of findings) process.stdout.write(formatFinding(what, state, fix));
  if (!findings.some(({ what, fix }) => what === "cpu backend" && !fix)) throw new RunError("no backend works");
}

function formatFinding(what: string, state: string, fix: string | null): string {
  return `${fix ? "!" : " "} ${what.padEnd(16)}${state}\n${fix ? `  ${" ".repeat(16)}→ ${fix}\n` : ""}`;
}

function machine(): Finding[] {
  const processor = cpus()[0]?.model.trim() ?? "unknown processor";
  const memory = `${(totalmem() / 2 ** 30).toFixed(1)} GiB`;
  return [
    { what: "train-msm", state: `${VERSION}, Node ${process.version}, ${process.platform} ${process.arch}`, fix: null },
    { what: "machine", state: `${processor}, ${cpus().length} logical cores, ${memory} of memory`, fix: null },
  ];
}

function cpuBackend(): Finding[] {
  try {
    const isas = availableIsas();
    const backend = openBackend("cpu");
    const { isa, threads, onednn } = backend.info;
    backend.close();
    return [
      { what: "cpu backend", state: `${isa}, ${threads} threads (this processor runs ${isas.join(", ")})`, fix: null },
      onednn ? { what: "oneDNN", state: onednn, fix: null } : { what: "oneDNN", state: "not used", fix: ONEDNN_HINT },
    ];
  } catch (error) {
    const fix = `install g++ and make (Debian: apt-get install g++ make), then \`${BUILD_COMMAND}\``;
    return [{ what: "cpu backend", state: messageOf(error), fix }];
  }
}
