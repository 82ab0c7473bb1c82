/** @file How often something may start. */

export interface Rate {
  /** Waits for its turn. */
  turn(): Promise<void>;
  /** No turn comes for so long. */
  pause(ms: number): void;
}

/** Turns are evenly spaced, `perMinute` of them in a minute. */
export function openRate(perMinute: number): Rate {
  const spacingMs = 60_000 / perMinute;
  let next = 0;
  let notBefore = 0;
  return {
    async turn() {
      for (;;) {
        const at = Math.max(next, notBefore, performance.now());
        next = at + spacingMs;
        await sleep(at - performance.now());
        // A pause may have been asked for meanwhile.
        if (performance.now() >= notBefore) return;
      }
    },
    pause(ms) {
      notBefore = Math.max(notBefore, performance.now() + ms);
    },
  };
}

export function sleep(ms: number): Promise<void> {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve();
}
