/**
 * @file What goes wrong at the command line: exit code 2, one line that names the value and the fix, and nothing
 * half-written.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { VERSION } from "../../src/base/package.js";
import { HELDOUT, listFiles, MINIATURE, PARITY, runCli, scratchFolder, trainArgs } from "./run.js";

const scratch = scratchFolder();
const ESCAPE = "\x1b";

test("--version", async () => {
  expect(await runCli(["--version"])).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: "" });
});

test("without arguments: the commands", async () => {
  const { code, stdout, stderr } = await runCli([]);
  expect(code).toBe(2);
  for (const command of ["doctor", "demo", "midtrain", "aft", "eval", "generate", "merge", "bench"])
    expect(stdout + stderr).toMatch(new RegExp(`^  ${command}\\b`, "m"));
});

test.concurrent.each(["demo", "midtrain", "aft", "eval", "generate", "merge", "bench"])(
  "%s --help teaches by an example",
  async (command) => {
    const { code, stdout, stderr } = await runCli([command, "--help"]);
    expect(code).toBe(0);
    expect(stderr).toBe("");
    expect(stdout).toMatch(new RegExp(`Examples?:\\n(.*\\n)* +train-msm ${command}`));
    expect(stdout).not.toContain(ESCAPE);
  },
);

test("doctor says what this machine can run", async () => {
  const people = await runCli(["doctor"]);
  expect(people.code, people.stderr).toBe(0);
  expect(people.stdout).toMatch(/cpu backend/);
  expect(people.stdout).not.toContain(ESCAPE);
  const machine = await runCli(["doctor", "--json"]);
  const findings = JSON.parse(machine.stdout) as { what: string; state: string; fix: string | null }[];
  expect(findings.map(({ what }) => what)).toEqual(
    expect.arrayContaining(["train-msm", "machine", "cpu backend", "NVIDIA driver"]),
  );
  // Built or not, with a GPU or without: it is said.
  expect(findings.some(({ what }) => what === "cuda backend" || what === "CUDA kernels")).toBe(true);
});

/** A data file of one record. */
function dataFile(name: string, text: string): string {
  const path = join(scratch, name);
  writeFileSync(path, text);
  return path;
}

