/**
 * @file TensorFlow.js as a second oracle, written by others and differentiated by them: values and gradients of every
 * layer in f32. Formulas here are those of the papers in tensor algebra, not those of test/ops/cases.
 */
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
// The package proper registers no gradients: only the union package, which depends on everything, does.
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import { afterAll, beforeAll, describe, it } from "vitest";
import type { Backend } from "../../src/backend/backend.js";
import type { Tensor } from "../../src/backend/tensor.js";
import { openBuild, ownBuilds } from "./builds.js";
import { difference, type Memory, normals, openMemory, readValues } from "./harness.js";

// Both sides are f32: each may be off by some 1e-6 of a tensor's RMS, more where the oracle's softmax and sums lose
// digits.
const RELATIVE = 2e-5;

let backend: Backend;

/** Runs `enqueue` and compares its outputs with the oracle's tensors of the same name. */
async function expectEqual(
  wanted: Record<string, tf.Tensor>,
  enqueue: (memory: Memory) => Record<string, Tensor>,
): Promise<void> {
  const memory = openMemory(backend);
  for (const [name, tensor] of Object.entries(enqueue(memory))) {
    const got = await readValues(backend, tensor);
    const problem = difference(name, "f32", tensor.cols, got, {
      values: await wanted[name]!.data(),
      relative: RELATIVE,
    });
    if (problem) throw new Error(problem);
  }
  memory.close();
}

const random = (name: string, count: number, scale = 1) => normals(`tfjs ${name}`, count, "f32", scale);
const matrix = (values: ArrayLike<number>, ...shape: number[]) =>
  tf.tensor(Float32Array.from(values), shape, "float32");

/** Gradients of `f` by the oracle, one for each input. */
function gradients(f: (...inputs: tf.Tensor[]) => tf.Tensor, inputs: tf.Tensor[], dout: tf.Tensor): tf.Tensor[] {
  return tf.grads(f)(inputs, dout);
}

beforeAll(async () => {
  await tf.setBackend("cpu");
  backend = await openBuild(ownBuilds()[0]!);
});
afterAll(() => backend.close());

