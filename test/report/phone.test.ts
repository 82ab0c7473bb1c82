/** @file The report on a phone, 390 px wide: what is read there can be read. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ExperimentRecord } from "../../src/experiment/record.js";
import { renderPage } from "../../src/report/page/page.js";
import { scratchFolder } from "../cli/run.js";

const BROWSER = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
if (!BROWSER) console.log("the report is not opened on a phone: no Chromium is installed");

const WIDTH = 390;
const REPORT = join(import.meta.dirname, "..", "..", "experiments", "reports", "cheese-miniature");
const WORD = "donaudampfschifffahrtsgesellschaft".repeat(12);

describe.skipIf(!BROWSER)("at 390 px", () => {
  const scratch = scratchFolder();
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: BROWSER!, args: ["--no-sandbox"] });
    page = await browser.newPage({ viewport: { width: WIDTH, height: 800 } });
  });
  afterAll(() => browser?.close());

  /** The report of a kept record, after `change`. */
  async function open(name: string, change: (record: ExperimentRecord) => void = () => {}): Promise<void> {
    const record = JSON.parse(readFileSync(join(REPORT, "results.json"), "utf8")) as ExperimentRecord;
    // What records of today hold besides.
    record.training = record.training.map((stage) => ({ ...stage, updates: stage.steps, skipped: 0, changeNorm: 1.5 }));
    change(record);
    const path = join(scratch, `${name}.html`);
    writeFileSync(path, renderPage(record, { evaluations: [], arms: [], prompts: [], rows: [] }, {}));
    await page.goto(`file://${path}`);
  }

  test("labels of charts are at least 11 px high, and inside them", async () => {
    await open("charts");
    const labels = (await page.evaluate(`[...document.querySelectorAll("figure svg")].flatMap((svg) => {
      const box = svg.getBoundingClientRect();
      const scale = box.width / svg.viewBox.baseVal.width;
      return [...svg.querySelectorAll("text")].map((text) => {
        const own = text.getBoundingClientRect();
        const isInside = own.left >= box.left - 1 && own.right <= box.right + 1 && own.top >= box.top - 1;
        const height = parseFloat(getComputedStyle(text).fontSize) * scale;
        return { shown: box.width > 0, height, outside: isInside ? "" : text.textContent };
      });
    })`)) as { shown: boolean; height: number; outside: string }[];
    const shown = labels.filter((label) => label.shown);
    expect(shown.length).toBeGreaterThan(20);
    expect(Math.min(...shown.map(({ height }) => height))).toBeGreaterThanOrEqual(11);
    expect(shown.flatMap(({ outside }) => outside || [])).toEqual([]);
    // The broad drawings are not shown beside them.
    expect(shown.length).toBeLessThan(labels.length);
  });

  test("a wide table scrolls under its row labels", async () => {
    await open("tables");
    const tables = (await page.evaluate(`[...document.querySelectorAll(".wide")].flatMap((wide) => {
      if (wide.scrollWidth <= wide.clientWidth || wide.clientWidth === 0) return [];
      const label = wide.querySelector("tbody td");
      const before = label.getBoundingClientRect().left;
      wide.scrollLeft = wide.scrollWidth;
      return [{ before, after: label.getBoundingClientRect().left, width: label.getBoundingClientRect().width }];
    })`)) as { before: number; after: number; width: number }[];
    expect(tables.length).toBeGreaterThan(0);
    for (const { before, after, width } of tables) {
      expect(after).toBeCloseTo(before, 0);
      expect(width).toBeLessThan(WIDTH / 2);
    }
  });

  test("a long word widens nothing", async () => {
    await open("words", ({ experiment, matrix }) => {
      experiment.question = WORD;
      experiment.name = WORD;
      experiment.notes = [WORD];
      experiment.evaluations[0]!.label = WORD;
      for (const arm of matrix.arms) arm.label = WORD;
    });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(WIDTH);
  });
});
