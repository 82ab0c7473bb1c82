/**
 * @file Every backward formula in double precision against central finite differences of its forward. The parity cases
 * then hold the kernels to those formulas.
 */
import { describe, expect, it } from "vitest";
import { ALL_GRADIENTS } from "./cases/index.js";
import { type GradientCase, normals } from "./harness.js";

// Truncation of a central difference is step^2 / 6 times a third derivative, cancellation 1e-16 / step: both stay below
// 1e-9.
const STEP = 1e-5;
const TOLERANCE = 1e-8;

/** d sum(dout * forward) / d inputs[name][i]. */
function numeric({ inputs, forward }: GradientCase, dout: Float64Array, name: string, i: number): number {
  const at = (change: number) => {
    const changed = { ...inputs, [name]: inputs[name]!.slice() };
    changed[name]![i]! += change;
    return forward(changed).reduce((sum, value, j) => sum + value * dout[j]!, 0);
  };
  return (at(STEP) - at(-STEP)) / (2 * STEP);
}

describe.each(ALL_GRADIENTS.map((one) => [one.op, one.name, one] as const))("%s %s", (_op, _name, one) => {
  const dout = normals(`dout ${one.op}`, one.forward(one.inputs).length);
  const gradients = one.backward(one.inputs, dout);

  it.each(Object.keys(gradients))("d%s equals finite differences", (name) => {
    const formula = gradients[name]!;
    expect(formula.length).toBe(one.inputs[name]!.length);
    for (const [i, value] of formula.entries()) {
      const wanted = numeric(one, dout, name, i);
      expect(Math.abs(value - wanted), `d${name}[${i}] is ${value}, differences give ${wanted}`).toBeLessThan(
        TOLERANCE * (1 + Math.abs(wanted)),
      );
    }
  });
});
