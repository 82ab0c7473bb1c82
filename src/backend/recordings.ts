/** @file Work that comes again and again: recorded once, then replayed with one call. */
import type { Backend, Recording } from "./backend.js";

export interface Recordings {
  /**
   * Appends the part's work. `enqueue` must append the same ops on the same tensors whenever it is given with this
   * name: only memory may differ.
   */
  run(part: string, enqueue: () => void): void;
  free(): void;
}

/**
 * A part runs as it is the first time, because what an op does only once (timing the candidates for a matrix product)
 * cannot be recorded; the second time it is recorded. The work is the same, and so are its bits. MSM_GRAPHS=0: nothing
 * is recorded.
 */
export function openRecordings(backend: Backend): Recordings {
  const isOff = process.env["MSM_GRAPHS"] === "0";
  const parts = new Map<string, Recording | null>();
  return {
    run(part, enqueue) {
      const known = parts.get(part);
      if (isOff || known === undefined) {
        parts.set(part, null);
        enqueue();
        return;
      }
      const recording = known ?? backend.record(enqueue);
      parts.set(part, recording);
      recording.replay();
    },
    free() {
      for (const recording of parts.values()) recording?.free();
      parts.clear();
    },
  };
}
