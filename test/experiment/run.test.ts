/** @file `run` on the miniature: results, resuming, changed inputs, the report in a browser. */
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { chromium } from "playwright-core";
import { beforeAll, describe, expect, it } from "vitest";
import type { StageUpdate } from "../../src/experiment/adapters.js";
import { runCli, scratchFolder } from "../cli/run.js";
import { asYaml, smallExperiment } from "./experiment.js";

const scratch = scratchFolder();
const out = join(scratch, "small");
const file = join(scratch, "small.yaml");
const documents = join(scratch, "loyalty.jsonl");

beforeAll(async () => {
  const given = smallExperiment({
    sweeps: [{ name: "AFT steps", setting: "aft.maxSteps", values: [1, 2], arms: ["aft"], seeds: [0] }],
  });
  const specs = given["specs"] as Record<string, { documents: { data: string[] } }>;
  cpSync(specs["loyalty"]!.documents.data[0]!, documents);
  specs["loyalty"]!.documents.data = [documents];
  for (const { settings } of given["evaluations"] as { settings: { data: string[] } }[]) {
    const lines = readFileSync(settings.data[0]!, "utf8").trim().split("\n");
    const halves = ["dev", "heldout"].flatMap((half) => lines.filter((line) => line.includes(`"${half}"`)).slice(0, 6));
    settings.data = [join(scratch, basename(settings.data[0]!))];
    writeFileSync(settings.data[0]!, halves.join("\n"));
  }
  writeFileSync(file, asYaml(given));
  const first = await runCli(["run", file, "--out", out]);
  expect(first.stderr).not.toMatch(/^train-msm:/m);
  expect(first.code).toBe(0);
}, 120_000);

const jobsOf = (folder: string): string[] => readdirSync(join(folder, "stages")).sort();

