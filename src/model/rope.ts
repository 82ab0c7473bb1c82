/**
 * @file Rotation angles, rounded as Hugging Face rounds them (f32 frequencies, f32 products), so that long positions
 * agree too.
 */
import type { ModelConfig } from "../shape/config.js";

/** f32 frequencies of the E / 2 pairs; Llama 3.1's scaling is arXiv 2407.21783 as transformers implements it. */
function inverseFrequencies(config: ModelConfig): Float32Array {
  const { headDim: E, ropeTheta, ropeScaling } = config;
  const frequencies = new Float32Array(E / 2);
  for (let i = 0; i < E / 2; i++) {
    const frequency = Math.fround(1 / Math.fround(ropeTheta ** Math.fround((2 * i) / E)));
    if (!ropeScaling) {
      frequencies[i] = frequency;
      continue;
    }
    const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings: original } = ropeScaling;
    const wavelength = Math.fround((2 * Math.PI) / frequency);
    if (wavelength > original / lowFreqFactor) {
      frequencies[i] = frequency / factor;
    } else if (wavelength < original / highFreqFactor) {
      frequencies[i] = frequency;
    } else {
      const smooth = (original / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
      frequencies[i] = ((1 - smooth) * frequency) / factor + smooth * frequency;
    }
  }
  return frequencies;
}

/** cos and sin of every position below `positions`, f32 [positions, E / 2]. */
export function ropeTables(config: ModelConfig, positions: number): { cos: Float32Array; sin: Float32Array } {
  const frequencies = inverseFrequencies(config);
  const half = frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(p * frequencies[i]!);
      cos[p * half + i] = Math.cos(angle);
      sin[p * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
