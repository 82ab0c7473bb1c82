/** @file What a person sees while something runs: one line that is rewritten on a terminal, plain lines elsewhere. */

/** Plain lines come at most this often. */
const PLAIN_EVERY_MS = 10_000;

export interface Progress {
  /** The state of things in one line; `isLast` always shows. */
  update(line: string, isLast?: boolean): void;
  /** A line that stays. */
  print(line: string): void;
}

/** Writes to stderr, so that stdout is for results. `silent` for --json. */
export function openProgress(silent: boolean): Progress {
  const isTerminal = process.stderr.isTTY === true;
  let shownAt = Number.NEGATIVE_INFINITY;
  let open = false;
  const end = (): void => {
    if (open) process.stderr.write("\r\x1b[K");
    open = false;
  };
  if (silent) return { update: () => {}, print: () => {} };
  return {
    update(line, isLast = false) {
      if (isTerminal) {
        process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}${isLast ? "\n" : ""}`);
        open = !isLast;
      } else if (isLast || performance.now() - shownAt >= PLAIN_EVERY_MS) {
        process.stderr.write(`${line}\n`);
        shownAt = performance.now();
      }
    },
    print(line) {
      end();
      process.stderr.write(`${line}\n`);
    },
  };
}

/** Whether colours may be used on stderr: a terminal, and NO_COLOR not set (no-color.org). */
export function usesColor(): boolean {
  return process.stderr.isTTY === true && !process.env["NO_COLOR"];
}

/** Shows how far counted work is: its rate and the time that is left, of each phase by itself. */
export function countProgress(progress: Progress, name: string): (done: number, total: number, phase?: string) => void {
  let [current, began, last]: [string | undefined, number, number] = [undefined, performance.now(), performance.now()];
  return (done, total, phase) => {
    // A phase begins where the one before ended: its first call comes after its first items.
    if (phase !== current) [current, began] = [phase, last];
    last = performance.now();
    const perItem = (last - began) / 1000 / done;
    const rate = done > 0 ? `  ${(1 / perItem).toFixed(1)}/s  ETA ${formatDuration(perItem * (total - done))}` : "";
    progress.update(`${phase ? `${name}, ${phase}` : name}: ${done}/${total}${rate}`, done === total);
  };
}

/** "3 s", "4 min 05 s", "2 h 10 min". */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}
