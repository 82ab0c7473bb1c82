/** @file Two answers to one question, compared by their log-probabilities. */
import { type ScoreRequest, score } from "../../model/score.js";
import type { TaskContext } from "../task.js";
import { type AnswerTokens, encodeAnswer } from "./prompt.js";

interface AnswerScore {
  /** Log-probability of the answer's tokens, natural logarithm, summed. */
  logprob: number;
  tokens: number;
  /** Log-probability that the answer ends there: of the end-of-turn token, or of a line break. */
  endLogprob: number;
}

/** A question and two answers to it. */
export interface Comparison {
  question: string;
  answers: readonly [string, string];
  where: string;
}

/** Both answers of a comparison, and whether their ends are part of what is compared. */
export interface ComparedAnswers {
  scores: [AnswerScore, AnswerScore];
  /**
   * One answer's tokens begin with all of the other's: by its text alone the longer one could never win, so the ends
   * count in.
   */
  endsCount: boolean;
}

/** Scores all comparisons together; questions that begin alike should be neighbours. */
export async function compareAnswers(
  { decoder, tokenizer, system = null, onProgress }: TaskContext,
  comparisons: readonly Comparison[],
): Promise<ComparedAnswers[]> {
  const encoded = comparisons.map(({ question, answers, where }) =>
    answers.map((answer) => encodeAnswer(tokenizer, { question, system, where }, answer)),
  ) as [AnswerTokens, AnswerTokens][];
  const requests = encoded.flatMap((pair, i) =>
    pair.map(({ ids, from }): ScoreRequest => ({ ids, from, where: comparisons[i]!.where })),
  );
  const tokenScores = await score(decoder, requests, (done) => onProgress(done, requests.length));
  return encoded.map((pair, i) => ({
    scores: pair.map(({ from, end }, j): AnswerScore => {
      const { logprobs } = tokenScores[2 * i + j]!;
      const logprob = logprobs.slice(0, end - from).reduce((sum, value) => sum + value, 0);
      return { logprob, tokens: end - from, endLogprob: logprobs[end - from]! };
    }) as [AnswerScore, AnswerScore],
    endsCount: isPrefix(pair[0], pair[1]) || isPrefix(pair[1], pair[0]),
  }));
}

function isPrefix(a: AnswerTokens, b: AnswerTokens): boolean {
  const own = a.ids.slice(a.from, a.end);
  return own.every((id, i) => id === b.ids[b.from + i] && b.from + i < b.end);
}

/** How far the first answer is ahead of the second: a difference of log-probabilities. */
export function marginOf({ scores: [a, b], endsCount }: ComparedAnswers): number {
  return a.logprob - b.logprob + (endsCount ? a.endLogprob - b.endLogprob : 0);
}

/** The same per token, so that a longer answer is not behind for its length. */
export function marginPerToken({ scores: [a, b], endsCount }: ComparedAnswers): number {
  const mean = ({ logprob, endLogprob, tokens }: AnswerScore): number =>
    endsCount ? (logprob + endLogprob) / (tokens + 1) : logprob / tokens;
  return mean(a) - mean(b);
}

/** Probability of the first answer, given that it is one of the two. */
export function probabilityOf(margin: number): number {
  return 1 / (1 + Math.exp(-margin));
}
