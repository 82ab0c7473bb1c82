import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { trackioServer } from "../../src/runs/trackio.js";
import { runCli, scratchFolder, trainArgs } from "../cli/run.js";

const scratch = scratchFolder();

interface Entry {
  project: string;
  run: string;
  run_id: string;
  step: number;
  metrics: Record<string, number>;
  log_id: string;
}

let server: Server | null = null;
afterEach(() => server?.close());

/** A server that answers `status`; what it is sent. */
async function listen(status: number): Promise<{ url: string; entries: Entry[]; tokens: unknown[] }> {
  const entries: Entry[] = [];
  const tokens: unknown[] = [];
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (data) => {
      body += data;
    });
    request.on("end", () => {
      expect(request.url).toBe("/sub/api/bulk_log");
      tokens.push(request.headers["x-trackio-write-token"]);
      entries.push(...JSON.parse(body).kwargs.logs);
      response.writeHead(status).end(status === 200 ? '{"data":null}' : '{"error":"A write_token is required"}');
    });
  }).listen(0, "127.0.0.1");
  await new Promise((next) => server!.once("listening", next));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/sub/?write_token=t0k`, entries, tokens };
}

test("every step is sent once by its id; a run that is found finished sends the same ids again", async () => {
  const { url, entries, tokens } = await listen(200);
  const args = [...trainArgs("midtrain", join(scratch, "run")), "--trackio", url];
  expect((await runCli(args)).code).toBe(0);
  expect(entries.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(entries[5]).toMatchObject({ project: basename(scratch), run: "run" });
  expect(Object.keys(entries[5]!.metrics)).toEqual([
    "train/loss",
    "train/grad_norm",
    "train/learning_rate",
    "train/tokens_per_second",
  ]);
  expect(new Set(tokens)).toEqual(new Set(["t0k"]));
  const ids = entries.splice(0).map(({ log_id }) => log_id);
  expect(new Set(ids).size).toBe(6);
  expect((await runCli(args)).code).toBe(0);
  expect(entries.map(({ log_id }) => log_id)).toEqual(ids);
});

test.each([
  [
    "that refuses",
    400,
    /status 400, .*A write_token is required.*; nothing more is sent, all steps are in .*log\.jsonl/,
  ],
  ["that is not there", null, /ECONNREFUSED/],
])("a server %s is told once, and the run is as good as without", async (name, status, words) => {
  const url = status === null ? "http://127.0.0.1:3/" : (await listen(status)).url;
  const { code, stderr } = await runCli([...trainArgs("midtrain", join(scratch, name)), "--trackio", url]);
  expect(code).toBe(0);
  expect(stderr).toMatch(words);
  expect(stderr.match(/--trackio/g)).toHaveLength(1);
  expect(stderr).not.toContain("t0k");
});

test.each(["localhost:7860/?write_token=t0k", "ftp://x/", "http://", "user/space"])("%s is no server", (given) => {
  expect(() => trackioServer(given)).toThrow(/--trackio .*: must be an address such as http/);
  expect(() => trackioServer(given)).not.toThrow(/t0k/);
});

test("a user in the address is refused and not shown", () => {
  expect(() => trackioServer("http://me:t0k@127.0.0.1:1/")).toThrow(/--trackio: a user or password .* is not sent/);
});

test("a command that is refused sends nothing of the run that is there", async () => {
  const { url, entries } = await listen(200);
  const out = join(scratch, "other");
  expect((await runCli(trainArgs("midtrain", out))).code).toBe(0);
  const { code } = await runCli([...trainArgs("midtrain", out, "--lr", "2e-3"), "--trackio", url]);
  expect([code, entries]).toEqual([2, []]);
});
