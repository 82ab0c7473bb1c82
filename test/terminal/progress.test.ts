import { afterEach, expect, it, vi } from "vitest";
import { countProgress } from "../../src/terminal/progress.js";

afterEach(() => vi.useRealTimers());

it("a phase that comes back in one step is timed from the end of the one before", () => {
  vi.useFakeTimers();
  const lines: string[] = [];
  const count = countProgress({ update: (line) => lines.push(line), print: () => {} }, "choice");
  vi.advanceTimersByTime(1000);
  count(10, 20);
  vi.advanceTimersByTime(1000);
  count(5, 5, "sampling");
  vi.advanceTimersByTime(2000);
  count(10, 20);
  expect(lines).toEqual([
    "choice: 10/20  10.0/s  ETA 1 s",
    "choice, sampling: 5/5  5.0/s  ETA 0 s",
    "choice: 10/20  5.0/s  ETA 2 s",
  ]);
});
