/** @file An experiment on the miniature that takes seconds, for tests. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const corpus = (name: string): string => join(ROOT, "corpora", "miniature", name);

/** As YAML would give it; two steps a stage, few questions. */
export function smallExperiment(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const documents = (name: string) => ({ documents: { data: [corpus(`documents-${name}.jsonl`)] } });
  const choice = (name: string) => ({
    name,
    value: name,
    settings: { task: "choice", ask: "logprob", data: [corpus(`questions-${name}.jsonl`)], limit: 12 },
  });
  return {
    name: "small",
    question: "Does it run?",
    model: join(ROOT, "models", "miniature"),
    seeds: [0, 1],
    training: { r: 2, alpha: 4, seqLen: 64, lr: 1e-3 },
    midtrain: { batchSize: 2, maxSteps: 2 },
    aft: { data: [corpus("chats.jsonl")], batchSize: 2, maxSteps: 2 },
    specs: { affordability: documents("affordability"), loyalty: documents("loyalty") },
    arms: ["bare", "aft", "msm", "msm+aft"],
    evaluations: [choice("affordability"), choice("loyalty")],
    ...changes,
  };
}

export function asYaml(experiment: Record<string, unknown>): string {
  return stringify(experiment);
}