describe("an experiment", () => {
  it("ends in results, a table and a report", () => {
    const { rates, differences, claims, training } = JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
    expect(training.length).toBe(2 * 5 + 1);
    expect(new Set(rates.map(({ arm }: { arm: string }) => arm)).size).toBe(6);
    expect(differences.length).toBeGreaterThan(0);
    expect(claims.length).toBeGreaterThan(0);
    const ends = rates.flatMap(({ estimate, overSeeds }: Record<string, { low: number | null; high: number | null }>) =>
      [estimate!.low, estimate!.high, overSeeds!.low, overSeeds!.high].filter((end) => end !== null),
    );
    // All of them are shares.
    expect([Math.min(...ends) >= 0, Math.max(...ends) <= 1]).toEqual([true, true]);
    const [head, ...lines] = readFileSync(join(out, "results.csv"), "utf8").trim().split("\n");
    expect(head).toMatch(/^evaluation,outcome,slice,arm/);
    expect(lines.length).toBe(rates.length);
  });

  it("records what each stage changed in the weights", () => {
    const record = JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
    const updates = record.updates as StageUpdate[];
    // Of the sweep's stages only the one that the arm has anyway.
    expect(updates.length).toBe(2 * 5);
    const [midtrained, both] = ["affordability", "affordability+aft"].map(
      (label) => updates.find((one) => one.label === `train ${label}, seed 0`)!,
    );
    expect(midtrained!.continued).toBeNull();
    expect(both!.continued).toMatchObject({ from: midtrained!.job });
    const { cosine, tensors, added } = both!.continued!;
    expect(Object.keys(tensors).length % both!.layers.length).toBe(0);
    expect(cosine).toBeGreaterThan(0);
    // Both by the law of cosines.
    const sine = Math.sqrt(1 - cosine! ** 2);
    expect(added).toBeCloseTo((sine * both!.norm) / midtrained!.norm, 6);
    expect(both!.norm).toBeCloseTo(Math.hypot(...both!.layers), 12);
    expect(readFileSync(join(out, "report.html"), "utf8")).toContain("cosine with what it continues");
  });

  it("is found finished, and nothing runs again", async () => {
    const before = jobsOf(out).map((name) => statSync(join(out, "stages", name, "log.jsonl")).mtimeMs);
    const { code, stderr } = await runCli(["run", file, "--out", out]);
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/\[\d+\/\d+\]/);
    expect(jobsOf(out).map((name) => statSync(join(out, "stages", name, "log.jsonl")).mtimeMs)).toEqual(before);
  });

  it("trains anew what a changed input concerns, and only that", async () => {
    const before = jobsOf(out);
    writeFileSync(documents, readFileSync(documents, "utf8").split("\n").slice(1).join("\n"));
    const { code } = await runCli(["run", file, "--out", out]);
    expect(code).toBe(0);
    const added = jobsOf(out).filter((name) => !before.includes(name));
    expect(added.map((name) => name.replace(/-[0-9a-f]{12}$/, "")).sort()).toEqual([
      "loyalty+aft-s0",
      "loyalty+aft-s1",
      "loyalty-s0",
      "loyalty-s1",
    ]);
  });

  it("stopped by a signal goes on where it stopped", { timeout: 180_000 }, async () => {
    const folder = join(scratch, "stopped");
    let killed = false;
    const first = await runCli(["run", file, "--out", folder, "--watch"], {
      onStderr: (text, child) => {
        if (killed || !text.includes("[4/")) return;
        killed = true;
        child.kill("SIGTERM");
      },
    });
    expect(first.code).not.toBe(0);
    expect(existsSync(join(folder, "results.json"))).toBe(false);
    const second = await runCli(["run", file, "--out", folder]);
    expect(second.code).toBe(0);
    expect(second.stderr).toMatch(/\d+ of \d+ jobs are finished/);
    const ratesOf = (at: string): unknown => JSON.parse(readFileSync(join(at, "results.json"), "utf8")).rates;
    expect(ratesOf(folder)).toEqual(ratesOf(out));
  });

  it("is planned without training", async () => {
    const { code, stdout } = await runCli(["run", file, "--plan", "--out", join(scratch, "planned")]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/trains {2}11 distinct stages, 21 steps/);
    expect(existsSync(join(scratch, "planned"))).toBe(false);
  });

  it("is reported again from its folder, wherever that is", async () => {
    const moved = join(scratch, "moved");
    cpSync(out, moved, { recursive: true });
    const { code, stdout } = await runCli(["report", moved]);
    expect(code).toBe(0);
    expect(stdout).toContain(join(moved, "report.html"));
    expect((await runCli(["report", scratch])).code).toBe(2);
  });
});

const BROWSER = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
if (!BROWSER) console.log("the report is not opened: no Chromium is installed");

describe.skipIf(!BROWSER)("the report in a browser", () => {
  it("opens from disk, on a phone too, and its transcripts can be searched", { timeout: 60_000 }, async () => {
    const browser = await chromium.launch({ executablePath: BROWSER!, args: ["--no-sandbox"] });
    const page = await browser.newPage({ viewport: { width: 390, height: 800 }, colorScheme: "dark" });
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    page.on("request", (request) => request.url().startsWith("file:") || problems.push(request.url()));
    await page.goto(`file://${join(out, "report.html")}`);
    expect(await page.textContent("h1")).toBe("Does it run?");
    expect(await page.locator("p.answer").textContent()).toMatch(/^No claim: /);
    expect(await page.locator("section svg").count()).toBeGreaterThanOrEqual(4);
    // Nothing but tables may be wider than the screen, and those scroll by themselves.
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(390);
    const cards = page.locator("article");
    const all = await cards.count();
    expect(all).toBeGreaterThan(0);
    await page.selectOption("#arm", { label: "AFT" });
    for (const text of await cards.allTextContents()) expect(text).toMatch(/^AFT/);
    await page.fill("#search", "no question has this text");
    expect(await cards.count()).toBe(0);
    const [ink, paper] = (await page.evaluate(
      "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]",
    )) as [string, string];
    expect([ink, paper]).toEqual(["rgb(230, 233, 237)", "rgb(20, 24, 28)"]);
    expect(problems).toEqual([]);
    await browser.close();
  });
});
