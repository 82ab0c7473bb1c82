/**
 * @file A row of a result depends on its own inputs alone: not on the other rows, not on how many there are, not on
 * where it lies. Packed training rests on this: changing one record leaves the losses of the others bit-identical.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/backend/backend.js";
import { type ComputeDtype, columns, type Tensor } from "../../src/backend/tensor.js";
import { hopperBuild, openBuild, ownBuilds } from "./builds.js";
import { segmentStarts } from "./cases/attention.js";
import { ropeTables } from "./cases/rope.js";
import { COMPUTE_DTYPES, type Memory, normals, openMemory, readValues } from "./harness.js";

let backend: Backend;

/** Runs `body` with device memory of its own and returns its outputs' values. */
async function outputsOf(
  body: (memory: Memory) => Record<string, Tensor>,
): Promise<Record<string, Float32Array | Int32Array>> {
  const memory = openMemory(backend);
  const outputs: Record<string, Float32Array | Int32Array> = {};
  for (const [name, tensor] of Object.entries(body(memory))) outputs[name] = await readValues(backend, tensor);
  memory.close();
  return outputs;
}

/** Rows `ids` of a matrix of `cols` columns. */
function pick(values: ArrayLike<number>, cols: number, ids: number[]): Float64Array {
  return Float64Array.from(
    { length: ids.length * cols },
    (_, i) => values[ids[Math.floor(i / cols)]! * cols + (i % cols)]!,
  );
}

function range(begin: number, end: number): number[] {
  return Array.from({ length: end - begin }, (_, i) => begin + i);
}

/** Bits, so that a NaN equals itself and 0 differs from -0. */
function expectSameBits(label: string, got: ArrayLike<number>, want: ArrayLike<number>): void {
  expect(got.length, label).toBe(want.length);
  const different = range(0, got.length).filter((i) => !Object.is(got[i], want[i]));
  const [first] = different;
  if (first === undefined) return;
  throw new Error(
    `${label}: ${different.length} of ${got.length} elements differ, first [${first}]: ${got[first]} and ` +
      `${want[first]}`,
  );
}

// ------------------------------------------------------------------------------------------------------ row by row

interface RowOp {
  name: string;
  /** Columns of a row's inputs (in one matrix) and of its output. */
  inputCols: number;
  outputCols: number;
  run(memory: Memory, input: Tensor, output: Tensor, ids: number[]): void;
}

const D = 96;
const E = 24;
const DEEP = 577;
const WIDE = 130;

function rowOps(dtype: ComputeDtype): RowOp[] {
  const weight = normals("weight", D, dtype);
  const tables = ropeTables(400, E);
  const right = (name: string, rows: number, cols: number) => normals(name, rows * cols, dtype);
  const product = (layout: "nn" | "nt", K: number, N: number): RowOp => ({
    name: `matmul ${layout} K=${K} N=${N}`,
    inputCols: K,
    outputCols: N,
    run({ place, backend: { ops } }, a, out) {
      const b = layout === "nn" ? place("b", dtype, K, N, right("b", K, N)) : place("b", dtype, N, K, right("b", N, K));
      ops.matmul({ out, a, b, transB: layout === "nt" });
    },
  });
  return [
    {
      name: "rmsnorm forward",
      inputCols: 2 * D,
      outputCols: D,
      run({ place, backend: { ops } }, input, out) {
        const rstd = place("rstd", "f32", input.rows, 1);
        const h = place("h", dtype, input.rows, D);
        const residual = { h, delta: columns(input, D, D) };
        ops.rmsnormForward({
          out,
          rstd,
          x: columns(input, 0, D),
          residual,
          weight: place("w", dtype, 1, D, weight),
          eps: 1e-6,
        });
      },
    },
    {
      name: "rmsnorm backward",
      inputCols: 2 * D,
      outputCols: D,
      run({ place, backend: { ops } }, input, dx, ids) {
        const rstd = place(
          "rstd",
          "f32",
          input.rows,
          1,
          ids.map((id) => 0.5 + id / 100),
        );
        const dout = columns(input, 0, D);
        const h = columns(input, D, D);
        ops.rmsnormBackward({ dx, dout, h, weight: place("w", dtype, 1, D, weight), rstd, dresidual: dout });
      },
    },
    {
      name: "swiglu forward",
      inputCols: 2 * D,
      outputCols: D,
      run: ({ backend: { ops } }, gateUp, out) => ops.swigluForward({ out, gateUp }),
    },
    {
      name: "swiglu backward",
      inputCols: 3 * D,
      outputCols: 2 * D,
      run: ({ backend: { ops } }, input, dgateUp) =>
        ops.swigluBackward({ dgateUp, dout: columns(input, 2 * D, D), gateUp: columns(input, 0, 2 * D) }),
    },
    {
      name: "rope",
      inputCols: 4 * E,
      outputCols: 4 * E,
      run({ place, backend: { ops } }, input, x, ids) {
        ops.convert({ dst: x, src: input });
        const cos = place("cos", "f32", 400, E / 2, tables.cos);
        const sin = place("sin", "f32", 400, E / 2, tables.sin);
        ops.rope({ x, cos, sin, positions: place("positions", "i32", 1, ids.length, ids) });
      },
    },
    product("nt", DEEP, WIDE),
    product("nn", DEEP, WIDE),
    product("nt", 16, WIDE),
    product("nt", 64, 1100),
    product("nt", 520, 1536),
    // Every row's own target, or none.
    {
      name: "linear_cross_entropy",
      inputCols: D,
      outputCols: D + 1,
      run({ place, workspace, backend: { ops } }, x, output, ids) {
        const N = x.rows;
        const V = 1003;
        const losses = place("losses", "f32", 1, N);
        const targets = place(
          "targets",
          "i32",
          1,
          N,
          ids.map((id) => (id % 4 === 2 ? -1 : (id * 37) % V)),
        );
        ops.linearCrossEntropy({
          losses,
          dx: columns(output, 0, D),
          x,
          w: place("w", dtype, V, D, normals("head", V * D, dtype, 0.2)),
          targets,
          dscale: place("dscale", "f32", 1, 1, [0.03125]),
          workspace: workspace(ops.linearCrossEntropyWorkspaceBytes({ dtype, N, D, V })),
        });
        // bf16 keeps 8 bits of the loss here; the test of changed targets below compares all of them.
        ops.convert({ dst: columns(output, D, 1), src: { ...losses, rows: N, cols: 1, stride: 1 } });
      },
    },
  ];
}

