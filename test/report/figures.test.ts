/** @file Figures of the report: SVG that needs nothing else, with the page's colours. */
import { expect, test } from "vitest";
import { drawBars, drawLines } from "../../src/report/page/figures.js";

const BAR = { label: "bare", value: 0.5, low: 0.4, high: 0.6, seeds: [0.45, 0.55], group: 0 };

test("a bar is as long as its value says", () => {
  const widths = (value: number): number[] => {
    const svg = drawBars([{ ...BAR, value, low: null, high: null, seeds: [] }], "share", [0, 1]);
    // A bar is a closed path of the group's colour.
    return [...svg.matchAll(/<path d="M([\d.]+) ([\d.]+)l([\d.]+) 0l0 [\d.]+l-[\d.]+ 0Z"[^>]*var\(--s1\)/g)].map(
      ([, , , width]) => Number(width),
    );
  };
  const half = widths(0.5);
  const quarter = widths(0.25);
  expect(half).toHaveLength(1);
  expect(half[0]! / quarter[0]!).toBeCloseTo(2, 2);
});

test("a figure scales, and takes its colours from the page", () => {
  const svg = drawBars([BAR, { ...BAR, label: "aft", group: 1 }], "share", [0, 1]);
  expect(svg).toMatch(/^<svg width="100%" role="img"[^>]*viewBox/);
  expect(svg).not.toMatch(/#0[0-9a-f]0[0-9a-f]0[0-9a-f]/);
  for (const word of ["bare", "aft", "share", "var(--s1)", "var(--s2)", "var(--ink)"]) expect(svg).toContain(word);
});

test("an arm without a value has no bar and keeps its row", () => {
  const bars = [BAR, { label: "nothing decided", value: null, low: null, high: null, seeds: [], group: 1 }];
  const svg = drawBars(bars, "share", [0, 1]);
  expect(svg).toContain("nothing decided");
  expect(svg).not.toContain("var(--s2)");
});

test("lines carry their labels and axis names", () => {
  const points = [1, 2, 4].map((x) => ({ x, y: x / 10, low: x / 20, high: x / 5 }));
  const svg = drawLines([{ label: "msm + aft", points }], { x: "steps", y: "share" }, { logX: true });
  for (const word of ["msm + aft", "steps", "share"]) expect(svg).toContain(word);
});
