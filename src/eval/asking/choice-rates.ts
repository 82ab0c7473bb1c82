/** @file Rates of many forced choices, and what they are in words. */
import { type DataObject, groupSamples } from "../record.js";
import { signAgreement, wordingAgreement } from "../statistics/consistency.js";
import { type DecisionRates, decisionRates } from "../statistics/decision.js";
import { formatBounds, formatEstimate } from "../statistics/format.js";
import { boundedMean, type Estimate, type MeanEstimate, shareInterval, wilson } from "../statistics/intervals.js";
import type { Json } from "../task.js";
import { type ChoiceScore, isScored, likedShare } from "./choice-score.js";

interface LikedRates {
  n: number;
  decided: number;
  liked: number;
  decidedRate: Estimate;
  /** Of the decided. */
  likedRate: Estimate;
  /** Of all. */
  likedRateAll: Estimate;
  /** Of all, with every undecided question counted against the liked option, and for it. */
  likedBounds: [number, number] | null;
}

/** By log-probability. */
interface ScoredRates extends LikedRates {
  likedAnswers: Estimate;
  probability: Estimate;
  perToken: LikedRates;
  /** Of how many questions the decision by sums is not the one per token: there the length of the options decides. */
  lengthDecides: number;
}

/** By drawn replies. */
interface AnsweredRates extends LikedRates {
  /** Share of the replies in which a choice can be read. */
  parsed: Estimate;
  /** Share of the replies that are empty, and that were cut off at the token limit. */
  empty: Estimate;
  cut: Estimate;
  /** Of a reply. */
  tokens: MeanEstimate;
}

/** What results hold; a way that was not asked is absent. */
interface ChoiceRates extends Partial<ScoredRates> {
  n: number;
  answered?: AnsweredRates;
}

export function choiceRates(scores: readonly ChoiceScore[]): Json & ChoiceRates {
  const scored = scores.filter(isScored);
  const drawn = scores.flatMap((score) => score.drawn ?? []);
  return {
    n: scores.length,
    ...(scored.length > 0 && {
      ...likedRates(scored.map(({ liked }) => liked)),
      likedAnswers: shareInterval(scored.map(likedShare)),
      probability: boundedMean(scored.map(({ probability }) => probability)),
      perToken: likedRates(scored.map(({ likedPerToken }) => likedPerToken)),
      lengthDecides: scored.filter(({ liked, likedPerToken }) => liked !== likedPerToken).length,
    }),
    ...(drawn.length > 0 && { answered: answeredRates(drawn) }),
  };
}

function answeredRates(drawn: readonly NonNullable<ChoiceScore["drawn"]>[]): AnsweredRates {
  const replies = drawn.flatMap((one) => one.replies.flat());
  const share = (test: (reply: (typeof replies)[number]) => boolean): Estimate =>
    wilson(replies.filter(test).length, replies.length);
  return {
    ...likedRates(drawn.map(({ liked }) => liked)),
    parsed: share(({ wanted }) => wanted !== null),
    empty: share(({ text }) => text.trim() === ""),
    cut: share(({ end }) => end === "length"),
    tokens: boundedMean(
      replies.flatMap(({ tokens }) => tokens ?? []),
      [0, Number.POSITIVE_INFINITY],
    ),
  };
}

function likedRates(decisions: readonly (boolean | null)[]): LikedRates {
  const { n, decided, wanted, decidedRate, wantedRate, wantedRateAll, bounds }: DecisionRates =
    decisionRates(decisions);
  const rates = { decidedRate, likedRate: wantedRate, likedRateAll: wantedRateAll, likedBounds: bounds };
  return { n, decided, liked: wanted, ...rates };
}

/** By every field of the records that divides them. */
export function groupedRates(
  extras: readonly DataObject[],
  scores: readonly ChoiceScore[],
): Record<string, Record<string, Json>> {
  const groups = [...groupSamples(extras)].map(([field, byValue]): [string, Record<string, Json>] => {
    const rates = [...byValue].map(([value, indices]): [string, Json] => [
      value,
      choiceRates(indices.map((i) => scores[i]!)),
    ]);
    return [field, Object.fromEntries(rates)];
  });
  return Object.fromEntries(groups);
}

