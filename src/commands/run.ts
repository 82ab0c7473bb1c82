/** @file `run`: an experiment file, from forecast to report. */
import { join } from "node:path";
import { type Command, Option } from "commander";
import { openBackend } from "../backend/open.js";
import { InputError, RunError } from "../base/errors.js";
import { type Computing, computingSchema } from "../config/model.js";
import { parseOptions } from "../config/options.js";
import type { GenerateCorpusConfig } from "../config/writing.js";
import { expandArms } from "../experiment/arms.js";
import { checkExperiment } from "../experiment/check.js";
import { execute, runJob } from "../experiment/execute/here.js";
import { executeOnSlurm } from "../experiment/execute/slurm.js";
import { ARM_WORDS, type Experiment, readExperiment } from "../experiment/file.js";
import { checkFitting } from "../experiment/fitting.js";
import { readMatrix, writeMatrix } from "../experiment/folder.js";
import { type Forecast, forecastJobs } from "../experiment/forecast/experiment.js";
import { hashInputs } from "../experiment/inputs.js";
import { checkJudges, tryJudges } from "../experiment/judges.js";
import { buildMatrix, type InputHashes, type Matrix } from "../experiment/matrix.js";
import { watchSignals } from "../jobs/signals.js";
import { formatMatrix } from "../report/forecast.js";
import { checkLogFolder, writeInspectLogs } from "../report/inspect-log.js";
import { formatSummary } from "../report/summary.js";
import { watch } from "../report/watch.js";
import { writeResults, writeUnfinished } from "../report/write.js";
import { lockFolder } from "../runs/lock.js";
import { downloadProgress } from "../terminal/download.js";
import { formatDuration, openProgress, type Progress } from "../terminal/progress.js";
import { planCorpus } from "../writing/generate.js";
import { isMade } from "../writing/record.js";
import { makeCorpus } from "./corpus-generate.js";
import { LOG_DIR, optionOf } from "./options.js";

interface RunOptions {
  out?: string;
  model?: string;
  seeds?: string;
  plan?: boolean;
  json?: boolean;
  logDir?: string;
  watch?: boolean;
  port: string;
  executor: "here" | "slurm";
  sbatch: string[];
}

export function addRunCommand(program: Command): void {
  program
    .command("run")
    .argument("<file>", "experiment file (YAML)")
    .summary("an experiment: arms x seeds x evaluations, from forecast to report")
    .description(
      "Trains every distinct stage of the experiment once, evaluates every arm, and writes report.html, " +
        "results.json and results.csv.\n" +
        "The same command continues after an interruption. Changed inputs or settings give new stages; nothing " +
        "of others is mixed in.\n" +
        "What can be wrong with the file is found before the first step, by --plan too; a run then asks each judge " +
        "behind an endpoint one short question, which --plan does not.",
    )
    .option("--seeds <n>", "only the first n seeds of the file")
    .option("--model <id>", "another model than the file's: Hugging Face folder or hub id")
    .option("--out <dir>", "folder of the experiment (default runs/<name>)")
    .addOption(optionOf("backend", computingSchema.shape.backend))
    .addOption(optionOf("device", computingSchema.shape.device))
    .option("--plan", "print arms, stages and forecast, and stop")
    .addOption(
      new Option(
        "--executor <name>",
        "where the jobs run: one after the other in this process, or as jobs of a Slurm cluster",
      )
        .choices(["here", "slurm"])
        .default("here"),
    )
    .option("--sbatch <option...>", "options for sbatch, for example --sbatch=--partition=gpu --sbatch=--time=600", [])
    .option("--watch", "serve the report on 127.0.0.1 while the experiment runs")
    .option("--port <n>", "of --watch; 0: any that is free", "0")
    .option("--json", "results.json on stdout")
    .option(...LOG_DIR)
    .addHelpText(
      "after",
      `\nArms of one word (one for each spec where it says "the spec"):\n${Object.entries(ARM_WORDS)
        .map(([word, meaning]) => `  ${word.padEnd(14)}${meaning}`)
        .join("\n")}\n\nExample:\n  train-msm run experiments/cheese-miniature.yaml --plan`,
    )
    .action(runExperiment);
}

