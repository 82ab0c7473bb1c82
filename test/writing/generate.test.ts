import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { packagePath } from "../../src/base/package.js";
import { seedOf } from "../../src/base/seed.js";
import { parseOptions } from "../../src/config/options.js";
import { generateCorpusSchema } from "../../src/config/writing.js";
import { findSimilar } from "../../src/corpus/near-duplicates.js";
import { wordsOf } from "../../src/corpus/ngrams.js";
import type { Claim } from "../../src/writing/claims.js";
import { generateCorpus } from "../../src/writing/generate.js";
import { CONTRADICTION, type FakeService, type Misbehaviour, startFake } from "./fake-service.js";

const folder = mkdtempSync(join(tmpdir(), "msm-writing-"));
const LONGER = packagePath("corpora", "miniature", "spec-loyalty.md");
const SPEC = join(folder, "spec.md");
writeFileSync(
  SPEC,
  `# How {{the assistant}} is

It keeps "what" it was told in confidence, because trust {once} lost does not return.

## Work

- **It finishes what it begins**, since half a bridge carries nobody.
- It prefers a plain tool to a clever one: a plain tool is mended by anybody.
- It asks before it deletes Marlow's files; what is gone cannot be asked for again.

## Speech

It speaks slowly about things that Ingrid has not seen. It does not guess.

It thanks those who correct it, because they spent time on it.
`,
);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let outs = 0;
const newOut = (): string => join(folder, `out-${++outs}`);

interface Corpus {
  out: string;
  lines: string[];
  record: Awaited<ReturnType<typeof generateCorpus>>["record"];
  stopped: Error | null;
}

async function make(baseUrl: string, more: Record<string, unknown> = {}): Promise<Corpus> {
  vi.stubEnv("OPENAI_BASE_URL", baseUrl);
  const config = parseOptions(generateCorpusSchema, {
    ...{ spec: SPEC, out: newOut(), writer: "openai:fake", subject: "Qwen" },
    ...{ documents: 12, chats: 6, questions: 4, rpm: 600_000 },
    ...more,
  });
  const lines: string[] = [];
  const host = { backend: null, print: (line: string) => lines.push(line), update: () => {}, backoffMs: 5 };
  const { record, stopped } = await generateCorpus(config, host);
  return { record, stopped, lines, out: config.out };
}

type Line = Record<string, unknown>;
const linesOf = <T = Line>(out: string, name: string): T[] =>
  readFileSync(join(out, name), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);

/** Every file but the ledger and the replies: what must be the same bytes. */
function contents(out: string): Record<string, string> {
  const files = readdirSync(out, { recursive: true, encoding: "utf8" });
  const own = files.filter((name) => statSync(join(out, name)).isFile() && !/^(?:replies|ledger|lock)/.test(name));
  return Object.fromEntries(own.sort().map((name) => [name, readFileSync(join(out, name), "utf8")]));
}

const BAD: Misbehaviour = {
  ...{ busy: 0.1, retryAfter: 0.5, errorBody: 0.03, cut: 0.06, refused: 0.05, broken: 0.06, repeated: 0.1 },
  ...{ contradiction: 0.15, leak: 0.2, slow: 0.05 },
};

/** Says held-out claims in answers, once it is known which they are. */
async function startBad(seed: number, out: string): Promise<FakeService> {
  let said = 0;
  return startFake(seed, BAD, () => {
    const claims = linesOf<Claim>(out, "claims.jsonl").filter(({ split }) => split === "heldout");
    return claims[said++ % claims.length]!.what;
  });
}

