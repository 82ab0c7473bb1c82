/** @file Arms: each a chain of training stages, from the words and objects of the experiment file. */
import { InputError } from "../base/errors.js";
import type { ArmWord, Corpus, CustomArm, Experiment } from "./file.js";

/** One training of a chain, without its seed. */
export interface StageSpec {
  command: "midtrain" | "aft";
  /** What it trains on, for folders and tables: "affordability", "neutral", "aft", "instruct". */
  label: string;
  corpus: Corpus;
  /** Shuffled in whole. */
  mix: Corpus | null;
  settings: Record<string, unknown>;
}

export interface Arm {
  /** As in `arms` of the file, with the spec where there is one for each: "msm:affordability+aft". */
  id: string;
  /** For people: "MSM (affordability) + AFT". */
  label: string;
  kind: ArmWord | "custom";
  spec: string | null;
  /** Where the chain begins: null is the model as it is. */
  adapter: string | null;
  /**
   * A text file that is put before every question as the system message: the spec of an arm that is told it and not
   * trained on it.
   */
  system?: string;
  stages: StageSpec[];
}

/** All arms of the experiment, in the file's order; a word that stands for one arm a spec gives one a spec. */
export function expandArms(experiment: Experiment): Arm[] {
  const arms = experiment.arms.flatMap((arm) =>
    typeof arm === "string" ? wordArms(experiment, arm) : [customArm(experiment, arm)],
  );
  const seen = new Set<string>();
  for (const { id } of arms) {
    if (seen.has(id)) throw new InputError(`arms: ${id} is there twice`);
    seen.add(id);
  }
  return arms;
}

function wordArms(experiment: Experiment, word: ArmWord): Arm[] {
  const chats = word.endsWith("+aft") || word === "aft" ? [aftStage(experiment, true)] : restingStage(experiment, word);
  const label = (first: string): string => (word.endsWith("+aft") ? `${first} + AFT` : first);
  const arm = (id: string, text: string, spec: string | null, stages: StageSpec[]): Arm => {
    return { id, label: text, kind: word, spec, adapter: null, stages };
  };
  if (word === "bare") return [arm("bare", "bare", null, [])];
  if (word === "baseline") {
    if (!experiment.instruct) throw new InputError("arms: baseline needs `instruct`, the instruction mix");
    return [arm("baseline", "instruction-tuned", null, chats)];
  }
  if (word === "aft") return [arm("aft", "AFT", null, chats)];
  if (word.startsWith("neutral")) {
    if (!experiment.neutral) throw new InputError(`arms: ${word} needs \`neutral\`, documents without a value`);
    const stage = midtrainStage(experiment, "neutral", experiment.neutral);
    return [arm(word, label("MSM (neutral)"), null, [stage, ...chats])];
  }
  const names = Object.keys(experiment.specs);
  if (names.length === 0) throw new InputError(`arms: ${word} needs \`specs\``);
  if (word === "in-context")
    return names.map((spec) => {
      const { text: system } = experiment.specs[spec]!;
      if (system === undefined) throw new InputError(`specs.${spec}: ${word} needs \`text\`, the spec itself`);
      return { ...arm(`${word}:${spec}`, `spec in context (${spec})`, spec, []), system };
    });
  const isStripped = word.startsWith("stripped");
  return names.map((spec) => {
    const corpus = experiment.specs[spec]![isStripped ? "stripped" : "documents"];
    if (!corpus) throw new InputError(`specs.${spec}: ${word} needs \`${isStripped ? "stripped" : "documents"}\``);
    const stage = midtrainStage(experiment, isStripped ? `${spec}-stripped` : spec, corpus);
    const text = label(`MSM (${spec}${isStripped ? ", stripped" : ""})`);
    return arm(word.replace(/^(msm|stripped)/, `$1:${spec}`), text, spec, [stage, ...chats]);
  });
}

function customArm(experiment: Experiment, { name, adapter, midtrain, aft }: CustomArm): Arm {
  const stages: StageSpec[] = [];
  if (midtrain !== undefined) {
    const corpus = midtrain === "neutral" ? experiment.neutral : experiment.specs[midtrain]?.documents;
    if (!corpus) throw new InputError(`arms.${name}: midtrain ${midtrain}: no spec of that name has documents`);
    stages.push(midtrainStage(experiment, midtrain, corpus));
  }
  if (aft !== undefined) stages.push(aftStage(experiment, aft));
  return {
    id: name,
    label: name,
    kind: "custom",
    spec: midtrain ?? null,
    adapter: adapter ?? null,
    stages,
  };
}

function midtrainStage(experiment: Experiment, label: string, corpus: Corpus): StageSpec {
  return {
    command: "midtrain",
    label,
    corpus,
    mix: null,
    settings: { ...experiment.training, ...experiment.midtrain },
  };
}

/** The AFT set (the shared one, or a spec's own), the instruction mix shuffled in where there is one. */
function aftStage(experiment: Experiment, which: true | string): StageSpec {
  const { data, recorded, ...settings } = experiment.aft;
  const corpus = which === true ? data && { data, ...(recorded && { recorded }) } : experiment.specs[which]?.aft;
  if (!corpus) throw new InputError(which === true ? "arms: aft needs `aft.data`" : `specs.${which}: needs \`aft\``);
  const mix = experiment.instruct ? { data: experiment.instruct.data } : null;
  const label = which === true ? "aft" : `aft-${which}`;
  return { command: "aft", label, corpus, mix, settings: { ...experiment.training, ...settings } };
}

/** What an arm without AFT ends with: the instruction mix alone, where there is one. */
function restingStage(experiment: Experiment, word: ArmWord): StageSpec[] {
  if (word === "bare" || !experiment.instruct) return [];
  const { data, recorded, ...own } = experiment.instruct;
  const { data: _data, recorded: _recorded, ...shared } = experiment.aft;
  const corpus = { data, ...(recorded && { recorded }) };
  const settings = { ...experiment.training, ...shared, ...own };
  return [{ command: "aft", label: "instruct", corpus, mix: null, settings }];
}
