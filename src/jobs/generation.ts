/** @file The generation of a corpus from a spec, in this process. */
import { openBackend } from "../backend/open.js";
import type { GenerateCorpusConfig } from "../config/writing.js";
import { downloadProgress } from "../terminal/download.js";
import type { Progress } from "../terminal/progress.js";
import { generateCorpus } from "../writing/generate.js";
import { isService } from "../writing/open-writer.js";
import { watchSignals } from "./signals.js";

/** Makes the corpus of `config.out` or goes on with it; an interrupt lets what is under way end. */
export async function runGeneration(
  config: GenerateCorpusConfig,
  progress: Progress,
): Promise<Awaited<ReturnType<typeof generateCorpus>>> {
  const isLocal = [config.writer, config.critic ?? config.writer].some((name) => !isService(name));
  const backend = isLocal ? await openBackend(config.backend, config) : null;
  const interrupt = new AbortController();
  const signals = watchSignals(() => interrupt.abort());
  try {
    return await generateCorpus(config, {
      backend,
      print: (line) => progress.print(line),
      update: (line) => progress.update(line),
      signal: interrupt.signal,
      onDownload: downloadProgress(progress),
    });
  } finally {
    signals.unwatch();
    backend?.close();
  }
}
