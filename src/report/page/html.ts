/** @file HTML text: escaping, tables, numbers. */
import { TOO_FEW } from "../../eval/statistics/format.js";
import type { Estimate } from "../../eval/statistics/intervals.js";

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char]!);
}

/** JSON inside a script element: no text in it can end the element. */
export function jsonScript(id: string, value: unknown): string {
  return `<script type="application/json" id="${id}">${JSON.stringify(value).replaceAll("<", "\\u003c")}</script>`;
}

/** Cells are HTML already. The first column is text, the others numbers. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;
  const body = rows.map((cells) => row(cells, "td")).join("\n");
  return `<div class="wide"><table><thead>${row(head, "th")}</thead><tbody>${body}</tbody></table></div>`;
}

/** ".532 <small>.47 to .59</small>", ".532 <small>too few</small>"; a dash where nothing was decided. */
export function estimate({ value, low, high }: Estimate): string {
  if (value === null) return "–";
  return `${share(value)} <small>${interval({ low, high })}</small>`;
}

export function interval({ low, high }: Pick<Estimate, "low" | "high">): string {
  return low === null || high === null ? TOO_FEW : `${share(low)} to ${share(high)}`;
}

export function share(value: number): string {
  const text = Math.abs(value) < 1 ? value.toFixed(3).replace("0.", ".") : value.toFixed(2);
  return text.replace("-", "−");
}

export function integer(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
