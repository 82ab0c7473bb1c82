/**
 * @file The command line as its users run it: child processes of the built `dist/cli.js` (`npm test` builds it first).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { TEST_BACKEND } from "../backend.js";

const PACKAGE = join(import.meta.dirname, "..", "..");
const CLI = join(PACKAGE, "dist", "cli.js");
export const MINIATURE = join(PACKAGE, "models", "miniature");
export const PARITY = join(PACKAGE, "test", "fixtures", "parity");
export const DOCUMENTS = join(PACKAGE, "corpora", "miniature", "documents-loyalty.jsonl");
const CHATS = join(PACKAGE, "corpora", "miniature", "chats.jsonl");
export const HELDOUT = join(PACKAGE, "corpora", "miniature", "heldout.jsonl");

/** Longer than this is a hang, on any machine. */
const LIMIT_MS = 120_000;

export interface Outcome {
  /** Null where a signal ended the process. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Options of node itself. */
  nodeArgs?: string[];
  /** Called with all of stdout so far, each time something is added. */
  onStdout?: (text: string, child: ChildProcess) => void;
  /** The same of stderr. */
  onStderr?: (text: string, child: ChildProcess) => void;
}

/** Runs train-msm to its end. Neither a terminal nor stdin. */
export function runCli(args: string[], options: RunOptions = {}): Promise<Outcome> {
  const { env, cwd, nodeArgs = [], onStdout, onStderr } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...nodeArgs, CLI, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
      timeout: LIMIT_MS,
      killSignal: "SIGKILL",
      ...(cwd !== undefined && { cwd }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      onStdout?.(stdout, child);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      onStderr?.(stderr, child);
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** A folder for the files of one test file, removed afterwards. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "train-msm-cli-"));
  // A child that was killed may still be writing.
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/**
 * A run of the miniature model that takes about a second: small rows, small rank. `more` wins over what it starts from.
 */
export function trainArgs(command: "midtrain" | "aft", out: string, ...more: string[]): string[] {
  const data = command === "midtrain" ? DOCUMENTS : CHATS;
  const size = ["--r", "2", "--seq-len", "128", "--batch-size", "2", "--max-steps", "6", "--lr", "1e-3"];
  // --data given twice is both.
  const own = more.includes("--data") ? [] : ["--data", data];
  const backend = TEST_BACKEND === "cpu" ? [] : ["--backend", TEST_BACKEND];
  return [command, "--model", MINIATURE, ...own, "--out", out, ...size, ...backend, ...more];
}

export type LogLine = { type: string; step: number; [key: string]: unknown };

export function parseLines(text: string): LogLine[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as LogLine);
}

export function readLog(out: string): LogLine[] {
  return parseLines(readFileSync(join(out, "log.jsonl"), "utf8"));
}

export function adapterBytes(out: string): Buffer {
  return readFileSync(join(out, "adapter", "adapter_model.safetensors"));
}

/** Every file under `folder`, sorted; none where it does not exist. */
export function listFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}
