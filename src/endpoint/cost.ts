/** @file What asking an endpoint costs. */
import { InputError } from "../base/errors.js";

/** US dollars for a million tokens. */
export interface Price {
  input: number;
  output: number;
}

/** English text in the tokenizers in use, roughly: for forecasts only. */
export const CHARACTERS_A_TOKEN = 4;

/** "3,15": dollars for a million tokens in and out. Throws InputError that names `option`. */
export function parsePrice(text: string, option: string): Price {
  const [input, output, ...more] = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  const isPrice = (value: number | undefined): value is number => Number.isFinite(value) && value! >= 0;
  if (isPrice(input) && isPrice(output) && more.length === 0) return { input, output };
  throw new InputError(
    `${option} ${JSON.stringify(text)}: must be two prices, dollars for a million tokens in and out, such as 3,15`,
  );
}

/** US dollars. */
export function costOf(price: Price, promptTokens: number, completionTokens: number): number {
  return (price.input * promptTokens + price.output * completionTokens) / 1e6;
}
