/** @file Wrong shapes and dtypes are refused with the op's name, before a backend could run on them. */
import type { LibraryHandle } from "koffi";
import { describe, expect, it } from "vitest";
import { checked } from "../../src/backend/checked.js";
import { bindOps } from "../../src/backend/native/ops.js";
import { openBackend } from "../../src/backend/open.js";
import type { Ops } from "../../src/backend/ops.js";
import { columns, DTYPE_BYTES, type Dtype, type Tensor } from "../../src/backend/tensor.js";

/** Functions that only note that they were called: a wrong call that gets through cannot crash the test. */
type Note = (name: string) => () => number;

/** A backend that knows nothing of its arguments, and the native binding over a library that does not either. */
const BACKENDS: Record<string, (note: Note) => Ops> = {
  "any backend": (note) => new Proxy({}, { get: (_, name) => note(String(name)) }) as Ops,
  "the native binding": (note) => bindOps({ func: note } as unknown as LibraryHandle, null),
};

/** Checked ops of a backend, and what has reached it. */
function recordingOps(backend: string): { ops: Ops; calls: string[] } {
  const calls: string[] = [];
  const note: Note = (name) => () => {
    calls.push(name);
    return 1024;
  };
  return { ops: checked(BACKENDS[backend]!(note)), calls };
}

/** Calls that would have computed: a question for the size of a workspace does not. */
const computing = (calls: string[]): string[] => calls.filter((called) => !/workspace/i.test(called));

function tensor(dtype: Dtype, rows: number, cols: number, stride = cols): Tensor {
  const bytes = Math.max(rows * stride, 1) * DTYPE_BYTES[dtype];
  return { buffer: { bytes, address: 4096 } as Tensor["buffer"], dtype, offset: 0, rows, cols, stride };
}

const f32 = (rows: number, cols: number, stride = cols) => tensor("f32", rows, cols, stride);
const bf16 = (rows: number, cols: number) => tensor("bf16", rows, cols);
const i32 = (rows: number, cols: number, stride = cols) => tensor("i32", rows, cols, stride);

const N = 5;
const D = 12;
const H = 4;
const K = 2;
const E = 8;
const V = 30;

/** For every op its arguments, right as they are. */
const valid = {
  convert: { dst: f32(N, D), src: tensor("f16", N, D) },
  scatter: { dst: f32(9, D), src: f32(N, D), index: i32(1, N) },
  gather: { out: f32(N, D), table: f32(9, D), index: i32(1, N) },
  rmsnormForward: { out: f32(N, D), rstd: f32(N, 1), x: f32(N, D), weight: f32(1, D), eps: 1e-6 },
  rmsnormBackward: { dx: f32(N, D), dout: f32(N, D), h: f32(N, D), weight: f32(1, D), rstd: f32(N, 1) },
  rope: { x: f32(N, 2 * E), cos: f32(40, E / 2), sin: f32(40, E / 2), positions: i32(1, N) },
  attentionForward: {
    out: f32(N, H * E),
    lse: f32(H, N),
    q: f32(N, H * E),
    k: f32(N, K * E),
    v: f32(N, K * E),
    starts: i32(1, N),
    headDim: E,
    scale: 1,
  },
  attentionBackward: {
    dq: f32(N, H * E),
    dk: f32(N, K * E),
    dv: f32(N, K * E),
    dout: f32(N, H * E),
    out: f32(N, H * E),
    lse: f32(H, N),
    q: f32(N, H * E),
    k: f32(N, K * E),
    v: f32(N, K * E),
    starts: i32(1, N),
    headDim: E,
    scale: 1,
    workspace: f32(1, 4096),
  },
  attentionCached: {
    out: f32(N, H * E),
    q: f32(N, H * E),
    kCache: f32(50, K * E),
    vCache: f32(50, K * E),
    ranges: i32(N, 4),
    headDim: E,
    scale: 1,
  },
  swigluForward: { out: f32(N, D), gateUp: f32(N, 2 * D) },
  swigluBackward: { dgateUp: f32(N, 2 * D), dout: f32(N, D), gateUp: f32(N, 2 * D) },
  matmul: { out: f32(N, V), a: f32(N, D), b: f32(V, D), transB: true },
  linearCrossEntropy: {
    losses: f32(1, N),
    dx: f32(N, D),
    x: f32(N, D),
    w: f32(V, D),
    targets: i32(1, N),
    dscale: f32(1, 1),
    workspace: f32(1, 4096),
  },
  gradnorm: { out: f32(1, 1), grads: f32(1, 77) },
  adamw: {
    params: f32(1, 9),
    grads: f32(1, 9),
    m: f32(1, 9),
    v: f32(1, 9),
    gradnorm: f32(1, 1),
    hyper: f32(1, 8),
  },
  sample: {
    ids: i32(1, N),
    logprobs: f32(1, N),
    logits: f32(N, V),
    temperature: f32(1, N),
    topP: f32(1, N),
    uniforms: f32(1, N),
  },
} satisfies { [Name in Exclude<keyof Ops, "clear" | `${string}WorkspaceBytes`>]: Parameters<Ops[Name]>[0] };