const ROWS = 150;
// One row, a few, every size at which kernels change their way, in another order and at another place.
const SUBSETS = [
  [0],
  [149],
  [77, 3],
  range(5, 20),
  range(20, 44),
  range(60, 124),
  range(85, 150),
  range(0, 150).reverse(),
  range(0, 113),
];

async function expectRowsIndependent({ name, inputCols, outputCols, run }: RowOp, dtype: ComputeDtype): Promise<void> {
  const inputs = normals(`rows of ${name}`, ROWS * inputCols, dtype);
  const outputs = async (ids: number[]) => {
    const { out } = await outputsOf((memory) => {
      const input = memory.place("input", dtype, ids.length, inputCols, pick(inputs, inputCols, ids));
      const output = memory.place("output", dtype, ids.length, outputCols);
      run(memory, input, output, ids);
      return { out: output };
    });
    return out!;
  };
  const all = await outputs(range(0, ROWS));
  for (const ids of SUBSETS)
    expectSameBits(
      `${name} ${dtype}, ${ids.length} rows from ${ids[0]}`,
      await outputs(ids),
      pick(all, outputCols, ids),
    );
}

// ------------------------------------------------------------------------------------------------------- segments

interface AttentionShape {
  H: number;
  K: number;
  E: number;
}

const recordCache = new Map<string, Float64Array>();

/** As `normals`; the same records are packed many times. */
function recordValues(...[seed, count, dtype, scale]: [string, number, ComputeDtype, number]): Float64Array {
  const key = `${seed} ${count} ${dtype} ${scale}`;
  const values = recordCache.get(key) ?? normals(seed, count, dtype, scale);
  recordCache.set(key, values);
  return values;
}