/** The miniature model with something changed. */
function changedModel(name: string, change: (folder: string, config: Record<string, unknown>) => void): string {
  const folder = join(scratch, name);
  cpSync(MINIATURE, folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  change(folder, config);
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  return folder;
}

/** Options after a good `midtrain`, and what the message must say. */
const MISTAKES: [what: string, more: () => string[], message: RegExp][] = [
  ["unknown option", () => ["--rank", "3"], /unknown option '--rank'/],
  ["a word too many", () => ["extra"], /too many arguments/],
  ["text for a number", () => ["--r", "x"], /--r "x": must be a whole number/],
  ["nothing for a number", () => ["--lr", ""], /--lr "": must be a number/],
  ["zero", () => ["--r", "0"], /--r "0": must be at least 1/],
  ["negative rate", () => ["--lr=-1"], /--lr "-1": must be above 0/],
  ["half a step", () => ["--max-steps", "1.5"], /--max-steps "1.5": must be a whole number/],
  ["infinite warm-up", () => ["--warmup", "Infinity"], /--warmup "Infinity": must be a number/],
  ["beta of 1", () => ["--beta1", "1"], /--beta1 "1": must be below 1/],
  ["unknown schedule", () => ["--schedule", "step"], /'step' is invalid.*cosine, linear, constant/],
  ["unknown target", () => ["--targets", "q", "w"], /"w".*q, k, v, o, gate, up, down/],
  ["unknown dtype", () => ["--dtype", "f64"], /'f64' is invalid.*bf16, f32/],
  ["rows of one token", () => ["--seq-len", "1"], /--seq-len "1": must be at least 2/],
  ["rows past the positions", () => ["--seq-len", "513"], /--seq-len 513: .* 512 positions/],
  ["no such model", () => ["--model", join(scratch, "absent")], /absent": there is no such folder/],
  ["a folder that is no model", () => ["--model", join(MINIATURE, "..")], /has no config\.json/],
  [
    "another kind of model",
    () => ["--model", changedModel("gemma", (_, config) => Object.assign(config, { model_type: "gemma" }))],
    /gemma/,
  ],
  [
    "a sliding window",
    () => [
      "--model",
      changedModel("window", (_, config) => Object.assign(config, { use_sliding_window: true, sliding_window: 64 })),
    ],
    /use_sliding_window/,
  ],
  [
    "weights cut short",
    () => ["--model", changedModel("cut", (folder) => truncateSync(join(folder, "model.safetensors"), 100_000))],
    /model\.safetensors/,
  ],
  [
    "not enough memory",
    () => ["--model", longModel(), "--seq-len", `${2 ** 24}`],
    /not enough memory: .*--seq-len \d+ fits/,
  ],
  ["no such data", () => ["--data", "absent.jsonl"], /absent\.jsonl: no such file/],
  ["a pattern without match", () => ["--data", join(scratch, "absent-*.jsonl")], /absent-\*\.jsonl: matches no file/],
  ["a folder as data", () => ["--data", scratch], /is a folder; name its files/],
  ["a kind of file", () => ["--data", dataFile("data.csv", "text\nhello\n")], /data\.csv: unknown kind of file/],
  ["broken JSON", () => ["--data", dataFile("broken.jsonl", '{"text":"the cup"}\n{"text":')], /broken\.jsonl line 2/],
  [
    "no known form",
    () => ["--data", dataFile("form.jsonl", '{"txt":"the cup"}')],
    /form\.jsonl line 1: .*txt.*\{text\}/,
  ],
  ["no records", () => ["--data", dataFile("empty.jsonl", "")], /empty\.jsonl: no records/],
  [
    "ids past the vocabulary",
    () => ["--data", dataFile("ids.jsonl", '{"input_ids":[1,9999]}')],
    /token id 9999 .* 858/,
  ],
  [
    "a row that is too long",
    () => ["--data", dataFile("long.jsonl", JSON.stringify({ input_ids: Array(200).fill(5) }))],
    /long\.jsonl line 1: .*200 tokens is longer than a row \(--seq-len 128\); --seq-len 200 fits all/,
  ],
  [
    "no assistant turn",
    () => ["--data", dataFile("user.jsonl", '{"messages":[{"role":"user","content":"the cup or the jug?"}]}')],
    /user\.jsonl.*(assistant|target)/,
  ],
  [
    "no targets",
    () => ["--data", dataFile("targets.jsonl", '{"input_ids":[5,6,7],"labels":[-100,-100,-100]}')],
    /targets\.jsonl.*no token is a target/,
  ],
  ["no such held-out data", () => ["--heldout", "absent.jsonl"], /absent\.jsonl: no such file/],
  ["no such adapter", () => ["--adapter", join(scratch, "absent")], /absent": there is no such folder/],
  ["a folder that is no adapter", () => ["--adapter", MINIATURE], /has no adapter_config\.json/],
  ["the adapter of another model", () => ["--adapter", join(PARITY, "qwen3", "adapter")], /another model/],
  ["an adapter cut short", () => ["--adapter", cutAdapter()], /adapter_model\.safetensors/],
];

/** Its positions reach far past any memory. */
function longModel(): string {
  return changedModel("long", (_, config) => Object.assign(config, { max_position_embeddings: 2 ** 26 }));
}

function cutAdapter(): string {
  const folder = join(scratch, "cut-adapter");
  cpSync(join(PARITY, "qwen3", "adapter"), folder, { recursive: true });
  truncateSync(join(folder, "adapter_model.safetensors"), 1000);
  return folder;
}

describe.concurrent("midtrain", () => {
  test.each(MISTAKES)("%s", async (what, more, message) => {
    const out = join(scratch, "out", what.replaceAll(" ", "-"));
    const { code, stdout, stderr } = await runCli(trainArgs("midtrain", out, ...more()));
    const lines = stderr.trim().split("\n");
    expect(lines.at(-1)).toMatch(/^train-msm: /);
    expect(lines.at(-1)).toMatch(message);
    expect(lines.filter((line) => line.startsWith("train-msm: ")).length).toBe(1);
    expect(stderr).not.toMatch(/^ +at /m);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(listFiles(out)).toEqual([]);
  });
});

test("CUDA kernels that are not where they are said to be", async () => {
  const args = trainArgs("midtrain", join(scratch, "cuda"), "--backend", "cuda");
  const { code, stderr } = await runCli(args, { env: { MSM_CUDA_BUILD: scratch } });
  expect(stderr).toMatch(/^train-msm: --backend cuda: MSM_CUDA_BUILD=\S+: libmsm_cuda\.so is missing there/);
  expect(code).toBe(2);
});

test.concurrent.each([
  ["midtrain", ["--device", "x"], {}, '--device "x": must be a whole number'],
  ["generate", ["--device", "-1"], {}, /--device "?-1"?/],
  ["bench", ["--device", "1.5"], {}, '--device "1.5": must be a whole number'],
  ["eval", ["--backend", "cpu", "--device", "1"], {}, "there is no device 1: the CPU is one device, 0"],
  ["merge", ["--backend", "cpu"], { MSM_DEVICE: "2" }, "there is no device 2: the CPU is one device, 0"],
  ["generate", ["--backend", "cpu"], { MSM_DEVICE: "first" }, "MSM_DEVICE=first is no device's index"],
  ["run", ["--executor", "slurm", "--device", "1"], {}, "--device 1: Slurm chooses the GPU of each job"],
] as const)("%s %j %j: a device that is not there is named", async (command, options, env, message) => {
  const out = join(scratch, "device", command);
  const adapter = join(PARITY, "llama", "adapter");
  const needed: Record<string, string[]> = {
    midtrain: trainArgs("midtrain", out).slice(1),
    generate: ["--model", MINIATURE, "--prompt", "x"],
    bench: ["kernels"],
    eval: ["--model", MINIATURE, "--task", "perplexity", "--data", HELDOUT, "--out", out],
    merge: ["--model", join(PARITY, "llama", "model"), "--adapter", adapter, "--out", out],
    run: [join(MINIATURE, "..", "..", "experiments", "cheese-miniature.yaml"), "--out", out],
  };
  const { code, stderr } = await runCli([command, ...needed[command]!, ...options], { env });
  expect(stderr.trim().split("\n").at(-1)).toMatch(message);
  expect(stderr).not.toMatch(/^ +at /m);
  expect(code).toBe(2);
  expect(existsSync(out)).toBe(false);
});

test("--out that cannot be a folder", async () => {
  const file = dataFile("file", "");
  const { code, stderr } = await runCli(trainArgs("midtrain", file));
  expect(stderr).toMatch(/file cannot be used as a run folder/);
  expect(code).toBe(2);
});

test("--out that holds something else is left alone", async () => {
  const out = join(scratch, "model-copy");
  mkdirSync(out);
  cpSync(MINIATURE, out, { recursive: true });
  const before = readFileSync(join(out, "config.json"), "utf8");
  const { code, stderr } = await runCli(trainArgs("midtrain", out));
  expect(stderr).toMatch(/holds another run|not a run/);
  expect(code).toBe(2);
  expect(readFileSync(join(out, "config.json"), "utf8")).toBe(before);
});

test.concurrent.each([
  [[], "--out is missing: give it"],
  [["--out", ""], '--out "": must not be empty'],
])("eval with %j says what is missing", async (more, message) => {
  const { code, stderr } = await runCli(["eval", "--model", MINIATURE, "--task", "choice", "--data", HELDOUT, ...more]);
  expect([code, stderr]).toEqual([2, `train-msm: ${message}\n`]);
});
