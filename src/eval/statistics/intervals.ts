/** @file Rates, means and differences with their intervals; two-sided, 95 % unless told. */
import { tQuantile } from "./student.js";

/** Rates and means of nothing are null: JSON has no NaN. */
export interface Estimate {
  /** null where n is 0 */
  value: number | null;
  /** Both null where the data carry no interval: too few. */
  low: number | null;
  high: number | null;
  /** What the value is a share or a mean of. */
  n: number;
}

export interface MeanEstimate extends Estimate {
  /** Standard error; null where there is none to estimate: n below 2, or values that are all alike. */
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
  return { value: k / n, ...wilsonBounds(k / n, n, Z_95), n };
}

/** Wilson's interval of the share `p` of `n`, with the quantile `z`. */
export function wilsonBounds(p: number, n: number, z: number): { low: number; high: number } {
  const z2 = z * z;
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = (z / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n));
  // At the ends the formula gives exactly 0 and 1, rounding aside.
  return { low: p === 0 ? 0 : Math.max(0, centre - half), high: p === 1 ? 1 : Math.min(1, centre + half) };
}

/**
 * Mean with standard error sd / sqrt(n) (sd with n - 1) and Student's t interval, mean +- t(n - 1) se. Values that are
 * all alike say nothing of how far others would be: no standard error and no interval, as for a single value.
 */
export function meanInterval(values: readonly number[]): MeanEstimate {
  const n = values.length;
  if (n === 0) return { value: null, low: null, high: null, n, se: null };
  const mean = sum(values) / n;
  if (values.every((x) => x === values[0])) return { value: values[0]!, low: null, high: null, n, se: null };
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
 * `meanInterval` of values within `range`, cut to that; where two or more are all alike, Wilson's, if the range has two
 * ends.
 */
export function boundedMean(
  values: readonly number[],
  [least, most]: readonly [number, number] = [0, 1],
): MeanEstimate {
  const { value, low, high, n, se } = meanInterval(values);
  if (low !== null) return { value, low: Math.max(least, low), high: Math.min(most, high!), n, se };
  const width = most - least;
  if (n < 2 || !Number.isFinite(width)) return { value, low, high, n, se };
  const ends = wilsonBounds((value! - least) / width, n, Z_95);
  return { value, low: least + width * ends.low, high: least + width * ends.high, n, se };
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
  const residuals = clusters.map(({ y, x }) => y - value * x);
  // Of one cluster, and of clusters whose ratios are equal but for rounding, nothing can be said.
  if (residuals.every((residual) => Math.abs(residual) <= 1e-12 * Math.abs(value * total)))
    return { value, low: null, high: null, n, se: null };
  const se = Math.sqrt((n / (n - 1)) * sum(residuals.map((residual) => residual ** 2))) / total;
  const half = tQuantile(n - 1, CONFIDENCE) * se;
  return { value, low: value - half, high: value + half, n, se };
}

function sum(values: ArrayLike<number> & Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
