/** @file `bench kernels | train | decode`: measurements as shares of limits measured in the same run. */
import { appendFileSync, existsSync } from "node:fs";
import { cpus } from "node:os";
import { type Command, Option } from "commander";
import type { Backend } from "../backend/backend.js";
import { type BackendName, openBackend } from "../backend/open.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { benchDecode } from "../bench/decode.js";
import { benchKernels } from "../bench/kernels.js";
import { randomCheckpoint, SMOLLM2_135M } from "../bench/random.js";
import { benchTrain } from "../bench/train.js";
import { InputError } from "../errors.js";
import { type Checkpoint, openCheckpoint } from "../formats/checkpoint.js";
import { resolveModel } from "../formats/hub.js";

interface BenchOptions {
  model?: string;
  backend: BackendName;
  dtype: ComputeDtype;
  rows: string;
  seqLen: string;
  r: string;
  steps: string;
  batch: string[];
  csv?: string;
  json?: boolean;
}

/** One figure: a line of the CSV file. */
interface Figure {
  case: string;
  value: number;
  unit: string;
  /** Share of the limit; empty where there is none. */
  share: number | null;
}

export function addBenchCommand(program: Command): void {
  program
    .command("bench")
    .argument("<what>", "kernels, train or decode")
    .summary("measure kernels, training steps or decoding against this machine's limits")
    .description(
      "Measures against limits of this machine that are measured in the same run: the best matrix product, the bandwidth of a copy.\n" +
        "Without --model: random weights of the shape of SmolLM2-135M.",
    )
    .option("--model <id>", "Hugging Face folder or hub id")
    .addOption(new Option("--backend <name>").choices(["auto", "cpu", "cuda"]).default("auto"))
    .addOption(new Option("--dtype <name>").choices(["bf16", "f32"]).default("bf16"))
    .option("--rows <n>", "rows of a step", "2")
    .option("--seq-len <n>", "tokens a row", "1024")
    .option("--r <n>", "rank, on all projections", "16")
    .option("--steps <n>", "timed steps", "5")
    .option("--batch <n...>", "sequences decoded together", ["1", "8"])
    .option("--csv <file>", "append the figures to a CSV file")
    .option("--json", "figures as JSON lines on stdout")
    .addHelpText("after", "\nExample:\n  train-msm bench train --dtype f32 --csv bench/results/cpu.csv")
    .action(runBench);
}

async function runBench(what: string, options: BenchOptions): Promise<void> {
  const backend = openBackend(options.backend);
  const checkpoint = options.model ? openCheckpoint(await resolveModel(options.model)) : randomCheckpoint(SMOLLM2_135M);
  const report = (figure: Figure): void => writeFigure(backend, what, options, figure);
  try {
    if (what === "kernels") await kernels(backend, checkpoint, options, report);
    else if (what === "train") await training(backend, checkpoint, options, report);
    else if (what === "decode") await decoding(backend, checkpoint, options, report);
    else throw new InputError(`bench ${what}: choose kernels, train or decode`);
  } finally {
    checkpoint.close();
    backend.close();
  }
}

function count(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1)
    throw new InputError(`--${name} ${value}: expected a whole number from 1`);
  return number;
}

type Report = (figure: Figure) => void;

async function kernels(backend: Backend, checkpoint: Checkpoint, options: BenchOptions, report: Report): Promise<void> {
  const [rows, seqLen] = [count("rows", options.rows), count("seq-len", options.seqLen)];
  await benchKernels(backend, checkpoint.config, options.dtype, rows, seqLen, ({ kernel, shape, rate, unit, share }) =>
    report({ case: `${kernel} [${shape}]`, value: rate, unit, share }),
  );
}

async function training(
  backend: Backend,
  checkpoint: Checkpoint,
  options: BenchOptions,
  report: Report,
): Promise<void> {
  const shape = {
    rows: count("rows", options.rows),
    seqLen: count("seq-len", options.seqLen),
    r: count("r", options.r),
  };
  const result = await benchTrain(backend, checkpoint, {
    dtype: options.dtype,
    steps: count("steps", options.steps),
    ...shape,
  });
  const name = `${shape.rows} x ${shape.seqLen}, r ${shape.r}`;
  report({ case: `step ${name}`, value: result.tokensPerSecond, unit: "tokens/s", share: result.shareOfLimit });
  report({ case: `limit of the products ${name}`, value: result.limitTokensPerSecond, unit: "tokens/s", share: null });
  report({ case: "best product", value: result.productFlopsPerSecond / 1e9, unit: "GFLOP/s", share: null });
  report({ case: "copy", value: result.copyBytesPerSecond / 1e9, unit: "GB/s", share: null });
  report({ case: "peak memory of the process", value: result.peakRssBytes / 2 ** 30, unit: "GiB", share: null });
  report({ case: "planned memory", value: result.plannedBytes / 2 ** 30, unit: "GiB", share: null });
  report({ case: "start to end of first step", value: result.firstStepSeconds, unit: "s", share: null });
}

async function decoding(
  backend: Backend,
  checkpoint: Checkpoint,
  options: BenchOptions,
  report: Report,
): Promise<void> {
  const batches = options.batch.map((value) => count("batch", value));
  for (const result of await benchDecode(backend, checkpoint, options.dtype, batches)) {
    const { batch, prefillTokensPerSecond, decodeTokensPerSecond, shareOfBandwidth } = result;
    report({ case: `prefill batch ${batch}`, value: prefillTokensPerSecond, unit: "tokens/s", share: null });
    report({ case: `decode batch ${batch}`, value: decodeTokensPerSecond, unit: "tokens/s", share: shareOfBandwidth });
  }
}

const CSV_HEADER = "date,machine,isa,threads,onednn,bench,dtype,case,value,unit,share\n";

function writeFigure(backend: Backend, what: string, options: BenchOptions, figure: Figure): void {
  const { isa, threads, onednn } = backend.info;
  const share = figure.share === null ? "" : `${(100 * figure.share).toFixed(1)} %`;
  if (options.json)
    process.stdout.write(`${JSON.stringify({ bench: what, dtype: options.dtype, isa, threads, ...figure })}\n`);
  else {
    const value = figure.value >= 100 ? figure.value.toFixed(0) : figure.value.toFixed(2);
    process.stdout.write(
      `${figure.case.padEnd(52)}${value.padStart(9)} ${figure.unit.padEnd(9)}${share.padStart(8)}\n`,
    );
  }
  if (!options.csv) return;
  const date = new Date().toISOString().slice(0, 10);
  const machine = cpus()[0]?.model.trim() ?? "";
  const cells = [
    date,
    machine,
    isa,
    threads,
    onednn ?? "",
    what,
    options.dtype,
    figure.case,
    figure.value.toPrecision(5),
    figure.unit,
  ];
  const line = [...cells, figure.share?.toFixed(4) ?? ""].map((cell) => JSON.stringify(String(cell))).join(",");
  appendFileSync(options.csv, `${existsSync(options.csv) ? "" : CSV_HEADER}${line}\n`);
}
