/** @file A run while it trains: what a person sees of it, and how it is interrupted. */

import type { LogRecord } from "../runs/run-folder.js";
import { formatDuration, type Progress } from "../terminal/progress.js";
import type { Achieved } from "../train/achieved.js";

/** Records as lines: JSON on stdout with --json, otherwise a progress line and what should stay. */
export function showRecords(
  progress: Progress,
  steps: number,
  json: boolean,
  began: number,
): (record: LogRecord) => void {
  let firstStep: number | null = null;
  return (record) => {
    if (json) process.stdout.write(`${JSON.stringify(record)}\n`);
    const { type, step } = record as { type: string; step: number };
    if (type === "step") {
      firstStep ??= step;
      const perStep = (performance.now() - began) / 1000 / (step - firstStep + 1);
      const { loss, lr, tokensPerSecond } = record as { loss: number; lr: number; tokensPerSecond: number } & LogRecord;
      progress.update(
        `step ${step}/${steps}  loss ${loss.toFixed(4)}  lr ${lr.toExponential(2)}  ` +
          `${Math.round(tokensPerSecond)} tokens/s  ` +
          `ETA ${formatDuration(perStep * (steps - step))}`,
        step === steps,
      );
    } else if (type === "heldout") progress.print(`step ${step}  held-out loss ${Number(record["loss"]).toFixed(4)}`);
    else if (type === "sample") progress.print(`step ${step}  sample: ${record["prompt"]} → ${record["text"]}`);
    else if (type === "skip") progress.print(`step ${step} skipped: ${record["reason"]}; batch: ${record["batch"]}`);
    else if (type === "done") progress.print(describeDone(record as LogRecord & Achieved & { changeNorm: number }));
    else if (type === "resume") progress.print(`continuing after step ${step}`);
  };
}

function describeDone({ step, updates, skipped, changeNorm }: LogRecord & Achieved & { changeNorm: number }): string {
  const lost = skipped > 0 ? ` (${skipped} skipped)` : "";
  return `${step} steps, ${updates} updates${lost}; the adapter changed by ${changeNorm.toPrecision(3)} (norm)`;
}
