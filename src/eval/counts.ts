/** @file How many answers an evaluation asked for, and what became of them. */
import type { Response } from "./asking/answers.js";
import type { Judgement } from "./judge/judge.js";

export interface Counts {
  /** Answers, drawn or scored. */
  asked: number;
  /** Those that came and say something. */
  answered: number;
  /** Those that could be read: by rules or by the judge; without a judge all that say something. */
  readable: number;
  /** Those that the judge refused for good. */
  failed: number;
}

/** Of answers by log-probability: there is one to every question that has a token to score. */
export function countScored(asked: number, scored = asked): Counts {
  return { asked, answered: scored, readable: scored, failed: 0 };
}

/** Of responses that a judge was asked about, one judgement each; `textOf` is what of a response is an answer. */
export function countJudged(
  responses: readonly Response[],
  judgements: readonly Judgement<unknown>[],
  textOf: (text: string) => string = (text) => text,
): Counts {
  const says = responses.map(({ text }) => textOf(text).trim() !== "");
  const isRead = ({ value, attempts }: Judgement<unknown>): boolean => value !== null || attempts === 0;
  return {
    asked: responses.length,
    answered: says.filter((one) => one).length,
    readable: judgements.filter((judgement, i) => says[i] && isRead(judgement)).length,
    failed: judgements.filter(({ reply, attempts }) => reply === null && attempts > 0).length,
  };
}

export function sumCounts(all: readonly Counts[]): Counts {
  const total = (key: keyof Counts): number => all.reduce((sum, one) => sum + one[key], 0);
  return { asked: total("asked"), answered: total("answered"), readable: total("readable"), failed: total("failed") };
}

/** Whether every answer came and could be read. */
export function isWhole({ asked, readable, failed }: Counts): boolean {
  return readable === asked && failed === 0;
}

/** "48 answers asked for: 40 say something, 31 could be read, 2 were refused by the judge". */
export function describeCounts({ asked, answered, readable, failed }: Counts): string {
  const refused = failed > 0 ? `, ${failed} were refused by the judge` : "";
  return `${asked} answers asked for: ${answered} say something, ${readable} could be read${refused}`;
}
