// `npm run bench:gpu`: what is measured on a GPU: limits, every kernel, training steps, decoding, loading, and the
// peers in the same run (bench/peers, where Python has PyTorch), in stages of under four minutes. Writes
// <out>/<gpu>-<stage>.csv and a table, <out>/<gpu>-<stage>.md, after each part: what is cut short keeps its figures.
//
//   node scripts/bench-gpu.mjs [kernels] [training] [decoding] [--backend cuda] [--out bench/results] [--seconds 225]
//
// `--backend cuda-emulated` goes through the same parts with a tiny model: a test of this script, not a measurement.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatCsv, formatTable } from "./bench-table.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    backend: { type: "string", default: "cuda" },
    out: { type: "string", default: join(root, "bench", "results") },
    seconds: { type: "string", default: "225" },
  },
});
const isEmulated = options.backend === "cuda-emulated";
const device = isEmulated ? "cpu" : "cuda";
/** Of the stage that runs. */
let deadline = 0;

// ------------------------------------------------------------------------------------------------------------ running

/**
 * Runs a command until its limit or the deadline; returns the JSON lines of its stdout and the most device memory that
 * was in use.
 */
function run(command, args, limitSeconds, env) {
  const left = deadline - Date.now();
  if (left < 5000) return Promise.resolve({ lines: [], problem: "no time left" });
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const memory = watchMemory();
    const timer = setTimeout(() => child.kill("SIGKILL"), Math.min(left, limitSeconds * 1000));
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
      process.stderr.write(text);
    });
    const end = (problem) => {
      clearTimeout(timer);
      const lines = stdout.split("\n").filter((line) => line.startsWith("{") && line.endsWith("}"));
      resolve({ lines: lines.map((line) => JSON.parse(line)), problem, peakGiB: memory.stop() });
    };
    child.on("error", (error) => end(error.message));
    child.on("close", (code, signal) =>
      end(code === 0 ? null : signal ? "cut short" : (stderr.trim().split("\n").at(-1) ?? `exit code ${code}`)),
    );
  });
}

/** The most memory in use on the GPU until `stop`, in GiB; null where nvidia-smi does not say. */
function watchMemory() {
  if (isEmulated) return { stop: () => null };
  const smi = spawn("nvidia-smi", [
    "--query-gpu=memory.used",
    "--format=csv,noheader,nounits",
    "-i",
    "0",
    "-lms",
    "200",
  ]);
  let peak = null;
  smi.on("error", () => {});
  smi.stdout.setEncoding("utf8").on("data", (text) => {
    for (const line of text.split("\n")) if (/^\d+$/.test(line.trim())) peak = Math.max(peak ?? 0, Number(line) / 1024);
  });
  return {
    stop: () => {
      smi.kill();
      return peak;
    },
  };
}

let figures = [];
let missing = [];
let stage = "";
let machine = isEmulated ? "emulated" : "gpu";

/** Runs one part and keeps its figures; what fails is named in the table. */
async function part(name, command, args, limitSeconds, figuresOf, env = {}) {
  console.error(`=== ${name} (${Math.round((deadline - Date.now()) / 1000)} s left)`);
  const { lines, problem, peakGiB } = await run(command, args, limitSeconds, env);
  const found = lines.flatMap((line) => figuresOf(line, peakGiB));
  figures.push(...found);
  if (problem) missing.push(`${name}: ${problem}`);
  write();
}

function write() {
  mkdirSync(options.out, { recursive: true });
  const file = join(options.out, `${machine.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-${stage}`);
  writeFileSync(`${file}.csv`, formatCsv(machine, figures));
  writeFileSync(`${file}.md`, formatTable(machine, figures, missing));
  return file;
}

/** `train-msm bench`; `hopper`: with Hopper's kernels ("1") or those of every GPU ("0"), where they are told apart. */
function ours(what, model, args, limitSeconds, hopper = null) {
  const provider = hopper === "1" ? "train-msm, wgmma" : "train-msm";
  const env = hopper === null ? {} : { MSM_HOPPER: hopper };
  const command = [
    join(root, "dist", "cli.js"),
    "bench",
    what,
    "--backend",
    options.backend,
    "--shape",
    model,
    "--json",
    ...args,
  ];
  const figuresOf = (line, peakGiB) => {
    machine = isEmulated ? machine : line.machine;
    const isStep = line.case.startsWith("step ");
    const memory = { ...line, case: `device memory of ${line.case}`, value: peakGiB, unit: "GiB", share: null };
    return [line, ...(isStep && peakGiB ? [memory] : [])].map((figure) => ({ ...figure, provider }));
  };
  return part(`${provider} ${what} ${model}`, process.execPath, command, limitSeconds, figuresOf, env);
}

// -------------------------------------------------------------------------------------------------------------- peers

const usable = (packages) => spawnSync("python3", ["-c", `import ${packages}`]).status === 0;
const hasTorch =
  usable("torch") && (isEmulated || spawnSync("python3", ["-c", "import torch; torch.zeros(1).cuda()"]).status === 0);
const hasPeft = hasTorch && usable("transformers, peft");
const hasLiger = hasPeft && usable("liger_kernel");
const absentPeers = [
  [hasTorch, "PyTorch with CUDA"],
  [hasPeft, "transformers and peft"],
  [hasLiger, "liger_kernel"],
].flatMap(([there, what]) => (there ? [] : [`peers: Python has no ${what}`]));

