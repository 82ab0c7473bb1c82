/** @file Verdicts: questions about a text that the critic answers with yes or no. */
import type { Asked, Step } from "./ask.js";
import type { Claim } from "./claims.js";
import { claimValues } from "./claims.js";
import { fillPrompt } from "./prompt.js";
import { readAnswers } from "./read.js";
import type { Work } from "./work.js";

/** A question that is to be answered with yes; `no` is what is wrong otherwise. */
export interface Check {
  label: string;
  question: string;
  no: string;
}

/**
 * Why the text fails, by the first check that is answered with no; null: it passes. A critic that is asked in words is
 * asked all at once, one that tells likelihoods each by itself. `fault` where its answers cannot be read.
 */
export async function judge(
  { asker, critic }: Work,
  stage: string,
  { claim, subject, text }: { claim: Claim; subject: string; text: string },
  checks: readonly Check[],
): Promise<{ why: string | null; steps: Step[] } | { fault: string }> {
  const values = { ...claimValues(claim, subject), text };
  const steps: Step[] = [];
  const answers: boolean[] = [];
  if (critic.choose) {
    for (const { question } of checks) {
      const asked = await asker.choose(critic, stage, fillPrompt("verdict-one", { ...values, question }), [
        "yes",
        "no",
      ]);
      if ("fault" in asked) return asked;
      steps.push(asked.step);
      answers.push(asked.value === 0);
    }
  } else {
    const questions = checks.map(({ label, question }) => `${label}: ${question}`).join("\n");
    const asked: Asked<boolean[]> = await asker.ask(critic, {
      stage,
      prompt: fillPrompt("verdict", { ...values, questions }),
      words: 40,
      temperature: 0,
      mayDecline: true,
      read: (reply) =>
        readAnswers(
          reply,
          checks.map(({ label }) => label),
        ),
    });
    if ("fault" in asked) return asked;
    steps.push(asked.step);
    answers.push(...asked.value);
  }
  const failed = checks.find((_, i) => !answers[i]);
  if (failed) asker.reject(stage, failed.no);
  return { why: failed?.no ?? null, steps };
}
