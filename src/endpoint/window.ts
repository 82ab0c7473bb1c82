/** @file How many requests may be under way: grows by one a round trip, halves where the service is strained (AIMD). */

const FIRST = 4;

export interface Window {
  /** Waits until one more may be under way; call what it returns when it has ended. */
  enter(): Promise<(isStrained: boolean) => void>;
}

/** At most `most` under way. A strain halves the window once, however many requests of that window report it. */
export function openWindow(most: number): Window {
  let size = Math.min(FIRST, most);
  let underWay = 0;
  let halvings = 0;
  const waiting: (() => void)[] = [];
  const wake = (): void => {
    while (waiting.length > 0 && underWay < Math.floor(size)) {
      underWay++;
      // The newest first: it goes on with what is begun, where older ones would begin more.
      waiting.pop()!();
    }
  };
  return {
    async enter() {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        wake();
      });
      const begun = halvings;
      return (isStrained) => {
        underWay--;
        if (!isStrained) size = Math.min(most, size + 1 / size);
        else if (begun === halvings) {
          size = Math.max(1, size / 2);
          halvings++;
        }
        wake();
      };
    },
  };
}
