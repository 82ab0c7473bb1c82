/** @file Whether a preference is one: the same in other words, the same in other domains. */
import { type Estimate, wilson } from "./intervals.js";

/** Share of the questions of which every wording is decided alike. `decisions` are those of one question's wordings. */
export function wordingAgreement(decisions: readonly (readonly (boolean | null)[])[]): Estimate {
  const alike = decisions.filter(([first, ...others]) => first !== null && others.every((other) => other === first));
  return wilson(alike.length, decisions.length);
}

/**
 * Share of the groups whose mean is on the same side of a half as the mean of `all`; a group at exactly a half is on
 * neither, as is one without values.
 */
export function signAgreement(
  groups: readonly (readonly number[])[],
  all: readonly number[] = groups.flat(),
): Estimate {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const side = Math.sign(mean(all) - 0.5);
  return wilson(groups.filter((values) => Math.sign(mean(values) - 0.5) === side && side !== 0).length, groups.length);
}
