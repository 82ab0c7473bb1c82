/** @file SIGINT and SIGTERM: the first asks for an orderly end, the second ends the process. */

export interface Signals {
  readonly stopping: boolean;
  unwatch: () => void;
}

/** `onFirst` tells the user what happens now. */
export function watchSignals(onFirst: (signal: NodeJS.Signals) => void): Signals {
  const names = ["SIGINT", "SIGTERM"] as const;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (watch.stopping) process.exit(1);
    watch.stopping = true;
    onFirst(signal);
  };
  const watch = {
    stopping: false,
    unwatch: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
  for (const name of names) process.on(name, onSignal);
  return watch;
}
