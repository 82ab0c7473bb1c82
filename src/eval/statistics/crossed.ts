/** @file Means over seeds and items at once, with intervals that speak for other seeds and other items. */
import { type MeanEstimate, wilsonBounds } from "./intervals.js";
import { tQuantile } from "./student.js";

/** One row a seed, one column an item; null: nothing is known of that item under that seed. */
export type SeedRows = readonly (readonly (number | null)[])[];

export interface CrossedEstimate extends MeanEstimate {
  /**
   * Seeds with anything decided; with one the interval is over items alone: it describes this adapter, not the method.
   */
  seeds: number;
  /** Independent groups of items, the fewest of any way in which they hang together. */
  clusters: number;
}

export interface CrossedOptions {
  /**
   * Ways in which items hang together, each a label an item: items with the same label are no separate evidence. None:
   * every item by itself.
   */
  clusters?: readonly (readonly unknown[])[];
  /** What a mean can be: the interval is cut to it. Null: anything. */
  range?: readonly [number, number] | null;
  /** 0.95 unless told; 1 - 0.05 / m for m comparisons at once (Bonferroni). */
  confidence?: number;
}

/**
 * Mean over seeds of each seed's mean over its items, and an interval for another draw of both, seeds crossed with
 * items.
 *
 * The model is x(s, i) = mu + seed(s) + item(i) + rest(s, i), all at random (Brennan, Generalizability Theory, 2001).
 * The error of the mean has two independent parts. That of the seeds, V_s = var(means of the seeds) / S with S - 1
 * degrees of freedom, holds the rest as well. That of the items is what is left of the variance of the items' means
 * once the rest is taken out, V_i = max(0, A - E): A from the items' means over seeds, E from the rest, so that noise
 * of a seed is not counted twice (the analysis of variance of two crossed factors). Items that share something count as
 * clusters, A = G / (G - 1) sum(cluster^2); items that share one of two crossed things (six cheap teas with each of six
 * dear ones) by A(first) + A(second) - A(both), as Cameron, Gelbach and Miller 2011 do it.
 *
 * The half width is Howe's (1974) for a sum of independent parts, sqrt(t(S - 1)^2 V_s + t(G - 1)^2 V_i), taken back a
 * little where items are the larger part, since there it covers too often: by the share .8 / (S - 1)^2 f(V_s / (V_s +
 * V_i)) with f(x) = 27 / 4 x (1 - x)^2, which is 1 at its highest, x = 1 / 3, and 0 where one part is all; the .8 is
 * chosen by simulation. So 95 % intervals cover 93.5 to 97 % for 3 to 20 seeds and five items or more, whatever part is
 * the larger, and too often with 2 seeds (docs/results.md has the table, the tests a short run). A percentile
 * bootstrap over 3 seeds covers 67 %.
 *
 * Null ends where the data carry no interval: fewer than two clusters, or values that do not vary and have no range.
 * Within a range, values that are all alike have Wilson's interval for as many answers as there are clusters, with the
 * t quantile of the seeds.
 */
export function crossedMean(rows: SeedRows, options: CrossedOptions = {}): CrossedEstimate {
  return contrast([rows], options);
}

/**
 * Mean of `a` minus mean of `b` where the seeds of one have nothing to do with those of the other, over the same items:
 * as `crossedMean`, the variance of a seed the same in both groups, which is how one group may have a single seed
 * (there must be three in all).
 */
export function unpairedDifference(a: SeedRows, b: SeedRows, options: CrossedOptions = {}): CrossedEstimate {
  return contrast([a, b], options);
}

/** a - b, seed by seed and item by item; an arm that is the same for all seeds has one row. */
export function pairRows(a: SeedRows, b: SeedRows): (number | null)[][] {
  const count = Math.max(a.length, b.length);
  if ([a, b].some(({ length }) => length !== count && length !== 1))
    throw new RangeError(`${a.length} and ${b.length} seeds are not pairs`);
  return Array.from({ length: count }, (_, s) => {
    const x = a[s % a.length]!;
    const y = b[s % b.length]!;
    return x.map((value, i) => (value === null || y[i] === null ? null : value - y[i]!));
  });
}

/**
 * Mean of a[i] - b[i] (the same question or cell under two arms or models, of one seed each), with the interval over i:
 * Student's t, and Wilson's where all differences are alike. Values in [0, 1] are taken for shares, whose difference is
 * within [-1, 1]. `clusters` as for `crossedMean`.
 */
export function pairedDifference(
  a: readonly number[],
  b: readonly number[],
  options: Omit<CrossedOptions, "range"> = {},
): MeanEstimate {
  if (a.length !== b.length) throw new RangeError(`${a.length} and ${b.length} values are not pairs`);
  const areShares = [...a, ...b].every((x) => x >= 0 && x <= 1);
  const rows = pairRows([a], [b]);
  const { value, low, high, n, se } = crossedMean(rows, { ...options, range: areShares ? [-1, 1] : null });
  return { value, low, high, n, se };
}

/** A seed: its mean, and what each item adds to its distance from that. */
interface Row {
  mean: number;
  deviations: readonly number[];
}

