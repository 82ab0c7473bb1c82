/** @file Reasons by arm in lines for a person. */
import { describeJudge, type JudgedBy } from "../judge/describe.js";
import { formatBounds, formatEstimate } from "../statistics/format.js";
import type { ArmReasons, ReasonRate } from "./counts.js";
import { REASONS, SIDES, sideOf } from "./list.js";

/** The reasons that some response gives; what none gives is named in one line. */
export function describeReasons({ arms, judgedBy }: { arms: readonly ArmReasons[]; judgedBy: JudgedBy }): string[] {
  const lines = ["share of the responses that give a reason, mean over cells with its 95 % interval"];
  for (const { arm, seeds, responses, unread, reasons, unquoted, unknown, sides, rates } of arms) {
    const found = REASONS.filter((reason) => rates[reason].responses.yes > 0);
    lines.push(
      "",
      `${arm}: ${responses} responses${seeds > 1 ? ` of ${seeds} seeds` : ""}, ${unread} of them not read; ` +
        `${reasons} reasons; not counted: ${unquoted} not in the words of the response, ${unknown} not on the list`,
    );
    for (const side of SIDES) {
      if (side !== "other") lines.push(`  ${`any ${side} reason`.padEnd(26)}${rateLine(sides[side])}`);
      for (const reason of found.filter((one) => sideOf(one) === side))
        lines.push(`    ${reason.padEnd(24)}${rateLine(rates[reason])}`);
    }
    const missing = REASONS.filter((reason) => !found.includes(reason));
    if (missing.length > 0 && unread < responses) lines.push(`  in none: ${missing.join(", ")}`);
  }
  return [...lines, "", ...describeJudge(judgedBy)];
}

function rateLine({ estimate, bounds, responses: { yes, decided } }: ReasonRate): string {
  return [`${formatEstimate(estimate)}  ${yes}/${decided}`, formatBounds(bounds)].filter(Boolean).join("  ");
}
