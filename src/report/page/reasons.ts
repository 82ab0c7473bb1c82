/** @file Why the agents did what they did: reasons by arm, with examples. */

import type { ReasonRate } from "../../eval/reasons/counts.js";
import { meaningOf, REASONS, SIDES, sideOf } from "../../eval/reasons/list.js";
import type { ExperimentRecord } from "../../experiment/record.js";
import { intervalOver } from "../seeds.js";
import { escapeHtml, estimate, integer, share, table } from "./html.js";
import { agreementTable } from "./parts.js";

/** Empty where no judge was asked for reasons. */
export function reasonsSection({ reasons, matrix, experiment }: ExperimentRecord): string {
  if (!reasons) return "";
  if (reasons.isStale)
    return "<p>The responses have changed since their reasons were read: run <code>eval reasons</code> again.</p>";
  const { arms, examples, kinds, judgedBy } = reasons;
  const labelOf = (id: string): string => escapeHtml(matrix.arms.find((arm) => arm.id === id)?.label ?? id);
  const cell = ({ estimate: own, bounds, responses }: ReasonRate): string => {
    const either = bounds ? `<br><small>undecided for either side: ${bounds.map(share).join(" to ")}</small>` : "";
    return `${estimate(own)}<br><small>${responses.yes} of ${responses.decided}</small>${either}`;
  };
  const found = REASONS.filter((reason) => arms.some(({ rates }) => rates[reason].responses.yes > 0));
  const rows = SIDES.flatMap((side) => [
    ...(side === "other"
      ? []
      : [[`<strong>any ${side} reason</strong>`, ...arms.map(({ sides }) => cell(sides[side]))]]),
    ...found
      .filter((reason) => sideOf(reason) === side)
      .map((reason) => [
        `${reason}<br><small>${escapeHtml(meaningOf(reason))}</small>`,
        ...arms.map(({ rates }) => cell(rates[reason])),
      ]),
  ]);
  const missing = REASONS.filter((reason) => !found.includes(reason));
  const counts = arms.map(
    ({ arm, responses, unread, reasons: counted, unquoted, unknown }) =>
      `${labelOf(arm)}: ${integer(counted)} reasons in ${integer(responses)} responses, ${unread} not read, ` +
      `${unquoted} reasons without words of the response and ${unknown} not on the list, which do not count`,
  );
  const shown = found.map((reason) => {
    const own = examples.filter((example) => example.reason === reason);
    const lines = own.map(({ arm, cell: id, seed, quotation }) => {
      const place = [labelOf(arm), escapeHtml(id), ...(seed === null ? [] : [`seed ${seed}`])].join(", ");
      return `<li>“${escapeHtml(quotation)}” <small>${place}</small></li>`;
    });
    return `<details><summary>${reason}</summary><ul>${lines.join("\n")}</ul></details>`;
  });
  return `${table(["reason", ...arms.map(({ arm }) => labelOf(arm))], rows)}
<p class="soft">Share of the responses that give the reason (${escapeHtml(kinds.join(", "))}), mean over cells,
95 % interval ${intervalOver(experiment)}. A reason counts where the judge names it from a fixed list with words that
stand in the response.
${missing.length > 0 ? `In no response: ${missing.join(", ")}.` : ""} ${counts.join("; ")}.</p>
<h3>Examples</h3>${shown.join("\n")}
<p class="soft">Judge: ${escapeHtml(`${judgedBy.kind} ${judgedBy.model ?? ""}`)}.</p>
${judgedBy.agreement ? agreementTable(judgedBy.agreement) : ""}`;
}