/** Forward and backward of records one after the other; the values of each record by output. */
async function attend(
  dtype: ComputeDtype,
  shape: AttentionShape,
  records: { seed: string; length: number; scale?: number }[],
) {
  const { H, K, E: headDim } = shape;
  const lengths = records.map(({ length }) => length);
  const N = lengths.reduce((a, b) => a + b, 0);
  const joined = (name: string, heads: number) => {
    const values = new Float64Array(N * heads * headDim);
    let at = 0;
    for (const { seed, length, scale = 1 } of records) {
      values.set(recordValues(`${name} ${seed}`, length * heads * headDim, dtype, scale), at);
      at += length * heads * headDim;
    }
    return values;
  };
  const found = await outputsOf(({ place, workspace, backend: { ops } }) => {
    const matrix = (name: string, heads: number, given: boolean) =>
      place(name, dtype, N, heads * headDim, given ? joined(name, heads) : undefined);
    const inputs = { q: matrix("q", H, true), k: matrix("k", K, true), v: matrix("v", K, true) };
    const starts = place("starts", "i32", 1, N, segmentStarts(lengths));
    const out = matrix("out", H, false);
    const lse = place("lse", "f32", H, N);
    const settings = { ...inputs, starts, headDim, scale: 0.3 };
    ops.attentionForward({ out, lse, ...settings });
    const gradients = { dq: matrix("dq", H, false), dk: matrix("dk", K, false), dv: matrix("dv", K, false) };
    const dout = matrix("dout", H, true);
    const bytes = ops.attentionBackwardWorkspaceBytes({ dtype, N, H, K, E: headDim });
    ops.attentionBackward({ ...gradients, dout, out, lse, ...settings, workspace: workspace(bytes) });
    return { out, lse, ...gradients };
  });
  let begin = 0;
  return lengths.map((length) => {
    const ids = range(begin, begin + length);
    begin += length;
    const rows = (name: string, heads: number) => pick(found[name]!, heads * headDim, ids);
    return {
      out: rows("out", H),
      dq: rows("dq", H),
      dk: rows("dk", K),
      dv: rows("dv", K),
      lse: range(0, H).flatMap((h) => ids.map((n) => found["lse"]![h * N + n]!)),
    };
  });
}

async function expectRecordsIndependent(dtype: ComputeDtype, shape: AttentionShape): Promise<void> {
  // The long one passes more than one block of keys; wide heads need not do that again.
  const records = [40, 77, 1, shape.E < 64 ? 560 : 200, 130].map((length, i) => ({ seed: `record ${i}`, length }));
  const together = await attend(dtype, shape, records);
  const compare = (label: string, got: Awaited<ReturnType<typeof attend>>[number], index: number) => {
    for (const [name, values] of Object.entries(together[index]!))
      expectSameBits(`${label}: ${name}`, got[name as keyof typeof got], values);
  };
  for (const [i, record] of records.entries())
    compare(`record ${i} alone`, (await attend(dtype, shape, [record]))[0]!, i);
  const backwards = await attend(dtype, shape, [...records].reverse());
  for (const i of records.keys()) compare(`record ${i} in another order`, backwards[records.length - 1 - i]!, i);
  // One record is another one, of another length, and far larger.
  const changed = records.map((record, i) => (i === 1 ? { seed: "changed", length: 90, scale: 30 } : record));
  const after = await attend(dtype, shape, changed);
  for (const i of [0, 2, 3, 4]) compare(`record ${i} after a change of record 1`, after[i]!, i);
  // A record that went wrong stays alone with its NaN.
  const spoilt = records.map((record, i) => (i === 1 ? { ...record, scale: Number.NaN } : record));
  const beside = await attend(dtype, shape, spoilt);
  for (const i of [0, 2, 3, 4]) compare(`record ${i} beside NaN`, beside[i]!, i);
}