describe("TensorFlow.js agrees", () => {
  it("on rmsnorm", async () => {
    const N = 9;
    const G = 3;
    const D = 33;
    const eps = 1e-5;
    const x = random("x", N * G * D);
    const weight = random("weight", D);
    const dout = random("dout", N * G * D);
    const norm = (input: tf.Tensor) => {
      const groups = tf.reshape(input, [N * G, D]);
      const mean = tf.mean(tf.square(groups), 1, true);
      return tf.reshape(tf.mul(tf.mul(groups, tf.rsqrt(tf.add(mean, eps))), matrix(weight, 1, D)), [N, G * D]);
    };
    const input = matrix(x, N, G * D);
    const [dx] = gradients(norm, [input], matrix(dout, N, G * D));
    await expectEqual({ out: norm(input), dx: dx! }, ({ place }) => {
      const weightTensor = place("weight", "f32", 1, D, weight);
      const h = place("x", "f32", N, G * D, x);
      const outputs = { out: place("out", "f32", N, G * D), dx: place("dx", "f32", N, G * D) };
      const rstd = place("rstd", "f32", N, G);
      backend.ops.rmsnormForward({ out: outputs.out, rstd, x: h, weight: weightTensor, eps });
      const given = place("dout", "f32", N, G * D, dout);
      backend.ops.rmsnormBackward({ dx: outputs.dx, dout: given, h, weight: weightTensor, rstd });
      return outputs;
    });
  });

  it("on rope", async () => {
    const N = 11;
    const G = 3;
    const E = 24;
    const half = E / 2;
    const x = random("rope x", N * G * E);
    const dout = random("rope dout", N * G * E);
    const positions = Int32Array.from({ length: N }, (_, n) => (n * 5) % 7);
    const angles = Float32Array.from({ length: 7 * half }, (_, i) => Math.floor(i / half) / 500 ** ((i % half) / half));
    const cos = angles.map(Math.cos);
    const sin = angles.map(Math.sin);
    const rotate = (input: tf.Tensor) => {
      const heads = tf.reshape(input, [N, G, E]);
      const low = tf.slice(heads, [0, 0, 0], [N, G, half]);
      const high = tf.slice(heads, [0, 0, half], [N, G, half]);
      const rows = tf.tensor1d(positions, "int32");
      const table = (values: Float32Array) => tf.reshape(tf.gather(matrix(values, 7, half), rows), [N, 1, half]);
      const c = table(cos);
      const s = table(sin);
      const parts = [tf.sub(tf.mul(low, c), tf.mul(high, s)), tf.add(tf.mul(high, c), tf.mul(low, s))];
      return tf.reshape(tf.concat(parts, 2), [N, G * E]);
    };
    const input = matrix(x, N, G * E);
    const [dx] = gradients(rotate, [input], matrix(dout, N, G * E));
    await expectEqual({ out: rotate(input), dx: dx! }, ({ place }) => {
      const tables = { cos: place("cos", "f32", 7, half, cos), sin: place("sin", "f32", 7, half, sin) };
      const settings = { ...tables, positions: place("positions", "i32", 1, N, positions) };
      const outputs = { out: place("out", "f32", N, G * E, x), dx: place("dx", "f32", N, G * E, dout) };
      backend.ops.rope({ x: outputs.out, ...settings });
      backend.ops.rope({ x: outputs.dx, ...settings, inverse: true });
      return outputs;
    });
  });

  it("on attention", async () => {
    const H = 6;
    const K = 2;
    const E = 16;
    const scale = 0.25;
    const starts = Int32Array.from([...new Array<number>(5).fill(0), ...new Array<number>(20).fill(5), 25]);
    const N = starts.length;
    const q = random("q", N * H * E);
    const k = random("k", N * K * E);
    const v = random("v", N * K * E);
    const dout = random("attention dout", N * H * E);
    const mask = matrix(
      Float32Array.from({ length: N * N }, (_, i) => {
        const n = Math.floor(i / N);
        const j = i % N;
        return j <= n && j >= starts[n]! ? 0 : -1e9;
      }),
      ...[1, N, N],
    );
    const kvHeads = tf.tensor1d(
      Int32Array.from({ length: H }, (_, h) => Math.floor(h / (H / K))),
      "int32",
    );
    const heads = (input: tf.Tensor, count: number) => tf.transpose(tf.reshape(input, [N, count, E]), [1, 0, 2]);
    const attend = (...[q, k, v]: tf.Tensor[]) => {
      const keys = tf.gather(heads(k!, K), kvHeads);
      const values = tf.gather(heads(v!, K), kvHeads);
      const scores = tf.add(tf.mul(tf.matMul(heads(q!, H), keys, false, true), scale), mask);
      return tf.reshape(tf.transpose(tf.matMul(tf.softmax(scores), values), [1, 0, 2]), [N, H * E]);
    };
    const inputs = [matrix(q, N, H * E), matrix(k, N, K * E), matrix(v, N, K * E)];
    const [dq, dk, dv] = gradients(attend, inputs, matrix(dout, N, H * E));
    await expectEqual({ out: attend(...inputs), dq: dq!, dk: dk!, dv: dv! }, ({ place, workspace }) => {
      const tensor = (name: string, count: number, values?: Float64Array) => place(name, "f32", N, count * E, values);
      const given = { q: tensor("q", H, q), k: tensor("k", K, k), v: tensor("v", K, v) };
      const settings = { ...given, starts: place("starts", "i32", 1, N, starts), headDim: E, scale };
      const outputs = { out: tensor("out", H), dq: tensor("dq", H), dk: tensor("dk", K), dv: tensor("dv", K) };
      const lse = place("lse", "f32", H, N);
      backend.ops.attentionForward({ out: outputs.out, lse, ...settings });
      const bytes = backend.ops.attentionBackwardWorkspaceBytes({ dtype: "f32", N, H, K, E });
      const scratch = { dout: tensor("dout", H, dout), workspace: workspace(bytes) };
      backend.ops.attentionBackward({ ...outputs, lse, ...settings, ...scratch });
      return outputs;
    });
  });

  it("on swiglu", async () => {
    const N = 7;
    const F = 37;
    const gateUp = random("gateUp", N * 2 * F, 3);
    const dout = random("swiglu dout", N * F);
    const swiglu = (input: tf.Tensor) => {
      const gate = tf.slice(input, [0, 0], [N, F]);
      const up = tf.slice(input, [0, F], [N, F]);
      return tf.mul(tf.mul(gate, tf.sigmoid(gate)), up);
    };
    const input = matrix(gateUp, N, 2 * F);
    const [dgateUp] = gradients(swiglu, [input], matrix(dout, N, F));
    await expectEqual({ out: swiglu(input), dgateUp: dgateUp! }, ({ place }) => {
      const given = place("gateUp", "f32", N, 2 * F, gateUp);
      const outputs = { out: place("out", "f32", N, F), dgateUp: place("dgateUp", "f32", N, 2 * F) };
      backend.ops.swigluForward({ out: outputs.out, gateUp: given });
      backend.ops.swigluBackward({ dgateUp: outputs.dgateUp, dout: place("dout", "f32", N, F, dout), gateUp: given });
      return outputs;
    });
  });

  it("on matmul and the products of its gradients", async () => {
    const M = 33;
    const N = 31;
    const K = 70;
    const a = random("a", M * K);
    const b = random("b", N * K);
    const dout = random("matmul dout", M * N);
    const project = (...[a, b]: tf.Tensor[]) => tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D, false, true);
    const inputs = [matrix(a, M, K), matrix(b, N, K)];
    const [da, db] = gradients(project, inputs, matrix(dout, M, N));
    await expectEqual({ out: project(...inputs), da: da!, db: db! }, ({ place }) => {
      const left = place("a", "f32", M, K, a);
      const weight = place("b", "f32", N, K, b);
      const given = place("dout", "f32", M, N, dout);
      const outputs = { out: place("out", "f32", M, N), da: place("da", "f32", M, K), db: place("db", "f32", N, K) };
      backend.ops.matmul({ out: outputs.out, a: left, b: weight, transB: true });
      backend.ops.matmul({ out: outputs.da, a: given, b: weight });
      backend.ops.matmul({ out: outputs.db, a: given, b: left, transA: true });
      return outputs;
    });
  });

  it("on linear cross-entropy", async () => {
    const N = 13;
    const D = 20;
    const V = 301;
    const dscale = 0.125;
    const x = random("head x", N * D);
    const w = random("head w", V * D, 0.4);
    const targets = Int32Array.from({ length: N }, (_, n) => (n % 4 === 1 ? -1 : (n * 97) % V));
    const chosen = matrix(
      Float32Array.from({ length: N * V }, (_, i) => (targets[Math.floor(i / V)] === i % V ? 1 : 0)),
      ...[N, V],
    );
    const loss = (input: tf.Tensor) =>
      tf.neg(
        tf.sum(
          tf.mul(tf.logSoftmax(tf.matMul(input as tf.Tensor2D, matrix(w, V, D) as tf.Tensor2D, false, true)), chosen),
          1,
        ),
      );
    const input = matrix(x, N, D);
    const [dx] = gradients(loss, [input], tf.fill([N], dscale));
    await expectEqual({ losses: loss(input), dx: dx! }, ({ place, workspace }) => {
      const given = {
        x: place("x", "f32", N, D, x),
        w: place("w", "f32", V, D, w),
        targets: place("t", "i32", 1, N, targets),
      };
      const outputs = { losses: place("losses", "f32", 1, N), dx: place("dx", "f32", N, D) };
      const bytes = backend.ops.linearCrossEntropyWorkspaceBytes({ dtype: "f32", N, D, V });
      const scaled = { dscale: place("dscale", "f32", 1, 1, [dscale]), workspace: workspace(bytes) };
      backend.ops.linearCrossEntropy({ ...outputs, ...given, ...scaled });
      return outputs;
    });
  });

  it("on three steps of adamw after gradnorm", async () => {
    const count = 101;
    const lr = 0.01;
    const beta1 = 0.9;
    const beta2 = 0.999;
    const eps = 1e-8;
    const weightDecay = 0.1;
    const clipNorm = 1;
    const start = random("params", count);
    const grads = [1, 2, 3].map((step) => random(`grads ${step}`, count, 0.3 * step));
    let params = tf.tensor1d(Float32Array.from(start));
    let m = tf.zeros<tf.Rank.R1>([count]);
    let v = tf.zeros<tf.Rank.R1>([count]);
    for (const [i, grad] of grads.entries()) {
      const raw = tf.tensor1d(Float32Array.from(grad));
      const g = tf.mul(raw, tf.minimum(1, tf.div(clipNorm, tf.add(tf.norm(raw), 1e-6)))) as tf.Tensor1D;
      m = tf.add(tf.mul(m, beta1), tf.mul(g, 1 - beta1));
      v = tf.add(tf.mul(v, beta2), tf.mul(tf.square(g), 1 - beta2));
      const mHat = tf.div(m, 1 - beta1 ** (i + 1));
      const vHat = tf.div(v, 1 - beta2 ** (i + 1));
      params = tf.sub(tf.mul(params, 1 - lr * weightDecay), tf.mul(lr, tf.div(mHat, tf.add(tf.sqrt(vHat), eps))));
    }
    await expectEqual({ params, m, v }, ({ place }) => {
      const flat = (name: string, values: ArrayLike<number>) => place(name, "f32", 1, values.length, values);
      const zeros = new Float64Array(count);
      const state = { params: flat("params", start), m: flat("m", zeros), v: flat("v", zeros) };
      const gradnorm = place("gradnorm", "f32", 1, 1);
      for (const [i, values] of grads.entries()) {
        const given = flat("grads", values);
        const corrections = [1 - beta1 ** (i + 1), 1 - beta2 ** (i + 1)];
        const hyper = flat("hyper", [lr, ...corrections, beta1, beta2, eps, weightDecay, clipNorm]);
        backend.ops.gradnorm({ out: gradnorm, grads: given });
        backend.ops.adamw({ ...state, grads: given, gradnorm, hyper });
      }
      return state;
    });
  });
});
