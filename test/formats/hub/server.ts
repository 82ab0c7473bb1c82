/**
 * @file A small hub on loopback: repository and tree routes with pages, files with ETag and Range, large files behind a
 * redirect to another host.
 */

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface HubRepo {
  commit: string;
  /** Paths to contents; those of 1,000 bytes and more are large files. */
  files: Record<string, Buffer>;
  /** The token that the repository asks for. */
  token?: string;
}

export interface HubServer {
  endpoint: string;
  /** "models/owner/name" or "datasets/owner/name" */
  repos: Record<string, HubRepo>;
  /** The paths asked of the hub and the ranges asked of its content server, in order. */
  requests: string[];
  /** The connection breaks after so many bytes of each next answer with content; the list is used up from the front. */
  breakAfter: number[];
  /** The content server answers every request in full. */
  ignoresRange: boolean;
  /** Content as sent, where it differs from what the tree lists. */
  corrupt?: (content: Buffer) => Buffer;
  close(): Promise<void>;
}

const LARGE_BYTES = 1000;
const PAGE_ENTRIES = 3;

export function blobName(content: Buffer): string {
  if (content.byteLength >= LARGE_BYTES) return createHash("sha256").update(content).digest("hex");
  return createHash("sha1").update(`blob ${content.byteLength}\0`).update(content).digest("hex");
}

/** Starts the hub and its content server; both stop when the test ends. */
export async function startHub(repos: Record<string, HubRepo>): Promise<HubServer> {
  const hub: HubServer = {
    endpoint: "",
    repos,
    requests: [],
    breakAfter: [],
    ignoresRange: false,
    close: async () => undefined,
  };
  const content = await listen((request, response) => {
    hub.requests.push(`content ${request.headers.range ?? "whole"}`);
    // A signed address refuses a second signature: the token must not come along.
    if (request.headers.authorization) return response.writeHead(400).end();
    const [, key, path] = decodeURIComponent(request.url!).split("|");
    sendContent(hub, request, response, hub.repos[key!]!.files[path!]!);
  });
  const api = await listen((request, response) => answer(hub, request, response, addressOf(content)));
  hub.endpoint = addressOf(api);
  hub.close = async () => {
    for (const server of [api, content]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  };
  onTestFinished(hub.close);
  return hub;
}

function answer(hub: HubServer, request: IncomingMessage, response: ServerResponse, contentHost: string): unknown {
  const url = new URL(request.url!, hub.endpoint);
  hub.requests.push(url.pathname);
  const match =
    /^\/(?:api\/(models|datasets)|(datasets)|)\/?([^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/]+)\/?(.*)$/.exec(
      url.pathname,
    );
  const key = match ? `${match[1] ?? match[2] ?? "models"}/${match[3]}` : "";
  const repo = hub.repos[key];
  if (!match || !repo) return fail(response, 404, "RepoNotFound");
  if (repo.token && request.headers.authorization !== `Bearer ${repo.token}`) return fail(response, 401, "GatedRepo");
  const [, , , , action, revision, rest] = match;
  if (decodeURIComponent(revision!) !== "main" && revision !== repo.commit)
    return fail(response, 404, "RevisionNotFound");
  if (action === "revision") return sendJson(response, { _id: "0", id: match[3], sha: repo.commit, private: false });
  if (action === "tree") return sendTree(repo, url, response, url.searchParams.get("recursive") === "true");
  const path = decodeURIComponent(rest!);
  const file = repo.files[path];
  if (!file) return fail(response, 404, "EntryNotFound");
  response.setHeader("X-Repo-Commit", repo.commit);
  if (file.byteLength < LARGE_BYTES) {
    response.setHeader("ETag", `"${blobName(file)}"`);
    return sendContent(hub, request, response, file);
  }
  response.setHeader("X-Linked-ETag", `"${blobName(file)}"`);
  return response.writeHead(302, { Location: `${contentHost}/|${encodeURIComponent(`${key}|${path}`)}` }).end();
}

function sendTree(repo: HubRepo, url: URL, response: ServerResponse, recursive: boolean): unknown {
  const entries: object[] = [];
  const folders = new Set<string>();
  for (const [path, content] of Object.entries(repo.files)) {
    const top = path.split("/")[0]!;
    if (top !== path && !folders.has(top)) entries.push({ type: "directory", oid: "d", size: 0, path: top });
    folders.add(top);
    if (top !== path && !recursive) continue;
    const lfs = { oid: blobName(content), size: content.byteLength, pointerSize: 130 };
    const oid = createHash("sha1").update(path).digest("hex");
    if (content.byteLength >= LARGE_BYTES) entries.push({ type: "file", oid, size: content.byteLength, path, lfs });
    else entries.push({ type: "file", oid: blobName(content), size: content.byteLength, path });
  }
  const start = Number(url.searchParams.get("cursor") ?? 0);
  if (start + PAGE_ENTRIES < entries.length) {
    url.searchParams.set("cursor", String(start + PAGE_ENTRIES));
    response.setHeader("Link", `<${url}>; rel="next"`);
  }
  return sendJson(response, entries.slice(start, start + PAGE_ENTRIES));
}

function sendContent(hub: HubServer, request: IncomingMessage, response: ServerResponse, whole: Buffer): unknown {
  const sent = hub.corrupt?.(whole) ?? whole;
  const start = hub.ignoresRange ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  if (start >= sent.byteLength && start > 0) return response.writeHead(416).end();
  const body = sent.subarray(start);
  const range = start > 0 ? { "Content-Range": `bytes ${start}-${sent.byteLength - 1}/${sent.byteLength}` } : {};
  response.writeHead(start > 0 ? 206 : 200, { "Content-Length": body.byteLength, ...range });
  const bytesSent = hub.breakAfter.shift();
  if (bytesSent === undefined || bytesSent >= body.byteLength) return response.end(body);
  // The pause lets the bytes arrive before the connection goes.
  return response.write(body.subarray(0, bytesSent), () => setTimeout(() => response.destroy(), 30));
}

function sendJson(response: ServerResponse, json: unknown): unknown {
  return response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(json));
}

function fail(response: ServerResponse, status: number, code: string): unknown {
  return response
    .writeHead(status, { "X-Error-Code": code, "Content-Type": "application/json" })
    .end('{"error":"refused"}');
}

async function listen(handler: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<Server> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
