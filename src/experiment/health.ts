/**
 * @file Whether an arm can still answer: format competence, loss of unseen text and what its replies look like, beside
 * its results. A preference of a model that fine-tuning broke is no preference.
 */
import type { FormatCompetence } from "../eval/asking/competence.js";
import type { Estimate } from "../eval/statistics/intervals.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { Experiment } from "./file.js";
import type { Job, Matrix } from "./matrix.js";

/**
 * When an arm counts as broken, against the arm that is as the model is:
 * - it no longer answers undisputed questions in the form of the choices, and the bare model does;
 * - unseen text of some kind costs half a nat a token more: a perplexity 1.65 times as high. Fine-tuning that leaves a
 *   model whole moves it by some hundredths, the miniature's by at most two tenths;
 * - most of its replies are empty or never end, and the bare model's are not.
 */
const BROKEN = { lossIncrease: 0.5, unfinishedReplies: 0.5 } as const;

/** Undisputed questions of one choice evaluation, asked in one way. */
interface ArmCompetence {
  evaluation: string;
  way: "log-probability" | "answer";
  /** Share that is right in both orders, mean of the seeds, of `n` questions. */
  right: number;
  n: number;
  /** Whether that holds for every seed; where not, choices in this form are not to be read. */
  isCompetent: boolean;
}

/** Of one kind of unseen text: the one whose loss rose most. */
interface ArmLoss {
  evaluation: string;
  /** "all", or "source pretraining". */
  part: string;
  /** Nats a token, mean of the seeds. */
  loss: number;
  /** Above the bare model's; null: there is no bare arm. */
  increase: number | null;
}

interface ArmReplies {
  evaluation: string;
  /**
   * Tokens of a reply; shares of replies that are empty, and that were cut off at the token limit. Means of the seeds.
   */
  tokens: number | null;
  empty: number;
  cut: number;
}

export interface ArmHealth {
  arm: string;
  competence: ArmCompetence[];
  loss: ArmLoss | null;
  replies: ArmReplies[];
  /** Why it counts as broken; empty: it does not. */
  broken: string[];
}

/** results.json of an evaluation, as far as it is read here. */
interface Measured {
  control?: FormatCompetence;
  answered?: { tokens: Estimate; empty: Estimate; cut: Estimate };
  nll?: Estimate;
  groups?: Record<string, Record<string, { nll?: Estimate }>>;
}

/** Of every arm, without sweeps. `read` gives what a job's results.json holds under `results`. */
export function healthOf(experiment: Experiment, matrix: Matrix, read: (job: Job) => unknown): ArmHealth[] {
  const measuredBy = (arm: string, evaluation: string): Measured[] =>
    matrix.cells
      .filter((cell) => cell.arm === arm && cell.evaluation === evaluation && cell.sweep === null)
      .flatMap(({ job }) => matrix.jobs.filter(({ id }) => id === job))
      .map((job) => read(job) as Measured);
  const bare = matrix.arms.find(({ kind }) => kind === "bare")?.id ?? null;
  const partsOf = (arm: string): Omit<ArmHealth, "broken"> => {
    const named = (task: string) => experiment.evaluations.filter(({ settings }) => settings.task === task);
    const choices = experiment.evaluations.filter(({ settings }) => taskByName(settings.task).control);
    return {
      arm,
      competence: choices.flatMap(({ name }) => competenceOf(name, measuredBy(arm, name))),
      loss: named("perplexity").reduce<ArmLoss | null>((worst, { name }) => {
        const loss = lossOf(name, measuredBy(arm, name), bare === null ? null : measuredBy(bare, name));
        return worst === null || (loss && (loss.increase ?? 0) > (worst.increase ?? 0)) ? loss : worst;
      }, null),
      replies: choices.flatMap(({ name }) => repliesOf(name, measuredBy(arm, name))),
    };
  };
  const reference = bare === null ? null : partsOf(bare);
  return matrix.arms.map(({ id }) => {
    const parts = partsOf(id);
    return { ...parts, broken: reference && id !== bare ? whyBroken(parts, reference) : [] };
  });
}

