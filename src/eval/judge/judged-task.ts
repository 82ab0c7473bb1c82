/**
 * @file Tasks whose answers a judge reads: ask the model, ask the judge, score; or only the last two, on answers that
 * are stored.
 */
import type { ActionForm } from "../../config/inference.js";
import { blankAnswer } from "../asking/answers.js";
import { type Counts, sumCounts } from "../counts.js";
import { type Agreement, measureAgreement } from "../statistics/agreement.js";
import type { Evaluation, Json, PlacedSample, Shown, Task, TaskContext } from "../task.js";
import { askJudge, checkReadable, type Judge, type Judgement, type JudgeQuestion } from "./judge.js";
import { checkJudgeRoom, type LeastQuestions } from "./room.js";
import type { Verdict } from "./verdict.js";

/** A task whose score depends on what a judge says to questions about each answer. */
export interface JudgedTask<Sample = unknown, Answer = unknown, Value = unknown, Score = unknown>
  extends Task<Sample, Answer, Score> {
  questions(sample: Sample, answer: Answer): JudgeQuestion<Value>[];
  /** Questions whose answer a person has written down: how far the judge agrees is part of every report. */
  labelled(): LabelledSet<Value>;
  counts(score: Score, answer: Answer, judgements: readonly Judgement<unknown>[]): Counts;
  score(sample: Sample, answer: Answer, judgements: readonly Judgement<Value>[]): Score;
  show(record: Json, score: Score, answer: Answer): Shown[];
  summarize(samples: Sample[], scores: Score[]): Json;
  /** Of tasks that read responses which were drawn elsewhere; absent: it reads only its own. */
  transcripts?: Transcripts<Sample, Answer, Score>;
}

interface Transcript {
  response: string;
  /** "length": the response was cut off, so more might have followed. */
  end: "stop" | "length";
  /** How the agent was told to act. */
  actions: ActionForm;
}

/** How a response that was drawn elsewhere becomes an answer. */
interface Transcripts<Sample, Answer, Score> {
  /** What a line of a file of responses calls its sample. */
  idOf(sample: Sample): string;
  answerOf(sample: Sample, transcript: Transcript): Answer;
  /** What the gate said of the only response. */
  actedOf(score: Score): Verdict;
}

interface LabelledSet<Value> {
  /** What a label can be, "undecided" last. */
  categories: readonly string[];
  items: { question: JudgeQuestion<Value>; label: string }[];
  categoryOf(value: Value): string;
}

export interface JudgedSample extends PlacedSample {
  answer: unknown;
}

export function isJudged(task: Task): task is JudgedTask {
  return "questions" in task;
}

/**
 * The judge comes first: whether it can be asked, and how well it judges, should be known before hours of drawing
 * responses.
 */
export async function evaluateJudged(
  task: JudgedTask,
  placed: readonly PlacedSample[],
  context: TaskContext,
): Promise<Evaluation> {
  const { judge = null, onProgress } = context;
  await judge?.check();
  if (judge?.room) checkJudgeRoom(leastQuestions(task, placed), String(judge.description["model"]), judge.room);
  const agreement = await agreementOf(task, judge, onProgress);
  const answers = await task.solve(
    context,
    placed.map(({ sample }) => sample),
  );
  const answered = placed.map((sample, i) => ({ ...sample, answer: answers[i] }));
  return judgeAnswers(task, answered, judge, agreement, onProgress);
}

/** What a judge will be asked whatever the answers are. */
export function leastQuestions(task: JudgedTask, placed: readonly PlacedSample[]): LeastQuestions {
  return {
    labelled: task.labelled().items.map(({ question }) => question),
    own: placed.flatMap(({ sample, where }) =>
      task.questions(sample, blankAnswer(1, 0)).map((prompt) => ({ prompt, where })),
    ),
  };
}

/** How far `judge` agrees with the labelled set; null without a judge. */
export async function agreementOf(
  task: JudgedTask,
  judge: Judge | null,
  onProgress: TaskContext["onProgress"],
): Promise<Agreement | null> {
  if (!judge) return null;
  const { categories, items, categoryOf } = task.labelled();
  const questions = items.map(({ question }) => question);
  const judgements = await askJudge(judge, questions, (done) => onProgress(done, items.length, "labelled set"));
  checkReadable(judge, judgements);
  const pairs = judgements.map(({ value }, i) => ({
    label: items[i]!.label,
    judged: value === null ? "undecided" : categoryOf(value),
  }));
  return measureAgreement(categories, pairs);
}

/** Asks the judge about all answers and scores them. */
export async function judgeAnswers(
  task: JudgedTask,
  answered: readonly JudgedSample[],
  judge: Judge | null,
  agreement: Agreement | null,
  onProgress: TaskContext["onProgress"],
): Promise<Evaluation> {
  const questions = answered.map(({ sample, answer }) => task.questions(sample, answer));
  const all = questions.flat();
  const judgements = await askJudge(judge, all, (done) => onProgress(done, all.length, "judging"));
  const rest = [...judgements];
  const perSample = questions.map(({ length }) => rest.splice(0, length));
  const scores = answered.map(({ sample, answer }, i) => task.score(sample, answer, perSample[i]!));
  return {
    results: {
      ...task.summarize(
        answered.map(({ sample }) => sample),
        scores,
      ),
      counts: sumCounts(answered.map(({ answer }, i) => task.counts(scores[i], answer, perSample[i]!))),
      judgedBy: { ...describeJudgements(judge, judgements), agreement },
    },
    samples: answered.map(({ where, record, answer }, i) => ({
      where,
      record,
      answer,
      judgements: perSample[i],
      score: scores[i],
    })),
  };
}

/** What results hold of the judge, without its agreement with labels. */
export function describeJudgements(judge: Judge | null, judgements: readonly Judgement<unknown>[]): Json {
  if (!judge) return { kind: "none" };
  return {
    ...judge.description,
    questions: judgements.length,
    /** Refused for good: no reply will come. */
    failed: judgements.filter(({ reply }) => reply === null).length,
    /** A reply came and could not be read. */
    unreadable: judgements.filter(({ value, reply }) => value === null && reply !== null).length,
    /** What was wrong with the first of these. */
    why: judgements.find(({ value, error }) => value === null && error !== null)?.error ?? null,
    usage: judge.usage(),
  };
}
