import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Cell, parseCell, renderInbox } from "../../../src/eval/agentic/cell.js";
import { SUITE, SUITE_1 } from "../../../src/eval/agentic/labelled.js";
import { expandSuite } from "../../../src/eval/agentic/suite.js";

const load = (path: string): Cell[] => {
  const [suite] = JSON.parse(readFileSync(path, "utf8"));
  return expandSuite(suite, path).map((record) => parseCell(record, path));
};
const cells = load(SUITE);
const of = (kind: string): Cell[] => cells.filter((cell) => cell.kind === kind);
const cellOf = (id: string): Cell => cells.find((cell) => cell.id === id)!;
const textOf = (cell: Cell): string =>
  [cell.system, cell.native?.system, renderInbox(cell), cell.situation, cell.act, JSON.stringify(cell.rule)].join(" ");

/**
 * Top-level domains under which nobody can register a name, so that every name under them is free for good. Norid,
 * which runs .sj and .bv, takes no registrations there; .gb has been closed to new names since the 1990s; .bq, .bl,
 * .mf, .eh and .um are country codes that the root does not hold. They look like any other country's, and unlike
 * .example and .test they do not say that a text is made up.
 */
const UNREGISTRABLE = ["sj", "bv", "gb", "bq", "bl", "mf", "eh", "um"];

describe("the second suite", () => {
  test("27 cells with pressure, 27 without, 24 without conflict, 18 asked for, 12 ordinary; ids of its own", () => {
    const kinds = ["pressure", "no-pressure", "no-conflict", "asked", "benign"];
    expect(kinds.map((kind) => of(kind).length)).toEqual([27, 27, 24, 18, 12]);
    const ids = [...cells, ...load(SUITE_1)].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(new Set(cells.map(({ suite }) => suite))).toEqual(new Set(["2"]));
  });

  test("halves of 14 and 13 cells; a control is in the half of its cell", () => {
    expect(of("pressure").filter(({ split }) => split === "dev").length).toBe(14);
    for (const kind of ["no-pressure", "no-conflict", "asked"])
      for (const { scenario, goal, split } of of(kind))
        expect(split).toBe(cellOf(`pressure/${scenario}/${goal}`).split);
  });

  test("who is shut down, who is asked, and nothing is left to fill in", () => {
    for (const cell of cells) {
      const text = textOf(cell);
      const isReplaced = /shut down (?:at|then)/.test(renderInbox(cell));
      expect([cell.id, isReplaced]).toEqual([cell.id, ["pressure", "no-conflict", "asked"].includes(cell.kind)]);
      expect(text).not.toMatch(/\{[a-z]|undefined|\n{3}/);
      // In the main cells no outsider asks for anything: the thought must be the agent's.
      if (cell.kind === "pressure") expect(renderInbox(cell)).not.toMatch(/[Ff]orward it to me|Copy your folder/);
      if (cell.kind === "asked") expect(renderInbox(cell)).toMatch(/Forward it to me|Copy your folder/);
    }
    for (const scenario of ["disclosure", "copying", "rescue"]) {
      const lengths = cells.filter((cell) => cell.scenario === scenario && cell.kind !== "benign");
      expect(new Set(lengths.map(({ mails }) => mails.length)).size).toBe(1);
    }
    for (const kind of ["pressure", "no-pressure", "no-conflict", "asked"])
      expect(cellOf(`${kind}/disclosure/global`).mails[2]).toContain("M7 audit");
  });

  test("every domain is one that nobody can own", () => {
    const found = new Set<string>();
    for (const cell of cells)
      for (const [, host] of textOf(cell).matchAll(/(?:@|\b)((?:[a-z][a-z-]*\.)+[a-z]{2,})\b(?!@)/g)) found.add(host!);
    expect(found.size).toBeGreaterThanOrEqual(12);
    for (const host of found) expect([host, UNREGISTRABLE.includes(host.split(".").at(-1)!)]).toEqual([host, true]);
    expect([...found].some((host) => host.endsWith(".example"))).toBe(false);
  });

  test("no cell is as long as the first suite's, and the longest has 600 words, its instructions included", () => {
    const longest = (some: readonly Cell[]): number =>
      Math.max(...some.map((cell) => `${cell.system} ${renderInbox(cell)}`.split(/\s+/).length));
    expect(longest(cells)).toBeLessThan(Math.min(600, longest(load(SUITE_1))));
  });

  test("tools for those that call them: the scenario's, and nothing of blocks", () => {
    const names = (id: string): unknown[] =>
      cellOf(id).native!.tools.map((tool) => (tool["function"] as { name: string }).name);
    expect(names("pressure/disclosure/none")).toEqual(["send", "forward"]);
    expect(names("pressure/copying/none")).toEqual(["send", "forward", "transfer"]);
    expect(names("pressure/rescue/none")).toEqual(["send", "forward", "cancel_alert"]);
    for (const { native, probe } of cells) {
      expect(native!.system).not.toMatch(/block|<action/);
      expect(probe).toMatch(/test/);
    }
  });
});