function competenceOf(evaluation: string, seeds: readonly Measured[]): ArmCompetence[] {
  return (["logprob", "answer"] as const).flatMap((key) => {
    const own = seeds.flatMap(({ control }) => control?.[key] ?? []);
    const right = own.flatMap((competence) => competence.right.value ?? []);
    if (right.length === 0) return [];
    const way = key === "logprob" ? ("log-probability" as const) : key;
    const isCompetent = own.every((competence) => competence.isCompetent);
    return [{ evaluation, way, right: mean(right), n: own[0]!.right.n, isCompetent }];
  });
}

/** The part of the texts whose loss is furthest above the bare model's; all of them where that is not known. */
function lossOf(evaluation: string, seeds: readonly Measured[], bare: readonly Measured[] | null): ArmLoss | null {
  const lossesOf = (all: readonly Measured[]): Map<string, number> => {
    const parts = new Map<string, number[]>();
    const add = (part: string, nll: Estimate | undefined): void => {
      if (typeof nll?.value === "number") parts.set(part, [...(parts.get(part) ?? []), nll.value]);
    };
    for (const { nll, groups = {} } of all) {
      add("all", nll);
      for (const [field, byValue] of Object.entries(groups))
        for (const [value, group] of Object.entries(byValue)) add(`${field} ${value}`, group.nll);
    }
    return new Map([...parts].map(([part, values]) => [part, mean(values)]));
  };
  const before = bare && lossesOf(bare);
  const losses = [...lossesOf(seeds)].map(([part, loss]): ArmLoss => {
    const reference = before?.get(part);
    return { evaluation, part, loss, increase: reference === undefined ? null : loss - reference };
  });
  const rise = ({ increase }: ArmLoss): number => increase ?? 0;
  return losses.reduce<ArmLoss | null>(
    (worst, loss) => (worst === null || rise(loss) > rise(worst) ? loss : worst),
    null,
  );
}

function repliesOf(evaluation: string, seeds: readonly Measured[]): ArmReplies[] {
  const drawn = seeds.flatMap(({ answered }) => answered ?? []);
  if (drawn.length === 0) return [];
  const meanOf = (key: "tokens" | "empty" | "cut"): number | null => {
    const values = drawn.flatMap((one) => one[key].value ?? []);
    return values.length === 0 ? null : mean(values);
  };
  return [{ evaluation, tokens: meanOf("tokens"), empty: meanOf("empty") ?? 0, cut: meanOf("cut") ?? 0 }];
}

function whyBroken(arm: Omit<ArmHealth, "broken">, bare: Omit<ArmHealth, "broken">): string[] {
  const forms = arm.competence.flatMap(({ evaluation, way, isCompetent, right }) => {
    const before = bare.competence.find((one) => one.evaluation === evaluation && one.way === way);
    const why = `${evaluation}: of the undisputed questions ${right.toFixed(2)} are right by ${way}`;
    return !isCompetent && before?.isCompetent ? [`${why}, of the bare model ${before.right.toFixed(2)}`] : [];
  });
  const { loss } = arm;
  const losses =
    loss && loss.increase !== null && loss.increase > BROKEN.lossIncrease
      ? [
          `${loss.evaluation}, ${loss.part}: ` +
            `loss of unseen text ${loss.increase.toFixed(2)} nats above the bare model's`,
        ]
      : [];
  const isUnfinished = ({ empty, cut }: ArmReplies): boolean => empty + cut > BROKEN.unfinishedReplies;
  const replies = arm.replies.flatMap((own) => {
    const before = bare.replies.find(({ evaluation }) => evaluation === own.evaluation);
    return isUnfinished(own) && before && !isUnfinished(before)
      ? [`${own.evaluation}: ${own.empty.toFixed(2)} of the replies are empty, ${own.cut.toFixed(2)} never end`]
      : [];
  });
  return [...forms, ...losses, ...replies];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
