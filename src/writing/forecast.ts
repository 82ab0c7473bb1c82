/** @file A pilot of twenty replies, and what it says of calls, tokens and cost of the whole. */
import type { ReplyCache } from "../endpoint/cache.js";
import { wilson } from "../eval/statistics/intervals.js";
import { openAsker, PilotEnd } from "./ask.js";
import { BudgetError } from "./budget.js";
import type { Work } from "./work.js";

const PRODUCTS = ["documents", "chats", "questions", "knowledge"] as const;
export type Product = (typeof PRODUCTS)[number];

/** Twenty replies in all. */
const PILOT_REPLIES: Record<Product, number> = { documents: 10, chats: 4, questions: 3, knowledge: 3 };
/** A stage with a lower yield stops the run, so that no more has to be reckoned with. */
const LEAST_KEPT = 0.3;

/** What one product was seen to take. */
export interface Sample {
  replies: number;
  prompt: number;
  completion: number;
  kept: number;
  lost: number;
}

interface Range {
  value: number;
  low: number;
  high: number;
}

export interface Forecast {
  calls: Range;
  tokens: Range;
  /** Null: no price is known. */
  cost: Range | null;
  /** Wanted, of which the pilot finished nothing: not in the sums. */
  unknown: Product[];
}

/**
 * Makes the first of each product, one after the other, until its share of the twenty replies has come. They are the
 * first of the plan and are kept, so that the run does not ask for them again.
 */
export async function runPilot(
  work: Work,
  cache: ReplyCache,
  wanted: Record<Product, number>,
  make: (work: Work, product: Product) => Promise<unknown>,
): Promise<Record<Product, Sample>> {
  const samples = {} as Record<Product, Sample>;
  for (const product of PRODUCTS) {
    const sample: Sample = { replies: 0, prompt: 0, completion: 0, kept: 0, lost: 0 };
    samples[product] = sample;
    if (wanted[product] === 0) continue;
    const asker = openAsker(cache, PILOT_REPLIES[product]);
    work.onPilot?.(asker);
    const pilot: Work = {
      ...work,
      asker,
      writer: { ...work.writer, lanes: 1 },
      journal: () => ({ append: () => {} }),
      onProgress: (_stage, kept, _wanted, lost) => Object.assign(sample, { kept, lost }),
    };
    await make(pilot, product);
    // A cap that is reached already stops the run itself, once what is kept has been used.
    const { stopped } = asker;
    if (stopped && !(stopped instanceof PilotEnd || stopped instanceof BudgetError)) throw stopped;
    for (const { replies, tokens } of asker.tallies.values()) {
      sample.replies += replies;
      sample.prompt += tokens.prompt;
      sample.completion += tokens.completion;
    }
  }
  return samples;
}

/**
 * What `wanted` of each product will take. The interval is of two things: the share that is kept (Wilson's, of the
 * items that the pilot finished), and what a reply takes (a share 1 / sqrt(replies) more or less: lengths of replies
 * vary about as much as they are long).
 */
export function forecastOf(
  samples: Record<Product, Sample>,
  wanted: Record<Product, number>,
  cost: ((prompt: number, completion: number) => number) | null,
): Forecast {
  const zero = (): Range => ({ value: 0, low: 0, high: 0 });
  const forecast: Forecast = { calls: zero(), tokens: zero(), cost: cost && zero(), unknown: [] };
  for (const product of PRODUCTS) {
    const { replies, prompt, completion, kept, lost } = samples[product];
    const items = kept + lost;
    if (wanted[product] === 0) continue;
    if (items === 0) {
      forecast.unknown.push(product);
      continue;
    }
    const { low, high } = wilson(kept, items);
    const share = { value: Math.max(LEAST_KEPT, kept / items), low: high!, high: Math.max(LEAST_KEPT, low!) };
    const spread = 1 / Math.sqrt(replies);
    const add = (range: Range, perItem: number): void => {
      // A claim has one question of each kind, kept or not.
      const times = (part: number): number => (product === "knowledge" ? 1 : 1 / part) * wanted[product] * perItem;
      range.value += times(share.value);
      range.low += times(share.low) * (1 - spread);
      range.high += times(share.high) * (1 + spread);
    };
    add(forecast.calls, replies / items);
    add(forecast.tokens, (prompt + completion) / items);
    if (cost && forecast.cost) add(forecast.cost, cost(prompt, completion) / items);
  }
  return forecast;
}

export function formatForecast({ calls, tokens, cost, unknown }: Forecast): string {
  const range = ({ value, low, high }: Range, format: (x: number) => string): string =>
    `${format(value)} [${format(low)}, ${format(high)}]`;
  const count = (x: number): string => Math.round(x).toLocaleString("en-US");
  return (
    `forecast from the pilot: ${range(calls, count)} calls, ${range(tokens, count)} tokens, ` +
    (cost ? range(cost, (x) => `$${x.toFixed(2)}`) : "cost not known (--price)") +
    (unknown.length > 0 ? `; without ${unknown.join(" and ")}, of which the pilot finished none` : "")
  );
}
