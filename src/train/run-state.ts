/**
 * @file The run state: what resume needs besides the data, which is a function of the step. One file, written whole or
 * not at all.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../base/errors.js";
import { decodeFloats, encodeFloats } from "../base/float.js";
import { openSafetensors, writeSafetensors } from "../formats/safetensors.js";
import { readFlat, type TrainState, writeParams } from "./state.js";

const STATE_FILE = "state.safetensors";
const BUFFERS = ["params", "m", "v"] as const;

/** Parameters and moments after `step` steps. */
interface RunState {
  step: number;
  params: Float32Array;
  m: Float32Array;
  v: Float32Array;
}

function statePath(folder: string): string {
  return join(folder, "checkpoint", STATE_FILE);
}

export async function saveRunState(folder: string, state: TrainState, step: number): Promise<void> {
  const path = statePath(folder);
  mkdirSync(join(folder, "checkpoint"), { recursive: true });
  const tensors = [];
  for (const name of BUFFERS) {
    const values = await readFlat(state, name);
    tensors.push({ name, dtype: "F32", shape: [values.length], bytes: encodeFloats("F32", values) });
  }
  await writeSafetensors(path, tensors, { step: String(step) });
}

/** Puts the saved state on the device and returns its step; null where there is none. */
export function restoreRunState(folder: string, state: TrainState): number | null {
  const path = statePath(folder);
  if (!existsSync(path)) return null;
  const file = openSafetensors(path);
  try {
    const step = Number(file.metadata["step"]);
    const values = {} as RunState;
    for (const name of BUFFERS) {
      const tensor = file.tensors.get(name);
      if (!Number.isInteger(step) || tensor?.dtype !== "F32" || tensor.shape.join() !== `${state.layout.count}`)
        throw new InputError(`${path} is no run state of these settings: give another --out, or remove ${folder}`);
      values[name] = decodeFloats("F32", file.read(name));
    }
    writeParams(state, values);
    return step;
  } finally {
    file.close();
  }
}

/** The step of the saved state in `folder`; null where there is none. */
export function savedStep(folder: string): number | null {
  const path = statePath(folder);
  if (!existsSync(path)) return null;
  const file = openSafetensors(path);
  file.close();
  return Number(file.metadata["step"]);
}
