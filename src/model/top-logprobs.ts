/** @file Log-probabilities of a row of logits: of one token, and of the most likely ones. */

export interface TokenLogprobs {
  /** Temperature 1, uncut. */
  logprob: number;
  /** The most likely tokens, the most likely first; of equal ones the lower id. */
  top: { id: number; logprob: number }[];
}

/**
 * The log-probability of `id` and of the `count` most likely tokens, in f64 from the logits. All are the same function
 * of a logit: the most likely token's log-probability is exactly the largest of `top`.
 */
export function logprobsOfRow(logits: Float32Array, id: number, count: number): TokenLogprobs {
  const most = likeliest(logits, Math.max(1, count));
  const max = logits[most[0]!]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - max);
  const logSum = Math.log(sum);
  const of = (token: number): number => logits[token]! - max - logSum;
  return { logprob: of(id), top: most.slice(0, count).map((token) => ({ id: token, logprob: of(token) })) };
}

/** The places of the `count` largest values, the largest first. */
function likeliest(values: Float32Array, count: number): number[] {
  const places: number[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (places.length === count && !(value > least)) continue;
    let at = places.length;
    while (at > 0 && value > values[places[at - 1]!]!) at--;
    places.splice(at, 0, i);
    if (places.length > count) places.pop();
    least = values[places.at(-1)!]!;
  }
  return places;
}
