/** @file Rates, means and differences with their intervals; two-sided, 95 % unless told. */
import { randomUint32, STREAMS } from "../../base/random.js";
import { tQuantile } from "./student.js";

/** Rates and means of nothing are null: JSON has no NaN. */
export interface Estimate {
  /** null where n is 0 */
  value: number | null;
  low: number | null;
  high: number | null;
  /** What the value is a share or a mean of. */
  n: number;
}

export interface MeanEstimate extends Estimate {
  /** Standard error; null where n is below 2. */
  se: number | null;
}

/** The normal quantile of a two-sided 95 % interval. */
const Z_95 = 1.959963984540054;
const CONFIDENCE = 0.95;

/**
 * Share k / n with Wilson's score interval: centre (p + z^2 / 2n) / (1 + z^2 / n), half width z / (1 + z^2 / n) sqrt(p
 * (1 - p) / n + z^2 / 4n^2). Wilson 1927; recommended for small n by Brown, Cai and DasGupta 2001.
 */
export function wilson(k: number, n: number): Estimate {
  if (n === 0) return { value: null, low: null, high: null, n };
  const p = k / n;
  const z2 = Z_95 * Z_95;
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = (Z_95 / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n));
  // At the ends the formula gives exactly 0 and 1, rounding aside.
  return { value: p, low: k === 0 ? 0 : Math.max(0, centre - half), high: k === n ? 1 : Math.min(1, centre + half), n };
}

/** Mean with standard error sd / sqrt(n) (sd with n - 1) and Student's t interval, mean +- t(n - 1) se. */
export function meanInterval(values: readonly number[]): MeanEstimate {
  const n = values.length;
  if (n === 0) return { value: null, low: null, high: null, n, se: null };
  const mean = sum(values) / n;
  if (n === 1) return { value: mean, low: null, high: null, n, se: null };
  const se = Math.sqrt(sum(values.map((x) => (x - mean) ** 2)) / (n - 1) / n);
  const half = tQuantile(n - 1, CONFIDENCE) * se;
  return { value: mean, low: mean - half, high: mean + half, n, se };
}

/**
 * Mean of outcomes 0 and 1, and .5 for a tie or one answer of two, with Wilson's interval for k = their sum of n.
 * Halves vary less than a coin of the same mean (x^2 <= x in [0, 1], so that the variance is at most p (1 - p)): with
 * them the interval is too wide rather than too narrow.
 */
export function shareInterval(values: readonly number[]): MeanEstimate {
  return { ...meanInterval(values), ...wilson(sum(values), values.length) };
}

/**
 * `meanInterval` of values in [0, 1], cut to that; where all are 0 or all are 1, which gives it no width, Wilson's
 * interval.
 */
export function boundedMean(values: readonly number[]): MeanEstimate {
  const mean = meanInterval(values);
  if (mean.value === 0 || mean.value === 1) return shareInterval(values);
  return { ...mean, low: mean.low && Math.max(0, mean.low), high: mean.high && Math.min(1, mean.high) };
}

/**
 * Ratio of sums, sum(y) / sum(x), of clusters (y, x) such as a text's loss and its tokens: R = sum y / sum x, se =
 * sqrt(k / (k - 1) sum (y - R x)^2) / sum x (Cochran, Sampling Techniques, section 6.3), t interval with k - 1 degrees
 * of freedom.
 */
export function ratioInterval(clusters: readonly { y: number; x: number }[]): MeanEstimate {
  const n = clusters.length;
  const total = sum(clusters.map(({ x }) => x));
  if (total === 0) return { value: null, low: null, high: null, n, se: null };
  const value = sum(clusters.map(({ y }) => y)) / total;
  if (n === 1) return { value, low: null, high: null, n, se: null };
  const se = Math.sqrt((n / (n - 1)) * sum(clusters.map(({ y, x }) => (y - value * x) ** 2))) / total;
  const half = tQuantile(n - 1, CONFIDENCE) * se;
  return { value, low: value - half, high: value + half, n, se };
}

export interface BootstrapOptions {
  seed?: number;
  resamples?: number;
  /** 0.95 unless told; 1 - 0.05 / m for m comparisons at once (Bonferroni). */
  confidence?: number;
}

/**
 * Mean of a[i] - b[i] (the same question or cell under two arms) with the percentile bootstrap interval over i:
 * `resamples` samples of n pairs drawn with replacement, the outer percentiles of their means (2.5 and 97.5 for 95 %).
 * Efron and Tibshirani 1993, chapter 13. The same seed gives the same interval.
 */
export function pairedDifference(
  a: readonly number[],
  b: readonly number[],
  { seed = 0, resamples = 10_000, confidence = CONFIDENCE }: BootstrapOptions = {},
): Estimate {
  const n = a.length;
  if (b.length !== n) throw new RangeError(`${n} and ${b.length} values are not pairs`);
  if (n === 0) return { value: null, low: null, high: null, n };
  const differences = Float64Array.from(a, (x, i) => x - b[i]!);
  const means = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    let total = 0;
    for (let i = 0; i < n; i++)
      total += differences[Math.floor((randomUint32(seed, STREAMS.bootstrap, r * n + i) / 2 ** 32) * n)]!;
    means[r] = total / n;
  }
  means.sort();
  const tail = (1 - confidence) / 2;
  return { value: sum(differences) / n, low: percentile(means, tail), high: percentile(means, 1 - tail), n };
}

/** The `share` quantile of sorted values, linear between neighbours (R's type 7, numpy's default). */
function percentile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const next = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return sorted[below]! + (at - below) * (next - sorted[below]!);
}

function sum(values: ArrayLike<number> & Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