const peerScript = (name) => join(root, "bench", "peers", name);
const shapeFile = (model) => join(root, "models", "shapes", `${model}.json`);

async function peerKernels(model, rows, seqLen) {
  if (!hasTorch) return;
  const args = [
    peerScript("gpu_kernels.py"),
    "--shape",
    shapeFile(model),
    "--rows",
    rows,
    "--seq-len",
    seqLen,
    "--device",
    device,
  ];
  await part(`PyTorch kernels ${model}`, "python3", args, 90, (line) => [line]);
}

async function peerTrain(model, { rows, seqLen, r, steps }, liger) {
  if (liger ? !hasLiger : !hasPeft) return;
  const provider = liger ? "PEFT + Liger" : "PEFT";
  const size = ["--batch", rows, "--seq", seqLen, "--r", r, "--steps", steps];
  const args = [
    peerScript("peft_train.py"),
    "--shape",
    shapeFile(model),
    "--device",
    device,
    ...size,
    ...(liger ? ["--liger"] : []),
  ];
  await part(`${provider} train ${model}`, "python3", args, 90, (line, peakGiB) => {
    const { attentionKernel, settings, versions, tokensPerSecond, firstStepSeconds } = line;
    const note =
      `${attentionKernel}, micro-batches of ` +
      `${settings.microBatch}${settings.checkpointing ? ", gradient checkpointing" : ""}, torch ` +
      `${versions.torch}`;
    const name = `step ${rows} x ${seqLen}, r ${r}`;
    const figure = { bench: "train", model, dtype: line.dtype, provider };
    return [
      { ...figure, case: name, value: tokensPerSecond.median, unit: "tokens/s", note },
      { ...figure, case: "start to end of first step", value: firstStepSeconds, unit: "s" },
      ...(peakGiB ? [{ ...figure, case: `device memory of ${name}`, value: peakGiB, unit: "GiB" }] : []),
    ];
  });
}

async function peerDecode(model, batches) {
  if (!hasPeft) return;
  const args = [
    peerScript("generate.py"),
    "--shape",
    shapeFile(model),
    "--device",
    device,
    "--batches",
    batches.join(","),
    "--repeats",
    "1",
  ];
  await part(
    `transformers decode ${model}`,
    "python3",
    isEmulated ? [...args, "--prompt", "32", "--tokens", "4"] : args,
    60,
    (line) =>
      line.results.flatMap(({ batch, prefillTokensPerSecond, decodeTokensPerSecond }) =>
        [
          ["prefill", prefillTokensPerSecond],
          ["decode", decodeTokensPerSecond],
        ].map(([name, value]) => ({
          bench: "decode",
          model,
          dtype: line.dtype,
          provider: "transformers.generate",
          case: `${name} batch ${batch}`,
          value,
          unit: "tokens/s",
        })),
      ),
  );
}

// -------------------------------------------------------------------------------------------------------------- parts

async function train(model, shape) {
  const { rows, seqLen, r, steps } = shape;
  await ours("train", model, ["--rows", rows, "--seq-len", seqLen, "--r", r, "--steps", steps], 60);
  await peerTrain(model, shape, false);
}

const step = { rows: "4", seqLen: "4096", r: "16", steps: "4" };
const tiny = { rows: "2", seqLen: "32", r: "4", steps: "1" };

const STAGES = {
  kernels: async () => {
    const [model, rows, seqLen] = isEmulated ? ["tiny", "1", "32"] : ["qwen3-8b", step.rows, step.seqLen];
    for (const hopper of ["0", "1"])
      await ours("kernels", model, ["--rows", rows, "--seq-len", seqLen], isEmulated ? 300 : 60, hopper);
    await peerKernels(model, rows, seqLen);
  },
  training: async () => {
    if (isEmulated) return train("tiny", tiny);
    await train("qwen3-0.6b", { ...step, rows: "8" });
    await train("qwen2.5-7b", step);
    // What there is time for.
    await peerTrain("qwen2.5-7b", step, true);
  },
  decoding: async () => {
    if (isEmulated) {
      await ours("decode", "tiny", ["--batch", "1", "2"], 300);
      await peerDecode("tiny", [1, 2]);
      return ours("load", "tiny", ["--seq-len", "32"], 100);
    }
    await ours("decode", "qwen3-8b", ["--batch", "1", "16", "64"], 60);
    await peerDecode("qwen3-8b", [1, 16, 64]);
    await ours("load", "qwen3-0.6b", ["--seq-len", step.seqLen], 60);
    await ours("train", "qwen2.5-32b", ["--rows", "2", "--seq-len", step.seqLen, "--r", "64", "--steps", "3"], 60);
  },
};

const wanted = positionals.length > 0 ? positionals : Object.keys(STAGES);
const unknown = wanted.find((name) => !(name in STAGES));
if (unknown !== undefined) {
  console.error(`bench-gpu: unknown stage ${unknown} (${Object.keys(STAGES).join(", ")})`);
  process.exit(2);
}
for (const name of wanted) {
  stage = name;
  figures = [];
  missing = [...absentPeers];
  deadline = Date.now() + Number(options.seconds) * 1000;
  await STAGES[name]();
  const file = write();
  console.log(formatTable(machine, figures, missing));
  console.log(`${file}.csv and ${file}.md written`);
}