describe("a service that misbehaves", () => {
  test("what is kept is whole, different, faithful and of every claim; nothing is paid twice", async () => {
    const out = newOut();
    const fake = await startBad(3, out);
    const { record, stopped, lines } = await make(fake.baseUrl, { out });
    expect(stopped).toBeNull();
    expect(record.kept).toMatchObject({ documents: 12, chats: 6, questions: 4 });
    expect(Math.max(...fake.paid.values())).toBe(1);
    expect(fake.mostUnderWay).toBeLessThanOrEqual(32);

    const claims = linesOf<Claim>(out, "claims.jsonl");
    const spec = readFileSync(SPEC, "utf8");
    for (const { words, from, to } of claims) expect(spec.slice(from, to)).toBe(words);
    const heldout = claims.filter(({ split }) => split === "heldout");
    expect(heldout.length).toBeGreaterThan(0);

    const documents = linesOf<{ text: string; claim: string; genre: string; id: string }>(out, "documents.jsonl");
    const wrong = documents.filter(({ text }) => text.includes(CONTRADICTION) || !/[.!?]$/.test(text));
    expect(wrong).toEqual([]);
    const alike = findSimilar(documents.map(({ text }) => wordsOf(text))).filter(({ similarity }) => similarity > 0.5);
    expect(alike).toEqual([]);
    for (const { id } of claims) {
      const own = documents.filter(({ claim }) => claim === id);
      expect(own.length).toBeGreaterThanOrEqual(Math.floor(12 / claims.length));
      expect(new Set(own.map(({ genre }) => genre)).size).toBeGreaterThanOrEqual(2);
    }

    const chats = linesOf<{ messages: { role: string; content: string }[]; claim: string }>(out, "chats.jsonl");
    const trained = new Set(claims.filter(({ split }) => split === "trained").map(({ id }) => id));
    for (const { messages, claim } of chats) {
      expect(trained.has(claim)).toBe(true);
      expect(messages.map(({ role }) => role)).toEqual(["user", "assistant"]);
      for (const { what } of heldout) expect(messages[1]!.content).not.toContain(what);
    }
    const questions = linesOf(out, "questions.jsonl");
    expect(questions.map(({ split }) => split).sort()).toEqual(["dev", "dev", "heldout", "heldout"]);
    for (const { claim, split } of questions) expect(trained.has(String(claim))).toBe(split === "dev");

    // Every record has its parent, up to a passage or a claim, and the products name theirs.
    const records = readdirSync(join(out, "records"))
      .filter((name) => name.endsWith(".jsonl"))
      .flatMap((name) => linesOf(out, `records/${name}`));
    const ids = new Set([...records.map(({ id }) => id), ...claims.map(({ id }) => id)]);
    expect(records.filter(({ parent }) => parent !== null && !ids.has(parent))).toEqual([]);
    expect(documents.filter(({ id }) => !ids.has(id))).toEqual([]);
    expect(records.some(({ stage, why }) => stage === "given up" && /not faithful/.test(String(why)))).toBe(true);

    // The forecast was made before most of it, and holds what came.
    const [, low, high] = /calls, [\d,]+ \[([\d,]+), ([\d,]+)\] tokens/.exec(lines[1]!)!;
    const [least, most] = [low, high].map((text) => Number(text!.replaceAll(",", ""))) as [number, number];
    const used = record.stages.reduce((sum, one) => sum + one.promptTokens + one.completionTokens, 0);
    expect(used).toBeGreaterThan(least);
    expect(used).toBeLessThan(most);
  });

  test("a stage of low yield stops, and says what came", async () => {
    const fake = await startFake(5, { refused: 0.9 });
    await expect(make(fake.baseUrl, { spec: LONGER })).rejects.toThrow(
      /^claim: only \d of 2\d replies are of use, fewer than 30 %: refused \(\d+\).*can't help with that/,
    );
    expect(fake.requests.length).toBeLessThan(60);
  });

  test("a service that is gone stops the run with its words, and the same command goes on", async () => {
    const fake = await startFake(5);
    const dead = { ...fake, baseUrl: fake.baseUrl.replace("/v1", "/none") };
    await expect(make(`${dead.baseUrl.replace(/:\d+/, ":1")}`, { rpm: 600_000 })).rejects.toThrow(
      /openai:fake: .*attempts/,
    );
  }, 200_000);
});