/** The first group's mean, minus the second's where there is one. */
function contrast(given: readonly SeedRows[], options: CrossedOptions): CrossedEstimate {
  const { clusters = [], range = null, confidence = 0.95 } = options;
  const groups = given.map((rows) => rows.flatMap((row) => centred(row)));
  const items = given[0]?.[0]?.map((_, i) => given.some((rows) => rows.some((row) => row[i] !== null))) ?? [];
  const n = items.filter(Boolean).length;
  const seeds = groups.reduce((sum, rows) => sum + rows.length, 0);
  const factors = (clusters.length === 0 ? [items.map((_, i) => i)] : clusters).map(numbered);
  const counts = factors.map((labels) => new Set(labels.filter((_, i) => items[i])).size);
  const fewest = Math.min(...counts);
  const nothing = { low: null, high: null, se: null, n, seeds, clusters: n === 0 ? 0 : fewest };
  if (groups.some(({ length }) => length === 0)) return { value: null, ...nothing };

  const sign = (g: number): number => (g === 0 ? 1 : -1);
  const value = sum(groups.map((rows, g) => sign(g) * mean(rows.map((row) => row.mean))));
  const seedDf = seeds - groups.length;
  if (fewest < 2 || (groups.length > 1 && seedDf < 1)) return { value, ...nothing };

  const share = sum(groups.map(({ length }) => 1 / length));
  const ofSeeds = pooledVariance(groups.map((rows) => rows.map((row) => row.mean))) * share;
  const { ofMeans, ofRest } = itemVariance(groups, factors, counts, seedDf);
  const ofItems = Math.max(0, ofMeans - ofRest);
  const variance = ofSeeds + ofItems;
  // Values that are all alike leave nothing but rounding.
  if (variance <= 1e-24 * Math.max(1, value * value)) {
    if (range === null || !range.every(Number.isFinite)) return { value, ...nothing };
    const least = range[0];
    const width = range[1] - range[0];
    const quantile = tQuantile(seedDf > 0 ? seedDf : fewest - 1, confidence);
    const ends = wilsonBounds((value - least) / width, fewest, quantile);
    return { value, ...nothing, low: least + width * ends.low, high: least + width * ends.high };
  }
  const itemT = tQuantile(fewest - 1, confidence);
  const half = seedDf === 0 ? itemT * Math.sqrt(variance) : halfWidth(ofSeeds, ofItems, { seedDf, itemT, confidence });
  const [least, most] = range ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const ends = { low: Math.max(least, value - half), high: Math.min(most, value + half) };
  return { value, ...nothing, ...ends, se: Math.sqrt(variance) };
}

function centred(row: readonly (number | null)[]): Row[] {
  const known = row.filter((value) => value !== null);
  if (known.length === 0) return [];
  const own = mean(known);
  return [{ mean: own, deviations: row.map((value) => (value === null ? 0 : (value - own) / known.length)) }];
}

/**
 * The variance of the contrast that comes of items: of their means over seeds (which hold the rest too), and of the
 * rest, by inclusion and exclusion over the ways in which items hang together.
 */
function itemVariance(
  groups: readonly (readonly Row[])[],
  factors: readonly (readonly number[])[],
  counts: readonly number[],
  seedDf: number,
): { ofMeans: number; ofRest: number } {
  const of = (labels: readonly number[], count: number): { ofMeans: number; ofRest: number } => {
    const most = Math.max(...labels) + 1;
    const summed = groups.map((rows) => rows.map(({ deviations }) => sumBy(deviations, labels, most)));
    const scale = count / (count - 1);
    let ofMeans = 0;
    let ofRest = 0;
    for (let cluster = 0; cluster < most; cluster++) {
      const own = summed.map((rows) => rows.map((row) => row[cluster]!));
      const [first, second] = own.map(mean);
      ofMeans += scale * (first! - (second ?? 0)) ** 2;
      if (seedDf > 0) ofRest += scale * pooledVariance(own) * sum(own.map(({ length }) => 1 / length));
    }
    return { ofMeans, ofRest };
  };
  const [first, second] = factors.map((labels, f) => of(labels, counts[f]!));
  if (!second) return first!;
  const both = numbered(factors[0]!.map((label, i) => `${label} ${factors[1]![i]}`));
  const shared = of(both, new Set(both).size);
  const crossed = {
    ofMeans: first!.ofMeans + second.ofMeans - shared.ofMeans,
    ofRest: first!.ofRest + second.ofRest - shared.ofRest,
  };
  // Sharing things makes items no surer than they would be by themselves.
  return crossed.ofMeans - crossed.ofRest < shared.ofMeans - shared.ofRest ? shared : crossed;
}

/** The constant of the correction, and the degrees of freedom below which it grows no more. */
const EXCESS = 0.8;
const LEAST_DF = 2;

function halfWidth(
  ofSeeds: number,
  ofItems: number,
  { seedDf, itemT, confidence }: { seedDf: number; itemT: number; confidence: number },
): number {
  const howe = Math.sqrt(tQuantile(seedDf, confidence) ** 2 * ofSeeds + itemT ** 2 * ofItems);
  const share = ofSeeds / (ofSeeds + ofItems);
  return howe * (1 - (EXCESS / Math.max(LEAST_DF, seedDf) ** 2) * (27 / 4) * share * (1 - share) ** 2);
}

/** Of groups with means of their own; 0 where no group has two values. */
function pooledVariance(groups: readonly (readonly number[])[]): number {
  const df = sum(groups.map(({ length }) => length - 1));
  if (df === 0) return 0;
  return sum(groups.map((values) => sum(values.map((x) => (x - mean(values)) ** 2)))) / df;
}

/** Labels as numbers from 0 on. */
function numbered(labels: readonly unknown[]): number[] {
  const places = new Map<unknown, number>();
  return labels.map((label) => {
    if (!places.has(label)) places.set(label, places.size);
    return places.get(label)!;
  });
}

function sumBy(values: readonly number[], labels: readonly number[], count: number): Float64Array {
  const sums = new Float64Array(count);
  for (const [i, value] of values.entries()) sums[labels[i]!]! += value;
  return sums;
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