type Name = keyof typeof valid;
type Changes = Record<string, unknown>;

/** Changes of one argument that make the call wrong. */
const wrong: { [Op in Name]: Changes[] } = {
  convert: [
    { dst: f32(N, D + 1) },
    { dst: f32(N - 1, D) },
    { dst: tensor("f16", N, D) },
    { dst: i32(N, D) },
    { src: i32(N, D) },
  ],
  scatter: [{ index: i32(1, N + 1) }, { index: f32(1, N) }, { dst: f32(9, D - 1) }, { dst: bf16(9, D) }],
  gather: [{ index: i32(1, N - 1) }, { index: f32(1, N) }, { table: f32(9, D + 1) }, { table: bf16(9, D) }],
  rmsnormForward: [
    { out: f32(N, D - 1) },
    { out: bf16(N, D) },
    { rstd: f32(N - 1, 1) },
    { rstd: f32(N, 2) },
    { rstd: bf16(N, 1) },
    { weight: f32(1, D - 1) },
    { weight: f32(2, D) },
    { weight: bf16(1, D) },
    { x: f32(N + 1, D) },
    { residual: { h: f32(N, D - 1), delta: f32(N, D) } },
    { residual: { h: f32(N, D), delta: bf16(N, D) } },
    { rstd: f32(N, 1, 3) },
  ],
  rmsnormBackward: [
    { dx: f32(N, D - 1) },
    { dout: f32(N - 1, D) },
    { dout: bf16(N, D) },
    { h: f32(N, D + 1) },
    { weight: f32(1, 5) },
    { rstd: f32(N, 2) },
    { rstd: f32(N + 1, 1) },
    { dresidual: f32(N, D - 1) },
    { dresidual: bf16(N, D) },
    { rstd: f32(N, 1, 3) },
  ],
  rope: [
    { x: f32(N, E + 1) },
    { positions: i32(1, N + 1) },
    { positions: f32(1, N) },
    { cos: f32(39, E / 2) },
    { sin: f32(40, E / 2 + 1) },
    { cos: bf16(40, E / 2) },
    { x: i32(N, 2 * E) },
    { cos: f32(40, E / 2, E) },
    { sin: f32(40, E / 2, E) },
  ],
  attentionForward: [
    { out: f32(N, H * E - 1) },
    { out: bf16(N, H * E) },
    { lse: f32(N, H) },
    { lse: bf16(H, N) },
    { k: f32(N, E + 1) },
    { k: f32(N, 3 * E), v: f32(N, 3 * E) },
    { v: f32(N - 1, K * E) },
    { v: bf16(N, K * E) },
    { starts: i32(1, N + 1) },
    { starts: f32(1, N) },
    { headDim: 7 },
    { lse: f32(H, N, N + 2) },
  ],
  attentionBackward: [
    { dq: f32(N, H * E - 1) },
    { dk: f32(N, H * E) },
    { dv: bf16(N, K * E) },
    { dout: f32(N - 1, H * E) },
    { out: bf16(N, H * E) },
    { lse: f32(N, H) },
    { starts: f32(1, N) },
    { headDim: 5 },
    { lse: f32(H, N, N + 2) },
    // Less than the library asks for (1024 bytes).
    { workspace: f32(1, 255) },
  ],
  attentionCached: [
    { out: f32(N, H * E + 1) },
    { out: bf16(N, H * E) },
    { kCache: f32(49, K * E) },
    { vCache: f32(50, E) },
    { headDim: 3 },
    { kCache: f32(50, 3 * E), vCache: f32(50, 3 * E) },
    { ranges: i32(N, 2) },
    { ranges: i32(N + 1, 4) },
    { ranges: f32(N, 4) },
    { kCache: bf16(50, K * E) },
    { ranges: i32(N, 4, 6) },
  ],
  swigluForward: [
    { gateUp: f32(N, 2 * D - 1) },
    { gateUp: f32(N + 1, 2 * D) },
    { gateUp: bf16(N, 2 * D) },
    { out: f32(N, 2 * D) },
  ],
  swigluBackward: [{ gateUp: f32(N, D) }, { dgateUp: f32(N, D) }, { dgateUp: bf16(N, 2 * D) }, { dout: f32(N - 1, D) }],
  matmul: [
    { out: f32(N, V + 1) },
    { out: f32(N + 1, V) },
    { b: f32(V, D + 1) },
    { transB: false },
    { b: bf16(V, D) },
    { out: bf16(N, V) },
    { bias: f32(1, V - 1) },
    { bias: bf16(1, V) },
    { transA: true },
    { a: i32(N, D), b: i32(V, D), out: i32(N, V) },
  ],
  linearCrossEntropy: [
    { losses: f32(N, 1) },
    { losses: bf16(1, N) },
    { w: f32(V, D + 1) },
    { w: bf16(V, D) },
    { targets: i32(1, N - 1) },
    { targets: f32(1, N) },
    { dx: f32(N, D + 1) },
    { dx: bf16(N, D) },
    { argmax: f32(1, N) },
    { dscale: undefined },
    { dscale: bf16(1, 1) },
    { workspace: f32(1, 255) },
  ],
  gradnorm: [{ out: f32(1, 2) }, { out: bf16(1, 1) }, { grads: f32(2, 5) }, { grads: bf16(1, 5) }],
  adamw: [
    { grads: f32(1, 8) },
    { m: f32(1, 10) },
    { v: bf16(1, 9) },
    { gradnorm: f32(1, 2) },
    { hyper: f32(1, 7) },
    { params: f32(2, 9) },
  ],
  sample: [
    { ids: f32(1, N) },
    { ids: i32(1, N + 1) },
    { logprobs: f32(1, N - 1) },
    { temperature: f32(N, 1) },
    { topP: bf16(1, N) },
    { uniforms: f32(1, 1) },
    { logits: bf16(N, V) },
  ],
};

