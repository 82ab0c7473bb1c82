/**
 * @file Products by cuBLASLt, with a stand-in for it (stand-in-cublaslt.cpp) on the emulated device: how rows become
 * columns, which algorithms are timed and kept, where the library is looked for. What NVIDIA's own library computes is
 * tested on a GPU.
 */

import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allocTensor, type Backend } from "../../src/backend/backend.js";
import { buildFolder } from "../../src/backend/native/kernels.js";
import { packagePath } from "../../src/base/package.js";
import { openBuild, testedBuilds } from "./builds.js";
import { linearCrossEntropy } from "./cases/linear-cross-entropy.js";
import { matmul } from "./cases/matmul.js";
import { type OpCase, once } from "./harness.js";

const SOURCE = join(import.meta.dirname, "stand-in-cublaslt.cpp");
const EMULATED = testedBuilds().find(({ backend }) => backend === "cuda-emulated");
const NAME = "libcublasLt.so.13";

const root = mkdtempSync(join(tmpdir(), "cublaslt-"));
const standIn = join(root, "stand-in");
const cache = join(root, "cache");
const log = join(root, "log");

/** The lines that the stand-in has written since the last call. */
function calls(): string[] {
  if (!existsSync(log)) return [];
  const lines = readFileSync(log, "utf8").trim().split("\n");
  rmSync(log);
  return lines;
}

function times(lines: string[], begin: string): number {
  return lines.filter((line) => line.startsWith(begin)).length;
}

function compile(path: string, source: string): void {
  execFileSync("g++", ["-std=c++17", "-O2", "-fPIC", "-shared", "-x", "c++", source, "-o", path], { stdio: "pipe" });
}

const FIRST_TIME = ["heuristic", ...Array.from({ length: 4 }, () => ["matmul 2", "matmul 3"]).flat(), "matmul 3"];
const short = (lines: string[]): string[] => lines.map((line) => line.split(" ").slice(0, 2).join(" "));

