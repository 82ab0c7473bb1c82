/** @file What may be spent: reserved before a request is sent, so that no number of them together passes a cap. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { RunError } from "../base/errors.js";
import type { Meter, Tokens } from "../endpoint/chat.js";
import { costOf, type Price } from "../endpoint/cost.js";

/** A cap is reached. What was made so far is kept. */
export class BudgetError extends RunError {
  override name = "BudgetError";
}

export interface Caps {
  /** US dollars; null: no cap. */
  maxCost: number | null;
  /** Tokens in and out together; null: no cap. */
  maxTokens: number | null;
}

interface Spent extends Tokens {
  cost: number;
  /** Requests that were sent. */
  requests: number;
}

export interface Budget {
  meter(price: Price): Meter;
  /** By all runs of this folder. */
  readonly spent: Readonly<Spent>;
}

type Entry = [id: number, prompt: number, completion: number, cost: number];

/**
 * Opens the ledger at `path`: a line {open} before every request, a line {close} after it. What was opened by a
 * process that was killed, and never closed, counts in full: it may have been paid.
 */
export function openBudget({ maxCost, maxTokens }: Caps, path: string): Budget {
  const open = new Map<number, Entry>();
  const spent: Spent = { prompt: 0, completion: 0, cost: 0, requests: 0 };
  const add = ([, prompt, completion, cost]: Entry): void => {
    spent.prompt += prompt;
    spent.completion += completion;
    spent.cost += cost;
  };
  for (const line of ledgerLines(path)) {
    if (line.open) open.set(line.open[0], line.open);
    else if (line.close) {
      open.delete(line.close[0]);
      add(line.close);
    }
    if (line.open) spent.requests++;
  }
  let last = spent.requests;
  for (const entry of open.values()) {
    add(entry);
    write(path, { close: entry });
  }
  open.clear();

  let wake: (() => void)[] = [];
  const fits = (most: Tokens, cost: number): boolean => {
    const held = [...open.values()].reduce((sum, [, p, c, dollars]) => [sum[0]! + p + c, sum[1]! + dollars], [0, 0]);
    const tokens = spent.prompt + spent.completion + held[0]! + most.prompt + most.completion;
    return tokens <= (maxTokens ?? Infinity) && spent.cost + held[1]! + cost <= (maxCost ?? Infinity);
  };
  return {
    spent,
    meter: (price) => ({
      async reserve(most) {
        const cost = costOf(price, most.prompt, most.completion);
        while (!fits(most, cost)) {
          if (open.size === 0) throw new BudgetError(describeCap({ maxCost, maxTokens }, spent));
          await new Promise<void>((resolve) => wake.push(resolve));
        }
        const id = ++last;
        const entry: Entry = [id, most.prompt, most.completion, cost];
        open.set(id, entry);
        spent.requests++;
        write(path, { open: entry });
        return (used) => {
          open.delete(id);
          const { prompt, completion } = used ?? most;
          const closed: Entry = [id, prompt, completion, costOf(price, prompt, completion)];
          add(closed);
          write(path, { close: closed });
          const woken = wake;
          wake = [];
          for (const resume of woken) resume();
        };
      },
    }),
  };
}

function describeCap({ maxCost, maxTokens }: Caps, { prompt, completion, cost }: Spent): string {
  const tokens = prompt + completion;
  const caps = [
    ...(maxCost === null ? [] : [`$${cost.toFixed(2)} of --max-cost ${maxCost}`]),
    ...(maxTokens === null ? [] : [`${tokens} of --max-tokens ${maxTokens}`]),
  ];
  return `the next request could pass the cap: ${caps.join(" and ")} are spent`;
}

function write(path: string, line: object): void {
  appendFileSync(path, `${JSON.stringify(line)}\n`);
}

/** Lines that are whole: the last one may have been cut off by a kill. */
function ledgerLines(path: string): { open?: Entry; close?: Entry }[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, "utf8");
  if (text !== "" && !text.endsWith("\n")) appendFileSync(path, "\n");
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as { open?: Entry; close?: Entry }];
    } catch {
      return [];
    }
  });
}