const words = (name: string) =>
  name.replace(/(Forward|Backward|Cached)$/, "").replace(/[A-Z]/g, (c) => `.?${c.toLowerCase()}`);

const each = Object.keys(BACKENDS).flatMap((backend) =>
  (Object.keys(valid) as Name[]).map((name) => [backend, name] as const),
);

describe.each(each)("%s, %s", (backend, name) => {
  const call = (ops: Ops, changes: Changes) => (ops[name] as (args: unknown) => void)({ ...valid[name], ...changes });

  it("accepts what is right", () => {
    const { ops, calls } = recordingOps(backend);
    call(ops, {});
    expect(computing(calls)).toHaveLength(1);
  });

  const described = wrong[name].map((changes) => {
    const text = (value: unknown): string => {
      const { dtype, rows, cols, stride } = (value ?? {}) as Partial<Tensor>;
      if (dtype) return `${dtype}[${rows}, ${cols}]${stride === cols ? "" : ` stride ${stride}`}`;
      return value !== null && typeof value === "object"
        ? Object.entries(value)
            .map(([key, one]) => `${key} ${text(one)}`)
            .join(", ")
        : `${value}`;
    };
    return [
      Object.entries(changes)
        .map(([key, value]) => `${key} ${text(value)}`)
        .join(", "),
      changes,
    ] as const;
  });
  it.each(described)("refuses %s", (_, changes) => {
    const { ops, calls } = recordingOps(backend);
    // rmsnorm, "attention backward", "linear cross-entropy": the op's words begin the message.
    expect(() => call(ops, changes)).toThrow(new RegExp(`^${words(name)}`));
    expect(computing(calls)).toEqual([]);
  });

  const tensors = Object.entries(valid[name] as Changes).filter(([, value]) => typeof value === "object");
  it.each(tensors)("refuses %s where it leaves its buffer", (argument, value) => {
    const { ops, calls } = recordingOps(backend);
    for (const offset of [1, -1])
      expect(() => call(ops, { [argument]: { ...(value as Tensor), offset } })).toThrow(/leaves its buffer/);
    expect(calls).toEqual([]);
  });
});

it("refuses a residual that leaves its buffer", () => {
  const { ops, calls } = recordingOps("any backend");
  const residual = { h: f32(N, D), delta: { ...f32(N, D), offset: 1 } };
  expect(() => ops.rmsnormForward({ ...valid.rmsnormForward, residual })).toThrow(/leaves its buffer/);
  expect(calls).toEqual([]);
});

it("clear refuses gaps, and a tensor that leaves its buffer", () => {
  const { ops, calls } = recordingOps("any backend");
  expect(() => ops.clear(columns(f32(3, 8), 0, 5))).toThrow(/^clear/);
  expect(() => ops.clear({ ...f32(3, 8), rows: 4 })).toThrow(/leaves its buffer/);
  expect(calls).toEqual([]);
});

it("whoever opens a backend gets its ops behind the checks", async () => {
  const { ops, close } = await openBackend("cpu");
  expect(() => ops.gradnorm({ out: f32(1, 2), grads: f32(1, 5) })).toThrow(/^gradnorm/);
  close();
});

// f16 is only ever converted from, i32 never computed with.
it.each(["f16", "i32"] as const)("%s is no dtype to compute in", (dtype) => {
  const { ops, calls } = recordingOps("any backend");
  const t = (rows: number, cols: number) => tensor(dtype, rows, cols);
  expect(() => ops.swigluForward({ out: t(N, D), gateUp: t(N, 2 * D) })).toThrow(/^swiglu/);
  expect(() => ops.gather({ out: t(N, D), table: t(9, D), index: i32(1, N) })).toThrow(/^gather/);
  expect(() => ops.scatter({ dst: t(9, D), src: t(N, D), index: i32(1, N) })).toThrow(/^scatter/);
  const norm = { out: t(N, D), rstd: f32(N, 1), x: t(N, D), weight: t(1, D), eps: 0 };
  expect(() => ops.rmsnormForward(norm)).toThrow(/^rmsnorm/);
  expect(() => ops.matmul({ out: t(N, V), a: t(N, D), b: t(V, D), transB: true })).toThrow(/^matmul/);
  expect(calls).toEqual([]);
});