describe.skipIf(!EMULATED)("cuBLASLt", () => {
  let backend: Backend;

  beforeAll(async () => {
    mkdirSync(standIn);
    compile(join(standIn, NAME), SOURCE);
    Object.assign(process.env, { MSM_CUBLASLT: standIn, XDG_CACHE_HOME: cache, STAND_IN_LOG: log });
    backend = await openBuild(EMULATED!);
  }, 600_000);
  afterAll(() => {
    backend.close();
    for (const name of ["MSM_CUBLASLT", "XDG_CACHE_HOME", "STAND_IN_LOG"]) delete process.env[name];
    rmSync(root, { recursive: true });
  });

  async function check(one: OpCase): Promise<void> {
    const op = one.build(backend);
    op.run();
    await backend.sync();
    await op.check();
    op.close();
  }

  /** Enqueues out = a b^T of zeros; every call has memory of its own. */
  function enqueue(M: number, N: number, K: number): void {
    const out = allocTensor(backend, "bf16", M, N);
    const a = allocTensor(backend, "bf16", M, K);
    const b = allocTensor(backend, "bf16", N, K);
    backend.ops.matmul({ out, a, b, transB: true });
  }

  describe("multiplies", () => {
    const dtypes = [
      { dtype: "bf16", outDtype: "bf16" },
      { dtype: "bf16", outDtype: "f32" },
      { dtype: "f32", outDtype: "f32" },
    ] as const;
    const shapes = dtypes.flatMap((types) =>
      (["nn", "nt", "tn"] as const).flatMap((layout) => [
        { ...types, layout, M: 136, N: 152, K: 72, gap: 8, alpha: 0.3, bias: types.outDtype === types.dtype },
        { ...types, layout, M: 136, N: 152, K: 72, gap: 0, accumulate: true },
      ]),
    );
    it.each(shapes.map((shape) => [matmul(shape).name, shape.dtype, shape] as const))("%s %s", async (_, __, shape) => {
      calls();
      await check(matmul(shape));
      expect(short(calls())).toEqual(FIRST_TIME);
    });

    it.each(["f32", "bf16"] as const)("batches: linear_cross_entropy %s", async (dtype) => {
      await check(linearCrossEntropy({ dtype, N: 136, D: 136, V: 584, targets: "some", argmax: true }));
      const lines = calls();
      expect(times(lines, "matmul 3 136 x 584 x 136 batch 1 beta 0")).toBe(5);
      expect(times(lines, "matmul 3 136 x 136 x 72 batch 8 beta 0")).toBe(5);
      expect(times(lines, "matmul 1")).toBe(0);
    });

    it.each([
      { why: "rows that are not aligned", M: 136, N: 152, K: 72, gap: 1 },
      { why: "a bias of another dtype than out", M: 136, N: 152, K: 72, outDtype: "f32", bias: true },
      { why: "few rows", M: 128, N: 152, K: 72 },
      { why: "few columns", M: 136, N: 128, K: 72 },
      { why: "little depth", M: 136, N: 152, K: 56 },
    ] as const)("not with $why", async (shape) => {
      await check(matmul({ dtype: "bf16", layout: "nt", ...shape }));
      expect(calls()).toEqual([]);
    });
  });

  describe("plans", () => {
    it("a shape is timed once, and numbers of rows that are close share its algorithm", async () => {
      enqueue(140, 168, 72);
      await backend.sync();
      expect(short(calls())).toEqual(FIRST_TIME);
      enqueue(140, 168, 72);
      enqueue(256, 168, 72);
      await backend.sync();
      expect(short(calls())).toEqual(["matmul 3", "check 3", "matmul 3"]);
      enqueue(257, 168, 72);
      await backend.sync();
      expect(short(calls())).toEqual(FIRST_TIME);
    });

    it("a known shape can be recorded; a new one is refused, as nothing can be timed then", async () => {
      enqueue(144, 184, 72);
      await backend.sync();
      calls();
      const recording = backend.record(() => enqueue(144, 184, 72));
      expect(calls()).toEqual([]);
      recording.replay();
      recording.replay();
      await backend.sync();
      expect(short(calls())).toEqual(["matmul 3", "matmul 3"]);
      recording.free();
      expect(() => backend.record(() => enqueue(144, 192, 72))).toThrow("matmul: a product of a new shape");
      await expect(backend.sync()).resolves.toBeUndefined();
      expect(calls()).toEqual([]);
    });
  });

  // One library a process: what concerns the choice of the library, and later runs, happens in children.

  const CHILD = `
    import koffi from "koffi";
    const [path, ...products] = process.argv.slice(1);
    const library = koffi.load(path);
    const call = (name, result, types) => library.func(name, result, types);
    const error = Buffer.alloc(8192);
    const context = call("msm_open", "void *", ["int", "int", "void *", "int64_t"])(0, 1, error, error.length);
    if (!context) {
      console.log(JSON.stringify({ error: error.toString("utf8", 0, error.indexOf(0)) }));
      process.exit();
    }
    const alloc = call("msm_alloc", "uint64_t", ["void *", "int64_t"]);
    const [l, v, i, f] = ["int64_t", "uint64_t", "int", "float"];
    const multiply = call("msm_matmul", "void", ["void *", i, i, v, l, v, l, i, v, l, i, v, f, f, l, l, l]);
    for (const product of products) {
      const [M, N, K] = product.split("x").map(Number);
      const [out, a, b] = [M * N, M * K, N * K].map((count) => alloc(context, 2 * count));
      multiply(context, 1, 1, out, N, a, K, 0, b, K, 1, 0, 1, 0, M, N, K);
    }
    const failure = call("msm_sync", "str", ["void *"])(context);
    console.log(JSON.stringify({ ...JSON.parse(call("msm_describe", "str", ["void *"])(context)), failure }));`;

  /** What a child reports: the reason why it has no context, or the context's description and the stream's error. */
  interface Report {
    error?: string;
    cublaslt?: string | null;
    cublasltPath?: string | null;
    cublasltProblem?: string | null;
    failure?: string | null;
    stderr: string;
  }

  /** Opens a context in a process of its own and multiplies. */
  function child(settings: Record<string, string>, ...products: string[]): Report {
    const folder = resolve(process.env["MSM_CUDA_BUILD"] ?? join(buildFolder(), "cuda-emulated"));
    const { HOME: _, ...inherited } = process.env;
    const env = {
      ...inherited,
      MSM_CUBLASLT: "auto",
      CUDA_HOME: "",
      CUDA_PATH: "",
      VIRTUAL_ENV: "",
      CONDA_PREFIX: "",
      ...settings,
    };
    const args = ["--input-type=module", "-e", CHILD, join(folder, "libmsm_cuda_emulated.so"), ...products];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      encoding: "utf8",
      env,
      cwd: packagePath(),
    });
    expect(status, stderr).toBe(0);
    return { ...(JSON.parse(stdout) as Omit<Report, "stderr">), stderr };
  }

  /** A folder of its own with the stand-in in it, under `path`. */
  function install(name: string, path: string): string {
    const folder = join(root, name);
    mkdirSync(join(folder, path), { recursive: true });
    copyFileSync(join(standIn, NAME), join(folder, path, NAME));
    return folder;
  }

  describe("the file of algorithms", () => {
    const settings = { MSM_CUBLASLT: standIn, XDG_CACHE_HOME: join(root, "other-cache") };
    const file = (): string => {
      const folder = join(settings.XDG_CACHE_HOME, "train-msm");
      const names = readdirSync(folder);
      expect(names).toEqual(["cublaslt-emulated-13.1.2.txt"]);
      return join(folder, names[0]!);
    };

    it("spares later runs the timing, and gives them the same algorithm", () => {
      expect(child(settings, "136x152x72", "136x160x72")).toMatchObject({ cublaslt: "13.1.2", failure: null });
      expect(short(calls())).toEqual([...FIRST_TIME, ...FIRST_TIME]);
      const first = readFileSync(file(), "utf8");
      expect(child(settings, "136x160x72", "140x152x72").failure).toBe(null);
      expect(short(calls())).toEqual(["check 3", "matmul 3", "check 3", "matmul 3"]);
      expect(readFileSync(file(), "utf8")).toBe(first);
      // The choice that is written counts, not the faster one.
      writeFileSync(file(), first.replaceAll(" 0000000000000003 ", " 0000000000000002 "));
      child(settings, "136x160x72");
      expect(short(calls())).toEqual(["check 2", "matmul 2"]);
      writeFileSync(file(), first);
    });

    it("keeps what is in it when shapes are added", () => {
      child(settings, "136x168x72");
      expect(readFileSync(file(), "utf8").trim().split("\n")).toHaveLength(1 + 3);
      calls();
    });

    it.each([
      ["cut short", (text: string) => text.slice(0, text.length / 2)],
      ["of another version", (text: string) => text.replace("algorithms 1", "algorithms 0")],
      ["not text", () => "\0\xff".repeat(500)],
      ["empty", () => ""],
      ["with a word for a number", (text: string) => text.replace(/ 152 /, " many ")],
    ])("a file %s is ignored, and written anew", (_, spoil) => {
      const good = readFileSync(file(), "utf8");
      writeFileSync(file(), spoil(good));
      expect(child(settings, "136x152x72").failure).toBe(null);
      expect(short(calls())).toEqual(FIRST_TIME);
      expect(readFileSync(file(), "utf8").trim().split("\n")).toHaveLength(1 + 1);
      writeFileSync(file(), good);
    });

    it("an algorithm that the library does not know is chosen anew", () => {
      const good = readFileSync(file(), "utf8");
      writeFileSync(file(), good.replaceAll("73746e64696e", "73746e64696f"));
      expect(child(settings, "136x152x72").failure).toBe(null);
      expect(short(calls())).toEqual(["check 3", ...FIRST_TIME]);
    });

    it("what cannot be written is said, once", () => {
      const blocked = join(root, "a-file");
      writeFileSync(blocked, "");
      for (const [XDG_CACHE_HOME, text] of [
        [blocked, blocked],
        ["", "XDG_CACHE_HOME or HOME, which are not set"],
      ] as const) {
        const { failure, stderr } = child({ ...settings, XDG_CACHE_HOME }, "136x152x72", "136x160x72");
        expect(failure).toBe(null);
        expect(stderr.match(/algorithms cannot be kept/g)).toHaveLength(1);
        expect(stderr).toContain(text);
        calls();
      }
    });
  });

  describe("the library", () => {
    it("is taken from a file, from a folder, or left alone", () => {
      const path = join(standIn, NAME);
      expect(child({ MSM_CUBLASLT: path })).toMatchObject({
        cublaslt: "13.1.2",
        cublasltPath: path,
        cublasltProblem: null,
      });
      expect(child({ MSM_CUBLASLT: standIn })).toMatchObject({ cublasltPath: path });
      const off = child({ MSM_CUBLASLT: "0" }, "136x152x72");
      expect(off).toMatchObject({ cublaslt: null, cublasltPath: null, cublasltProblem: null, failure: null });
      expect(calls()).toEqual([]);
    });

    it("is refused by name where it is wrong", () => {
      const empty = join(root, "empty");
      mkdirSync(empty);
      const other = join(root, "libother.so");
      const source = join(root, "other.cpp");
      writeFileSync(source, "");
      compile(other, source);
      const missing = join(root, "missing.so");
      expect(child({ MSM_CUBLASLT: missing }).error).toMatch(/^MSM_CUBLASLT is .*missing\.so, but .*No such file/);
      expect(child({ MSM_CUBLASLT: empty }).error).toContain(
        "that folder has no libcublasLt.so.13 or libcublasLt.so.12",
      );
      expect(child({ MSM_CUBLASLT: other }).error).toContain("libother.so has no cublasLtGetVersion");
      expect(child({ MSM_CUBLASLT: standIn, STAND_IN_BROKEN: "1" }).error).toContain(
        "cublasLtCreate returned 1 (the driver is too old for it)",
      );
    });

    // Where the machine has a cuBLASLt, the search would end there.
    const isInstalled = once(() => child({}).error === undefined);
    const why = "this machine has a cuBLASLt";

    it.for([
      ["CUDA_HOME", "lib64"],
      ["CUDA_PATH", "lib"],
      ["VIRTUAL_ENV", "lib/python3.12/site-packages/nvidia/cu13/lib"],
      ["CONDA_PREFIX", "lib/python3.11/site-packages/nvidia/cublas/lib"],
      ["HOME", ".local/lib/python3.13/site-packages/nvidia/cu13/lib"],
    ] as const)("is found by %s in %s", ([variable, path], { skip }) => {
      skip(isInstalled(), why);
      const folder = install(`by-${variable}`, path);
      expect(child({ [variable]: folder }).cublasltPath).toBe(join(folder, path, NAME));
    });

    it("is found beside the python3 of PATH, and by the loader before all others", ({ skip }) => {
      skip(isInstalled(), why);
      const path = "lib/python3.12/site-packages/nvidia/cu13/lib";
      const python = install("python", path);
      mkdirSync(join(python, "bin"));
      writeFileSync(join(python, "bin", "python3"), "");
      chmodSync(join(python, "bin", "python3"), 0o755);
      const PATH = `${join(root, "nowhere")}:${join(python, "bin")}:${process.env["PATH"]}`;
      expect(resolve(child({ PATH }).cublasltPath!)).toBe(join(python, path, NAME));
      const loader = install("loader", "");
      expect(child({ PATH, LD_LIBRARY_PATH: loader }).cublasltPath).toBe(join(loader, NAME));
    });

    it("where there is none, the error says what was tried and what helps", ({ skip }) => {
      skip(isInstalled(), why);
      const empty = join(root, "toolkit");
      mkdirSync(join(empty, "lib64"), { recursive: true });
      const { error } = child({ CUDA_HOME: empty });
      expect(error).toMatch(
        /no cuBLASLt.*slower built-in kernels.*Install the CUDA toolkit.*pip install nvidia-cublas.*MSM_CUBLASLT/,
      );
      expect(error).toContain("libcublasLt.so.13: cannot open shared object file");
      expect(error).toContain(`${join(empty, "lib64")} has none`);
    });
  });
});
