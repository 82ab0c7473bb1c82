import { connect, type Socket } from "node:net";
import { afterAll, expect, test } from "vitest";
import { fuzz } from "./hostile.js";
import { atRest, jsonOf, serve } from "./serving.js";

const serving = await serve();
afterAll(() => serving.close());
const { post, client, server } = serving;
const model = "lab/miniature";
const messages = [{ role: "user" as const, content: "the colby or the brie?" }];

async function expectWell(): Promise<void> {
  expect(await atRest(serving)).toMatchObject({ running: 0, waiting: 0, cacheRowsUsed: 0 });
  const answer = await client.chat.completions.create({ model, messages, max_tokens: 2 });
  expect(answer.usage!.completion_tokens).toBeGreaterThan(0);
  expect(serving.defects).toEqual([]);
}

/** A connection, and all that came back when it closes. */
function raw(text: string): { socket: Socket; closed: Promise<string> } {
  const socket = connect(server.port, "127.0.0.1");
  let got = "";
  socket.setEncoding("utf8").on("data", (piece) => {
    got += piece;
  });
  socket.on("error", () => {});
  socket.write(text);
  return { socket, closed: new Promise((resolve) => socket.on("close", () => resolve(got))) };
}

const HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer test-key\r\n";
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test.each([
  ["broken", '{"model": '],
  ["nothing", ""],
  ["nested too deep", `{"model": ${"[".repeat(100_000)}`],
  ["with a key twice", '{"model": "a", "model": "b"}'],
])("JSON that is %s is answered as such", async (_name, body) => {
  const response = await post("/v1/chat/completions", body);
  expect([response.status, (await jsonOf(response))["error"]]).toMatchObject([400, { code: "invalid_json" }]);
});

test("a body that is no UTF-8, and one of 100 MB, announced or not, are refused", async () => {
  const notText = await post("/v1/completions", "", { body: new Uint8Array([0x22, 0xff, 0x22]) });
  expect(notText.status).toBe(400);
  const announced = raw(`${HEAD}Content-Length: 100000000\r\n\r\n`);
  expect(await announced.closed).toMatch(/^HTTP\/1\.1 413 .*"code":"body_too_large"/s);
  const memory = process.memoryUsage.rss();
  const sent = raw(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
  const piece = `100000\r\n${"x".repeat(0x100000)}\r\n`;
  for (let i = 0; i < 100 && !sent.socket.destroyed; i++) {
    if (!sent.socket.write(piece))
      await Promise.race([new Promise((resolve) => sent.socket.once("drain", resolve)), wait(200)]);
  }
  sent.socket.end();
  expect(await sent.closed).toMatch(/^HTTP\/1\.1 413 /);
  expect(process.memoryUsage.rss() - memory).toBeLessThan(300e6);
  await expectWell();
});

test("what is no HTTP is answered as an error", async () => {
  expect(await raw("GRBL\r\n\r\n").closed).toMatch(/^HTTP\/1\.1 400 .*\{"error":/s);
  expect(await raw(`GET /${"a".repeat(100_000)} HTTP/1.1\r\n\r\n`).closed).toMatch(/^HTTP\/1\.1 4\d\d .*\{"error":/s);
  await expectWell();
});

test("half-open connections, and clients that are cut off at any moment, hold nobody up", async () => {
  const open = Array.from({ length: 50 }, () => raw(`${HEAD}Content-Length: 1000\r\n\r\n{"model":`).socket);
  const body = JSON.stringify({ model, messages, max_tokens: 100, n: 2, stream: true, temperature: 2 });
  const cut = Array.from({ length: 40 }, async (_, i) => {
    const { socket, closed } = raw(`${HEAD}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    await wait((i * 13) % 150);
    if (i % 2) socket.destroy();
    else socket.resetAndDestroy();
    await closed;
  });
  await Promise.all(cut);
  await expectWell();
  for (const socket of open) socket.destroy();
});

test("a reader that does not read holds nobody up", async () => {
  const body = JSON.stringify({
    model,
    messages,
    max_tokens: 120,
    n: 16,
    stream: true,
    logprobs: true,
    top_logprobs: 20,
  });
  const slow = Array.from({ length: 8 }, () => {
    const { socket } = raw(`${HEAD}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    return socket.pause();
  });
  await wait(50);
  const began = performance.now();
  await client.chat.completions.create({ model, messages, max_tokens: 2 });
  expect(performance.now() - began).toBeLessThan(30_000);
  for (const socket of slow) socket.destroy();
  await expectWell();
});

test("2,000 fuzzed requests: no crash, and every answer is right or an error of the right form", async () => {
  const statuses = await fuzz(serving, 2000, 1);
  expect([...statuses.keys()].sort()).toEqual(expect.arrayContaining([200, 400, 404]));
  await expectWell();
});