/** Runs the experiment of a file; results go to its folder, a summary to stdout. */
export async function runExperiment(file: string, options: RunOptions): Promise<void> {
  const { out, plan, json = false, watch: isWatched, port } = options;
  const computing = parseOptions(computingSchema, { ...options });
  if (options.executor === "slurm" && computing.device !== null)
    throw new InputError(`--device ${computing.device}: Slurm chooses the GPU of each job; leave --device out`);
  const given = readExperiment(file);
  const experiment = firstSeeds(
    options.model === undefined ? given : { ...given, model: options.model },
    options.seeds,
  );
  const folder = out ?? join("runs", experiment.name);
  const progress = openProgress(json);
  const began = performance.now();
  checkExperiment(experiment, expandArms(experiment));
  for (const config of corporaToMake(experiment)) {
    if (plan) {
      process.stdout.write(
        `${config.out} is made first, and decides the rest of the plan\n${await planCorpus(config)}\n`,
      );
      return;
    }
    await makeCorpus({ ...config, ...computing }, progress);
  }
  // A plan of what is not on this machine is named by what the file says, and asks for no key.
  const isElsewhere = plan && experiment.recordedShape;
  if (!isElsewhere) await checkJudges(experiment);
  const hashes = isElsewhere ? NAMES : await hashInputs(experiment, downloadProgress(progress));
  const matrix = buildMatrix(experiment, folder, hashes);
  const forecast = await forecastWith(computing, experiment, matrix);
  if (!isElsewhere) await checkFitting(experiment, matrix, forecast);
  if (plan) {
    process.stdout.write(`${formatMatrix(experiment, matrix, forecast)}\n`);
    return;
  }
  progress.print(formatMatrix(experiment, matrix, forecast));
  if (options.logDir !== undefined) checkLogFolder(options.logDir);
  await tryJudges(matrix);
  const unlock = lockFolder(folder);
  try {
    await writeMatrix(folder, experiment, matrix);
    const watched = isWatched ? await watch(experiment, matrix, Number(port)) : null;
    if (watched) progress.print(`watch it at ${watched.url}`);
    try {
      await executeJobs(folder, matrix, forecast, { ...options, computing }, progress);
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
      const lines = await writeUnfinished(folder, experiment, matrix, error.message);
      if (!json) process.stdout.write(`${lines}\n\nreport: ${join(folder, "report.html")}\n`);
      throw error;
    } finally {
      watched?.close();
      if (options.logDir !== undefined) await writeInspectLogs(matrix, options.logDir);
    }
    const record = await writeResults(folder, experiment, matrix);
    if (json) process.stdout.write(`${JSON.stringify(record)}\n`);
    else
      process.stdout.write(
        `\n${formatSummary(record)}\n\ntook ${formatDuration((performance.now() - began) / 1000)}; report: ` +
          `${join(folder, "report.html")}\n`,
      );
  } finally {
    unlock();
  }
}

/** Corpora that specs have written for them and that are not made, or were made by other settings. */
function corporaToMake({ specs }: Experiment): GenerateCorpusConfig[] {
  return Object.values(specs).flatMap(({ text, generate }) => {
    const config = generate && { ...generate, spec: text! };
    return config && !isMade(config) ? [config] : [];
  });
}

/** The experiment with `wanted` of its seeds, in its sweeps too. */
function firstSeeds(experiment: Experiment, wanted: string | undefined): Experiment {
  if (wanted === undefined) return experiment;
  const { seeds, sweeps } = experiment;
  const count = Number(wanted);
  if (!/^[1-9]\d*$/.test(wanted) || count > seeds.length)
    throw new InputError(`--seeds ${wanted}: must be 1 to ${seeds.length}, the number of seeds in the file`);
  const first = (some: number[]): number[] => some.slice(0, count);
  const swept = sweeps.map((sweep) => ({ ...sweep, seeds: first(sweep.seeds ?? seeds) }));
  return { ...experiment, seeds: first(seeds), sweeps: swept };
}

const NAMES: InputHashes = { model: "model", of: (args) => args.join(), ofAdapter: (adapter) => adapter };

async function forecastWith(computing: Computing, experiment: Experiment, matrix: Matrix): Promise<Forecast> {
  const backend = await openBackend(computing.backend, computing);
  try {
    return await forecastJobs(experiment, matrix, backend);
  } finally {
    backend.close();
  }
}

async function executeJobs(
  folder: string,
  matrix: Matrix,
  forecast: Forecast,
  { executor, sbatch, computing }: RunOptions & { computing: Computing },
  progress: Progress,
): Promise<void> {
  if (executor === "here")
    return execute(matrix, { computing, progress, seconds: (job) => forecast.jobs.get(job.id)!.seconds });
  const signals = watchSignals(() => progress.print("cancelling the jobs"));
  const command = [process.execPath, process.argv[1]!, "run-job"];
  try {
    await executeOnSlurm(matrix, {
      folder,
      sbatch,
      command,
      progress,
      backend: computing.backend,
      forecast: (job) => forecast.jobs.get(job.id)!,
      isStopping: () => signals.stopping,
    });
  } finally {
    signals.unwatch();
  }
}

/** One job of an experiment's folder: what a Slurm job runs. */
export function addRunJobCommand(program: Command): void {
  program
    .command("run-job", { hidden: true })
    .argument("<dir>")
    .argument("<job>")
    .addOption(optionOf("backend", computingSchema.shape.backend))
    .addOption(optionOf("device", computingSchema.shape.device))
    .action(async (folder: string, id: string, options: Record<string, unknown>) => {
      const job = readMatrix(folder).matrix.jobs.find((one) => one.id === id);
      if (!job) throw new InputError(`${folder} has no job ${id}`);
      await runJob(job, parseOptions(computingSchema, options), openProgress(false));
    });
}
