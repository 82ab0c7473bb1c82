/** @file The check that what a model computes are numbers. */
import { RunError } from "../base/errors.js";

/**
 * Throws RunError where `logprob` of a token of `where` is not finite. Of finite logits it always is, however unlikely
 * the token: a logit less the logarithm of a finite sum. NaN must not pass for a score: every comparison with it is
 * false, which would read as a decision.
 */
export function checkLogprob(logprob: number, where: string): void {
  if (Number.isFinite(logprob)) return;
  throw new RunError(
    `${where}: a token's log-probability is ${logprob}: the model computes no finite numbers; ` +
      "look for NaN or infinite weights in the checkpoint and the adapter, as a damaged file or a diverged " +
      "training leaves them",
  );
}
