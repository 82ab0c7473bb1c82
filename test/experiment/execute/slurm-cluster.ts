/**
 * @file A Slurm cluster of this one machine, for tests: munge, a controller and a node, without systemd or cgroups.
 * Needs root.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

/** What keeps this machine from running one; null: nothing. */
export function missingForSlurm(): string | null {
  if (process.getuid?.() !== 0) return "not root";
  const missing = ["munged", "munge", "slurmctld", "slurmd", "sbatch"].filter(
    (name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0,
  );
  return missing.length === 0 ? null : `${missing.join(", ")} not installed (Debian: slurm-wlm and munge)`;
}

export interface Cluster {
  env: Record<string, string>;
  run: (program: string, ...args: string[]) => string;
  stop: () => void;
}

/** Starts the cluster in `folder` and waits until its node takes jobs. */
export async function startCluster(folder: string): Promise<Cluster> {
  startMunge();
  const config = join(folder, "slurm.conf");
  const host = hostname().split(".")[0]!;
  for (const name of ["state", "spool"]) mkdirSync(join(folder, name), { recursive: true });
  // Ports of this process's own, so that two runs of the tests do not meet.
  const port = 20_000 + (process.pid % 20_000);
  writeFileSync(
    config,
    [
      "ClusterName=test",
      `SlurmctldHost=${host}(127.0.0.1)`,
      "SlurmUser=root",
      "SlurmdUser=root",
      "AuthType=auth/munge",
      // A requeued job waits until its credential has expired.
      "AuthInfo=cred_expire=5",
      `StateSaveLocation=${join(folder, "state")}`,
      `SlurmdSpoolDir=${join(folder, "spool")}`,
      ...["slurmctld", "slurmd"].flatMap((name) => {
        const key = name === "slurmd" ? "Slurmd" : "Slurmctld";
        return [`${key}PidFile=${join(folder, `${name}.pid`)}`, `${key}LogFile=${join(folder, `${name}.log`)}`];
      }),
      "ProctrackType=proctrack/linuxproc",
      "TaskPlugin=task/none",
      "SelectType=select/cons_tres",
      "SelectTypeParameters=CR_Core",
      "JobAcctGatherType=jobacct_gather/none",
      "AccountingStorageType=accounting_storage/none",
      "ReturnToService=2",
      "MpiDefault=none",
      "KillWait=20",
      "SchedulerParameters=batch_sched_delay=0,sched_interval=2",
      `SlurmctldPort=${port}`,
      `SlurmdPort=${port + 1}`,
      `NodeName=${host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN`,
      `PartitionName=all Nodes=${host} Default=YES MaxTime=INFINITE State=UP`,
      "",
    ].join("\n"),
  );
  const env = { SLURM_CONF: config };
  const run = (program: string, ...args: string[]): string =>
    execFileSync(program, args, { encoding: "utf8", env: { ...process.env, ...env } });
  run("slurmctld");
  run("slurmd");
  await until(
    () => /\bidle\b/.test(run("sinfo", "-h", "-o", "%T")),
    60_000,
    () => readFileSync(join(folder, "slurmctld.log"), "utf8"),
  );
  return {
    env,
    run,
    stop: () => {
      for (const name of ["slurmd", "slurmctld"]) {
        const path = join(folder, `${name}.pid`);
        if (!existsSync(path)) continue;
        const pid = readFileSync(path, "utf8").trim();
        spawnSync("kill", [pid]);
        // The controller saves its state when it ends, into a folder that is removed next.
        spawnSync("timeout", ["20", "tail", `--pid=${pid}`, "-f", "/dev/null"]);
      }
    },
  };
}

function startMunge(): void {
  const works = (): boolean => spawnSync("sh", ["-c", "munge -n | unmunge"]).status === 0;
  if (works()) return;
  for (const folder of ["/run/munge", "/var/log/munge", "/var/lib/munge", "/etc/munge"]) {
    mkdirSync(folder, { recursive: true });
    execFileSync("chown", ["-R", "munge", folder]);
    chmodSync(folder, folder === "/run/munge" ? 0o755 : 0o700);
  }
  execFileSync("setpriv", ["--reuid=munge", "--regid=munge", "--clear-groups", "munged"]);
  if (!works()) throw new Error("munge does not work");
}

/** Waits for `condition`, asked ten times a second. */
export async function until(condition: () => boolean, milliseconds: number, explain = (): string => ""): Promise<void> {
  const began = performance.now();
  while (!condition()) {
    if (performance.now() - began > milliseconds)
      throw new Error(`waited ${milliseconds} ms in vain: ${condition}\n${explain()}`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

/** Slurm's programs with faults, in a folder that goes first on the PATH. */
export interface Faults {
  env: Record<string, string>;
  /** The next `calls` calls of scontrol fail, as when the controller does not answer. */
  silence(calls: number): void;
  /** How many of them are still to come. */
  silentCalls(): number;
  /** From now on: jobs that are submitted fail at once. */
  nodesAreBroken(are: boolean): void;
  /** From now on: jobs that end as FAILED are said to have ended as TIMEOUT. */
  failuresAreTimeouts(are: boolean): void;
  /** So many of the jobs that are submitted next are killed as soon as they have saved a checkpoint in `out`. */
  cut(jobs: number, out: string): void;
  /** What was submitted since the last call, by the jobs' comments, in order. */
  submitted(): string[];
}

/** `folder` is made; its path has no blanks. */
export function makeFaults(folder: string): Faults {
  mkdirSync(folder, { recursive: true });
  const file = (name: string): string => join(folder, name);
  const mark = (name: string, is: boolean): void =>
    is ? writeFileSync(file(name), "") : rmSync(file(name), { force: true });
  const programOf = (name: string): string => execFileSync("which", [name], { encoding: "utf8" }).trim();
  const script = (name: string, lines: readonly string[]): void =>
    writeFileSync(file(name), `#!/bin/bash\n${lines.join("\n")}\n`, { mode: 0o755 });
  script("scontrol", [
    `left=$(cat ${file("silent")} 2>/dev/null || echo 0)`,
    'if [ "$left" -gt 0 ]; then',
    `  echo $((left - 1)) > ${file("silent")}`,
    '  echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2',
    "  exit 1",
    "fi",
    "set -o pipefail",
    `state=$([ -e ${file("timeouts")} ] && echo TIMEOUT || echo FAILED)`,
    `${programOf("scontrol")} "$@" | sed "s/JobState=FAILED/JobState=$state/"`,
  ]);
  script("sbatch", [
    'for word in "$@"; do',
    `  case "$word" in --comment=*) echo "\${word#--comment=}" >> ${file("submitted")};; esac`,
    "done",
    // The last word is the command: "exec node ...".
    `exec ${programOf("sbatch")} "\${@:1:$#-1}" "bash ${file("cut.sh")} \${@: -1}"`,
  ]);
  script("cut.sh", [
    "shift", // "exec"
    // No job is over before the controller speaks again: each silence is met.
    `while [ "$(cat ${file("silent")} 2>/dev/null || echo 0)" -gt 0 ]; do sleep 0.2; done`,
    `[ -e ${file("broken")} ] && { echo "the disk of the node is full"; exit 1; }`,
    `left=$(cat ${file("cuts")} 2>/dev/null || echo 0)`,
    '[ "$left" -gt 0 ] || exec "$@"',
    `out=$(cat ${file("out")})`,
    `touch ${file("begun")}`,
    '"$@" & job=$!',
    'while kill -0 "$job" 2>/dev/null; do',
    `  saved=$(find "$out"/stages/*/checkpoint -name state.safetensors -newer ${file("begun")} 2>/dev/null)`,
    '  if [ -n "$saved" ]; then',
    `    echo $((left - 1)) > ${file("cuts")}`,
    '    kill -KILL "$job"',
    "    exit 1",
    "  fi",
    "  sleep 0.05",
    "done",
    'wait "$job"',
  ]);
  return {
    env: { PATH: `${folder}:${process.env["PATH"]}` },
    silence: (calls) => writeFileSync(file("silent"), String(calls)),
    silentCalls: () => Number(readFileSync(file("silent"), "utf8")),
    nodesAreBroken: (are) => mark("broken", are),
    failuresAreTimeouts: (are) => mark("timeouts", are),
    cut(jobs, out) {
      writeFileSync(file("cuts"), String(jobs));
      writeFileSync(file("out"), out);
    },
    submitted() {
      if (!existsSync(file("submitted"))) return [];
      const lines = readFileSync(file("submitted"), "utf8").trim().split("\n");
      rmSync(file("submitted"));
      return lines;
    },
  };
}
