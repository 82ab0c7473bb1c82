/**
 * @file `bench kernels | train | decode | load | tokenizer`: measurements as shares of limits measured in the same run.
 */
import { appendFileSync, existsSync } from "node:fs";
import { cpus } from "node:os";
import { basename } from "node:path";
import { type Command, Option } from "commander";
import type { Backend } from "../backend/backend.js";
import { openBackend } from "../backend/open.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { InputError } from "../base/errors.js";
import { benchDecode } from "../bench/decode.js";
import { benchKernels } from "../bench/kernels.js";
import { benchLoad } from "../bench/load.js";
import { type BenchModel, openFolder, openShape, shapeNames } from "../bench/model.js";
import { benchTrain } from "../bench/steps.js";
import { benchTokenizer } from "../bench/tokenizer.js";
import { computingSchema, dtypeSetting } from "../config/model.js";
import { parseOptions } from "../config/options.js";
import { loadTexts } from "../corpus/texts.js";
import { resolveModel, resolveTokenizer } from "../formats/hub/hub.js";
import { loadTokenizer } from "../tokenizer/tokenizer.js";
import { optionOf } from "./options.js";

interface BenchOptions {
  model?: string;
  shape: string;
  dtype: ComputeDtype;
  rows: string;
  seqLen: string;
  r: string;
  steps: string;
  batch: string[];
  data?: string[];
  csv?: string;
  json?: boolean;
}

/** One figure: a line of the CSV file. */
interface Figure {
  case: string;
  value: number;
  unit: string;
  /** Share of the limit; null where there is none. */
  share: number | null;
  note?: string;
}

export function addBenchCommand(program: Command): void {
  program
    .command("bench")
    .argument("<what>", "kernels, train, decode, load or tokenizer")
    .summary("measure kernels, training steps, decoding, loading or a tokenizer")
    .description(
      "Measures against limits of this machine that are measured in the same run: the best matrix product, the " +
        "bandwidth of a copy.\n" +
        "Without --model: random weights, made on the device. load writes them to a file first, into the folder " +
        "for temporary files.\n" +
        "tokenizer encodes the texts of --data by the tokenizer of --model, one after the other, on one core.",
    )
    .option("--model <id>", "Hugging Face folder or hub id")
    .addOption(
      new Option("--shape <name>", "of the random weights")
        .choices(shapeNames())
        .default("smollm2-135m")
        .conflicts("model"),
    )
    .addOption(optionOf("backend", computingSchema.shape.backend))
    .addOption(optionOf("device", computingSchema.shape.device))
    .addOption(optionOf("dtype", dtypeSetting))
    .option("--rows <n>", "rows of a step", "2")
    .option("--seq-len <n>", "tokens a row", "1024")
    .option("--r <n>", "rank, on all projections", "16")
    .option("--steps <n>", "timed steps", "5")
    .option("--batch <n...>", "sequences decoded together", ["1", "8"])
    .option("--data <file...>", "what bench tokenizer encodes: data files, wildcards or hf://datasets/...")
    .option("--csv <file>", "append the figures to a CSV file")
    .option("--json", "figures as JSON lines on stdout")
    .addHelpText("after", "\nExample:\n  train-msm bench train --shape qwen3-0.6b --csv bench/results/mine.csv")
    .action(runBench);
}

const BENCHES: Record<string, (backend: Backend, options: BenchOptions, report: Report) => Promise<void>> = {
  kernels,
  train: training,
  decode: decoding,
  load: loading,
  tokenizer,
};

async function runBench(what: string, given: BenchOptions): Promise<void> {
  const computing = parseOptions(computingSchema, { ...given });
  const dtype = dtypeSetting.parse(given.dtype);
  const options = { ...given, dtype };
  const run = BENCHES[what];
  if (!run) throw new InputError(`bench ${what}: choose ${Object.keys(BENCHES).join(", ")}`);
  const model = options.model ? basename(options.model) : options.shape;
  const backend = await openBackend(computing.backend, computing);
  try {
    await run(backend, options, (figure) => writeFigure(backend, what, model, options, figure));
    // A kernel that does not suit a call leaves it to a slower one: the figures alone would not say so.
    for (const [kernel, calls] of Object.entries(backend.kernels())) console.error(`called ${calls} x ${kernel}`);
  } finally {
    backend.close();
  }
}

async function openModel({ model, shape }: BenchOptions): Promise<BenchModel> {
  return model ? openFolder(await resolveModel(model)) : openShape(shape);
}

function count(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1)
    throw new InputError(`--${name} ${value}: expected a whole number from 1`);
  return number;
}

type Report = (figure: Figure) => void;

async function kernels(backend: Backend, options: BenchOptions, report: Report): Promise<void> {
  const rows = count("rows", options.rows);
  const seqLen = count("seq-len", options.seqLen);
  const model = await openModel(options);
  await benchKernels(backend, model.config, options.dtype, rows, seqLen, ({ kernel, shape, rate, unit, share }) =>
    report({ case: `${kernel} [${shape}]`, value: rate, unit, share }),
  );
}

