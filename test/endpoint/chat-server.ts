/** @file An OpenAI-compatible endpoint on loopback, whose replies are given by the test. */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface ChatBody {
  model: string;
  messages: { role: string; content: string }[];
  temperature?: number;
  max_tokens?: number;
  max_completion_tokens?: number;
}

export interface Scripted {
  status?: number;
  headers?: Record<string, string>;
  /** The model's reply. */
  text?: string | null;
  /** The whole body, instead of a well-formed one with `text`. */
  raw?: string;
  delayMs?: number;
}

export interface ChatServer {
  baseUrl: string;
  requests: { body: ChatBody; headers: IncomingHttpHeaders; url: string; at: number }[];
}

/** Starts it; `reply` says what the n-th request gets. It stops when the test ends. */
export async function startChat(reply: (body: ChatBody, n: number) => Scripted): Promise<ChatServer> {
  const chat: ChatServer = { baseUrl: "", requests: [] };
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = JSON.parse(Buffer.concat(pieces).toString()) as ChatBody;
    chat.requests.push({ body, headers: request.headers, url: request.url!, at: performance.now() });
    const { status = 200, headers = {}, text = "", raw, delayMs = 0 } = reply(body, chat.requests.length);
    const usage = { prompt_tokens: 100, completion_tokens: 10 };
    const content = raw ?? JSON.stringify({ choices: [{ message: { content: text } }], usage });
    setTimeout(() => response.writeHead(status, headers).end(content), delayMs);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  chat.baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return chat;
}