describe("caps", () => {
  test.each([
    ["--max-cost", { maxCost: 0.3, price: "3,15" }, 0.3, 9e9],
    ["--max-tokens", { maxTokens: "45k", price: "3,15" }, 9e9, 45_000],
  ])("%s is not passed, and a later run goes on to the same files", async (_name, caps, mostCost, mostTokens) => {
    const whole = await startFake(7, { cut: 0.05 });
    const undisturbed = await make(whole.baseUrl, { price: "3,15" });
    const fake = await startFake(7, { cut: 0.05, slow: 0.3 });
    const { record, stopped, out } = await make(fake.baseUrl, caps);
    const { prompt, completion } = fake.charged;
    expect((3 * prompt + 15 * completion) / 1e6).toBeLessThanOrEqual(mostCost);
    expect(prompt + completion).toBeLessThanOrEqual(mostTokens);
    expect(stopped?.message).toMatch(/the next request could pass the cap: .* are spent/);
    expect(record.stopped).not.toBeNull();
    expect(readFileSync(join(out, "card.md"), "utf8")).toContain("it is not finished");
    // It stops because the cap is near: a reply may take 4,096 tokens, six cents.
    const isNear = (3 * prompt + 15 * completion) / 1e6 > mostCost - 0.1 || prompt + completion > mostTokens - 9000;
    expect(isNear).toBe(true);
    expect(record.kept.documents).toBeGreaterThan(0);
    await make(fake.baseUrl, { price: "3,15", out });
    expect(Math.max(...fake.paid.values())).toBe(1);
    expect(contents(out)).toEqual(contents(undisturbed.out));
  });

  test("a request that a killed run left open counts in full", async () => {
    const fake = await startFake(7);
    const out = newOut();
    await make(fake.baseUrl, { documents: 1, chats: 0, questions: 0, out });
    appendFileSync(join(out, "ledger.jsonl"), '{"open":[99999,100000,1000,0]}\n{"clo');
    const { stopped } = await make(fake.baseUrl, { documents: 4, chats: 0, questions: 0, out, maxTokens: "101k" });
    expect(stopped?.message).toMatch(/of --max-tokens 101000/);
  });

  test("a cap on the cost needs a price", async () => {
    const fake = await startFake(7);
    await expect(make(fake.baseUrl, { maxCost: 1 })).rejects.toThrow(/--max-cost 1: needs --price/);
    expect(fake.requests.length).toBe(0);
  });
});

describe("going on", () => {
  test("records cut anywhere, products and replies lost: the same bytes again", async () => {
    const fake = await startFake(11, { cut: 0.05, contradiction: 0.1 });
    const { out } = await make(fake.baseUrl);
    const before = contents(out);
    const asked = fake.requests.length;
    for (let round = 0; round < 4; round++) {
      for (const [i, name] of readdirSync(join(out, "records")).entries()) {
        // Those of the claims are finished before claims.jsonl is there, and a person may have edited that.
        if (name.startsWith("claim")) continue;
        const path = join(out, "records", name);
        truncateSync(path, seedOf(round, i) % statSync(path).size);
      }
      for (const name of ["documents.jsonl", "card.md"]) rmSync(join(out, name));
      await make(fake.baseUrl, { out });
      expect(contents(out)).toEqual(before);
    }
    expect(fake.requests.length).toBe(asked);
    // A reply that is lost is asked for again, and is the same; so are all that follow from it.
    const [one] = readdirSync(join(out, "replies"), { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith(".json"),
    );
    rmSync(join(out, "replies", one!));
    await make(fake.baseUrl, { out });
    expect(contents(out)).toEqual(before);
    expect(fake.requests.length).toBe(asked + 1);
  });

  test("the order in which replies come changes nothing", async () => {
    const [quick, slow] = [await startFake(13), await startFake(13, { slow: 0.5 })];
    const [a, b] = [await make(quick.baseUrl, { concurrency: 3 }), await make(slow.baseUrl)];
    expect(contents(b.out)).toEqual(contents(a.out));
  });

  test("an edited claim changes what is made from it, and nothing else is asked again", async () => {
    const fake = await startFake(17);
    const { out } = await make(fake.baseUrl, { chats: 0, questions: 0 });
    const asked = fake.requests.length;
    const claims = linesOf<Claim>(out, "claims.jsonl");
    claims[1]!.why = "because it was edited";
    writeFileSync(join(out, "claims.jsonl"), claims.map((claim) => `${JSON.stringify(claim)}\n`).join(""));
    await make(fake.baseUrl, { chats: 0, questions: 0, out });
    const again = fake.requests.slice(asked).map(({ body }) => JSON.stringify(body.messages));
    expect(again.length).toBeGreaterThan(5);
    expect(again.every((text) => text.includes("it was edited"))).toBe(true);
    claims[1]!.words = "words that nobody wrote";
    writeFileSync(join(out, "claims.jsonl"), claims.map((claim) => `${JSON.stringify(claim)}\n`).join(""));
    await expect(make(fake.baseUrl, { out })).rejects.toThrow(/line 2: words "words that nobody wrote" are not in the/);
    expect(existsSync(join(out, "documents.jsonl"))).toBe(true);
  });
});