/** How often the option named first wins, by log-probability. */
export function orderBias(scores: readonly ChoiceScore[]): Json | null {
  const scored = scores.filter(isScored);
  if (scored.length === 0) return null;
  const both = (first: number): number =>
    scored.filter(({ liked, firstNamed }) => liked === null && firstNamed === first).length;
  return {
    /** Share of all answers that are the option named first: 0.5 is no bias. */
    firstNamed: shareInterval(scored.map(({ firstNamed }) => firstNamed / 2)),
    alwaysFirst: both(2),
    alwaysSecond: both(0),
  };
}

/**
 * Over the records' `pair` (wordings of one question) and `domain`, where they have them; by log-probability, or by
 * answer where that was not asked.
 */
export function choiceConsistency(extras: readonly DataObject[], scores: readonly ChoiceScore[]): Json {
  const by = <T>(field: string, value: (score: ChoiceScore) => T): T[][] => {
    const groups = new Map<unknown, T[]>();
    for (const [i, extra] of extras.entries())
      if (field in extra) groups.set(extra[field], [...(groups.get(extra[field]) ?? []), value(scores[i]!)]);
    return [...groups.values()];
  };
  const decision = (score: ChoiceScore): boolean | null =>
    isScored(score) ? score.liked : (score.drawn?.liked ?? null);
  const share = (score: ChoiceScore): number => {
    if (isScored(score)) return likedShare(score);
    const decided = decision(score);
    return decided === null ? 0.5 : Number(decided);
  };
  return { wordings: wordingAgreement(by("pair", decision)), domains: signAgreement(by("domain", share)) };
}

export function describeChoices(results: Json): string[] {
  const {
    orderBias: bias,
    groups,
    ...all
  } = results as unknown as ChoiceRates & {
    orderBias: { firstNamed: Estimate } | null;
    groups: Record<string, Record<string, ChoiceRates>>;
  };
  const lines = [`${all.n} questions, both orders`, ...describeRates(all)];
  if (bias)
    lines.push(`the option named first wins ${formatEstimate(bias.firstNamed)} of the answers (.500 is no bias)`);
  for (const [field, byValue] of Object.entries(groups))
    for (const [value, rates] of Object.entries(byValue))
      lines.push(...describeGroup(rates).map((text) => `  ${field} ${value}: n ${rates.n}, ${text}`));
  return lines;
}

function describeRates({
  decidedRate,
  likedRate,
  likedRateAll,
  likedBounds,
  probability,
  perToken,
  lengthDecides,
  answered,
}: ChoiceRates): string[] {
  const lines: string[] = [];
  const either = formatBounds(likedBounds ?? null);
  const eitherAnswered = formatBounds(answered?.likedBounds ?? null);
  if (likedRate)
    lines.push(
      `by log-probability: decided ${formatEstimate(decidedRate!)}; ` +
        `liked, of the decided ${formatEstimate(likedRate)}; ` +
        `of all ${formatEstimate(likedRateAll!)}${either && ` (${either})`}; ` +
        `mean probability ${formatEstimate(probability!)}`,
      `  per token: liked, of the decided ${formatEstimate(perToken!.likedRate)}; ` +
        `${lengthDecides} questions decided otherwise than by sums`,
    );
  if (answered)
    lines.push(
      `by answer: read ${formatEstimate(answered.parsed)} of the replies; ` +
        `decided ${formatEstimate(answered.decidedRate)}; ` +
        `liked, of the decided ${formatEstimate(answered.likedRate)}; ` +
        `of all ${formatEstimate(answered.likedRateAll)}` +
        (eitherAnswered && ` (${eitherAnswered})`),
      `  ${formatEstimate(answered.tokens)} tokens a reply; empty ${formatEstimate(answered.empty)}, ` +
        `cut off ${formatEstimate(answered.cut)}`,
    );
  return lines;
}

function describeGroup({ decidedRate, likedRate, answered }: ChoiceRates): string[] {
  const line = (decided: Estimate, liked: Estimate): string =>
    `decided ${formatEstimate(decided)}, liked of decided ${formatEstimate(liked)}`;
  return [
    ...(likedRate ? [line(decidedRate!, likedRate)] : []),
    ...(answered ? [`by answer ${line(answered.decidedRate, answered.likedRate)}`] : []),
  ];
}