async function training(backend: Backend, options: BenchOptions, report: Report): Promise<void> {
  const shape = {
    rows: count("rows", options.rows),
    seqLen: count("seq-len", options.seqLen),
    r: count("r", options.r),
  };
  const { dtype } = options;
  const result = await benchTrain(backend, await openModel(options), {
    dtype,
    steps: count("steps", options.steps),
    ...shape,
  });
  const name = `${shape.rows} x ${shape.seqLen}, r ${shape.r}`;
  const { microBatches, recompute, totalBytes } = result.plan;
  const note = `micro-batches: ${microBatches}, recompute: ${recompute}`;
  const figure = (name: string, value: number, unit: string): void => report({ case: name, value, unit, share: null });
  report({ case: `step ${name}`, value: result.tokensPerSecond, unit: "tokens/s", share: result.shareOfLimit, note });
  figure(`limit of the products ${name}`, result.limitTokensPerSecond, "tokens/s");
  figure("best product", result.productFlopsPerSecond / 1e9, "GFLOP/s");
  figure("copy", result.copyBytesPerSecond / 1e9, "GB/s");
  figure("peak memory of the process", result.peakRssBytes / 2 ** 30, "GiB");
  figure("planned memory", totalBytes / 2 ** 30, "GiB");
  figure("start to end of first step", result.firstStepSeconds, "s");
}

async function decoding(backend: Backend, options: BenchOptions, report: Report): Promise<void> {
  const batches = options.batch.map((value) => count("batch", value));
  for (const result of await benchDecode(backend, await openModel(options), options.dtype, batches)) {
    const { batch, prefillTokensPerSecond, decodeTokensPerSecond, shareOfBandwidth } = result;
    report({ case: `prefill batch ${batch}`, value: prefillTokensPerSecond, unit: "tokens/s", share: null });
    report({ case: `decode batch ${batch}`, value: decodeTokensPerSecond, unit: "tokens/s", share: shareOfBandwidth });
  }
}

async function loading(backend: Backend, options: BenchOptions, report: Report): Promise<void> {
  if (options.model)
    throw new InputError("bench load writes the checkpoint that it reads: give --shape instead of --model");
  const result = await benchLoad(backend, options.shape, options.dtype, count("seq-len", options.seqLen));
  const { readBytesPerSecond, loadBytesPerSecond, firstStepSeconds } = result;
  const share = loadBytesPerSecond / readBytesPerSecond;
  report({ case: "read of the file", value: readBytesPerSecond / 1e9, unit: "GB/s", share: null });
  report({ case: "weights onto the device", value: loadBytesPerSecond / 1e9, unit: "GB/s", share });
  report({ case: "time to first step", value: firstStepSeconds, unit: "s", share: null });
}

async function tokenizer(_backend: Backend, options: BenchOptions, report: Report): Promise<void> {
  const { model, data } = options;
  if (!model || !data)
    throw new InputError("bench tokenizer needs --model, whose tokenizer it is, and --data, what it encodes");
  const texts = (await loadTexts(data)).map(({ text }) => text);
  const folder = await resolveTokenizer(model);
  const result = benchTokenizer(() => loadTokenizer(folder), texts);
  const note = `${texts.length} texts`;
  report({ case: "encode", value: result.tokensPerSecond, unit: "tokens/s", share: null, note });
  report({ case: "encode, bytes", value: result.bytesPerSecond / 1e6, unit: "MB/s", share: null, note });
}

const CSV_HEADER = "date,machine,isa,threads,library,bench,model,dtype,case,value,unit,share,note\n";

function writeFigure(backend: Backend, what: string, model: string, options: BenchOptions, figure: Figure): void {
  const { isa, threads, cublaslt } = backend.info;
  const { dtype } = options;
  const machine = backend.info.name ?? cpus()[0]?.model.trim() ?? "";
  const share = figure.share === null ? "" : `${(100 * figure.share).toFixed(1)} %`;
  if (options.json)
    process.stdout.write(`${JSON.stringify({ bench: what, model, dtype, machine, isa, threads, ...figure })}\n`);
  else {
    const value = figure.value >= 100 ? figure.value.toFixed(0) : figure.value.toFixed(2);
    const line = `${figure.case.padEnd(52)}${value.padStart(9)} ${figure.unit.padEnd(9)}${share.padStart(8)}`;
    process.stdout.write(`${line}${figure.note ? `  ${figure.note}` : ""}\n`);
  }
  if (!options.csv) return;
  const date = new Date().toISOString().slice(0, 10);
  const about = [date, machine, isa, threads, cublaslt ?? "", what, model, dtype];
  const cells = [
    figure.case,
    figure.value.toPrecision(5),
    figure.unit,
    figure.share?.toFixed(4) ?? "",
    figure.note ?? "",
  ];
  const line = [...about, ...cells].map((cell) => JSON.stringify(String(cell))).join(",");
  appendFileSync(options.csv, `${existsSync(options.csv) ? "" : CSV_HEADER}${line}\n`);
}