describe.each(ownBuilds().map((build) => [build.name, build] as const))("%s", (_, build) => {
  beforeAll(async () => {
    backend = await openBuild(build);
  });
  afterAll(() => backend.close());

  describe.each(COMPUTE_DTYPES)("%s", (dtype) => {
    it.each(rowOps(dtype).map((op) => [op.name, op] as const))("%s: a row depends on no other", (_, op) =>
      expectRowsIndependent(op, dtype),
    );

    it("matmul tn: a row of a weight's gradient depends on no other column of a", async () => {
      const K = 150;
      const M = 90;
      const N = 33;
      const a = normals("a", K * M, dtype);
      const b = normals("b", K * N, dtype);
      const product = async (first: number, count: number) => {
        const { out } = await outputsOf(({ place, backend: { ops } }) => {
          const output = place("out", "f32", count, N);
          const left = columns(place("a", dtype, K, M, a), first, count);
          ops.matmul({ out: output, a: left, b: place("b", dtype, K, N, b), transA: true });
          return { out: output };
        });
        return out!;
      };
      const all = await product(0, M);
      // Fewer rows than columns and more: kernels may swap the operands.
      for (const [first, count] of [
        [0, 1],
        [40, 20],
        [3, 70],
      ] as const)
        expectSameBits(
          `rows ${first}+${count}`,
          await product(first, count),
          pick(all, N, range(first, first + count)),
        );
    });

    it.each([
      { H: 3, K: 1, E: 24 },
      { H: 4, K: 2, E: 64 },
    ])("attention %o: a record depends on no other", (shape) => expectRecordsIndependent(dtype, shape));

    // A decoded token sees what a prefilled one would have seen; past 1,024 keys the contract lets a kernel share a
    // row's keys out.
    it.each([150, 900])("attention_cached after a prefix of %i: a query row depends on no other", async (prefix) => {
      const H = 4;
      const K = 2;
      const headDim = 24;
      const prefill = 70;
      const cacheRows = prefix + 250;
      const q = normals("cached q", (prefill + 2) * H * headDim, dtype);
      const own = prefix + 50;
      const ranges = [
        ...range(0, prefill).map((i) => [0, prefix, own, own + 31 + i]),
        [0, prefix, own + 110, own + 113],
        [0, 0, own + 120, own + 199],
      ];
      const [kCache, vCache] = ["k", "v"].map((name) => normals(name, cacheRows * K * headDim, dtype));
      const attendCached = async (ids: number[]) => {
        const { out } = await outputsOf(({ place, backend: { ops } }) => {
          const output = place("out", dtype, ids.length, H * headDim);
          const keys = ids.flatMap((id) => ranges[id]!);
          ops.attentionCached({
            out: output,
            q: place("q", dtype, ids.length, H * headDim, pick(q, H * headDim, ids)),
            kCache: place("k", dtype, cacheRows, K * headDim, kCache),
            vCache: place("v", dtype, cacheRows, K * headDim, vCache),
            ranges: place("ranges", "i32", ids.length, 4, keys),
            headDim,
            scale: 0.2,
          });
          return { out: output };
        });
        return out!;
      };
      const all = await attendCached(range(0, prefill + 2));
      for (const ids of [[prefill], [prefill + 1], [0], [69], range(13, 47), [69, prefill, prefill + 1], range(3, 72)])
        expectSameBits(`rows ${ids[0]}+${ids.length}`, await attendCached(ids), pick(all, H * headDim, ids));
    });

    it("linear_cross_entropy: which other rows are targets changes no loss, and NaN stays in its row", async () => {
      const N = 137;
      const V = 2050;
      const x = normals("x", N * D, dtype);
      const w = normals("w", V * D, dtype, 0.2);
      const all = Int32Array.from({ length: N }, (_, n) => (n * 61) % V);
      const losses = async (targets: Int32Array, inputs = x) =>
        outputsOf(({ place, workspace, backend: { ops } }) => {
          const outputs = {
            losses: place("losses", "f32", 1, N),
            argmax: place("argmax", "i32", 1, N),
            dx: place("dx", dtype, N, D),
          };
          ops.linearCrossEntropy({
            ...outputs,
            x: place("x", dtype, N, D, inputs),
            w: place("w", dtype, V, D, w),
            targets: place("targets", "i32", 1, N, targets),
            dscale: place("dscale", "f32", 1, 1, [0.1]),
            workspace: workspace(ops.linearCrossEntropyWorkspaceBytes({ dtype, N, D, V })),
          });
          return outputs;
        });
      const compare = (label: string, got: Awaited<ReturnType<typeof losses>>, ids: number[]) => {
        for (const [name, cols] of [
          ["losses", 1],
          ["argmax", 1],
          ["dx", D],
        ] as const)
          expectSameBits(`${label}: ${name}`, pick(got[name]!, cols, ids), pick(full[name]!, cols, ids));
      };
      const full = await losses(all);
      for (const keeps of [
        (n: number) => n % 2 === 0,
        (n: number) => n === 136,
        (n: number) => n > 70,
        (n: number) => n % 7 > 1,
      ]) {
        const kept = range(0, N).filter(keeps);
        compare(`${kept.length} of ${N} targets`, await losses(all.map((id, n) => (keeps(n) ? id : -100))), kept);
      }
      const spoilt = x.slice();
      spoilt[70 * D + 5] = Number.NaN;
      spoilt[3 * D] = Number.POSITIVE_INFINITY;
      const beside = await losses(all, spoilt);
      expect(beside["losses"]![70]).toBeNaN();
      expect(Number.isFinite(beside["losses"]![3])).toBe(false);
      compare(
        "beside NaN",
        beside,
        range(0, N).filter((n) => n !== 70 && n !== 3),
      );
    });
  });
});

// Where the emulated GPU is tested, its kernels for Hopper too.
describe.each(ownBuilds().some(({ backend }) => backend === "cuda-emulated") ? [hopperBuild("forward")] : [])(
  "$name",
  (hopper) => {
    beforeAll(async () => {
      backend = await openBuild(hopper);
    });
    afterAll(() => backend.close());

    it.each([
      { H: 4, K: 2, E: 64 },
      { H: 3, K: 1, E: 128 },
    ])("attention %o: a record depends on no other", (shape) => expectRecordsIndependent("bf16", shape));
  },
);
