/** @file The HTTP server: routes, the key, limits, and an orderly end. */
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { InputError, messageOf } from "../base/errors.js";
import { MAX_BODY_BYTES, readBody } from "./body.js";
import { Cancelled } from "./draw.js";
import { ApiError, errorBody, toApiError } from "./errors.js";
import { sendJson } from "./events.js";
import type { Call, Route } from "./handler.js";
import { type Metrics, openMetrics } from "./metrics.js";
import type { Models } from "./models.js";
import { routesOf } from "./routes.js";

const RETRY_AFTER_S = 1;
/** Until the head of a request is there, and all of it. */
const HEAD_MS = 20_000;
const REQUEST_MS = 120_000;
const MAX_CONNECTIONS = 2000;
/** For what is written but not sent when the server ends. */
const LAST_BYTES_MS = 5000;

export interface ServerSettings {
  host: string;
  /** 0: any that is free. */
  port: number;
  apiKey: string;
  /** The origin whose pages may ask; null: none. */
  corsOrigin: string | null;
  /** Choices that may wait for a place; beyond that requests are told to come again. */
  maxWaiting: number;
  /** Told of errors that are the server's. */
  onDefect: (line: string) => void;
}

export interface RunningServer {
  host: string;
  port: number;
  /** Takes no more requests; resolves when those under way are answered. */
  drain(): Promise<void>;
}

/** Throws InputError where the address cannot be had. */
export async function openServer(models: Models, settings: ServerSettings): Promise<RunningServer> {
  const { host, corsOrigin } = settings;
  let isDraining = false;
  let underWay = 0;
  let onRest = (): void => {};
  const metrics = openMetrics(models.engine);
  const routes = routesOf(metrics, () => isDraining);
  const server = createServer({ headersTimeout: HEAD_MS, requestTimeout: REQUEST_MS, keepAliveTimeout: 75_000 });
  server.maxConnections = MAX_CONNECTIONS;
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const began = performance.now();
    let name = "unknown";
    response.on("error", () => {});
    underWay++;
    response.once("close", () => {
      underWay--;
      if (underWay === 0) onRest();
      const status = response.writableFinished ? response.statusCode : 499;
      metrics.answered(name, status, (performance.now() - began) / 1000);
    });
    if (corsOrigin !== null) response.setHeader("access-control-allow-origin", corsOrigin);
    if (isDraining) response.setHeader("connection", "close");
    try {
      const path = (request.url ?? "/").split("?", 1)[0]!;
      if (corsOrigin !== null && request.method === "OPTIONS") return preflight(response);
      const { route, id } = findRoute(routes, request.method ?? "", path, response);
      name = route.path;
      if (path.startsWith("/v1/")) checkKey(request, settings.apiKey);
      if (route.body) admit(models, isDraining, settings.maxWaiting, response);
      const body = route.body ? await readBody(request, route.body) : undefined;
      await route.handle(callOf(models, metrics, request, response, settings), body as never, id);
    } catch (error) {
      fail(error, request, response, settings);
    }
  };
  server.on("request", (request, response) => void answer(request, response));
  server.on("clientError", refuseMalformed);

  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(new InputError(`--host ${host} --port ${settings.port}: ${error.message}`)),
    );
    server.listen(settings.port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    host: address.address,
    port: address.port,
    drain() {
      isDraining = true;
      return new Promise((resolve) => {
        server.close(() => {
          metrics.close();
          resolve();
        });
        // Connections on which nothing is asked, also those on which nothing ever was.
        onRest = () => {
          for (const socket of sockets) socket.end();
          setTimeout(() => server.closeAllConnections(), LAST_BYTES_MS).unref();
        };
        if (underWay === 0) onRest();
      });
    },
  };
}

function findRoute(
  routes: readonly Route[],
  method: string,
  path: string,
  response: ServerResponse,
): { route: Route; id: string } {
  const asked = path.length > 1 ? path.replace(/\/$/, "") : path;
  const fitting = routes.flatMap((route) => {
    const id = matchPath(route.path, asked);
    return id === null ? [] : [{ route, id }];
  });
  const found = fitting.find(({ route }) => route.method === method);
  if (found) return found;
  if (fitting.length === 0) throw new ApiError(404, `no such route: ${asked.slice(0, 200)}`, { code: "unknown_url" });
  const allowed = fitting.map(({ route }) => route.method).join(", ");
  response.setHeader("allow", allowed);
  throw new ApiError(405, `${asked} takes ${allowed}`, { code: "method_not_allowed" });
}

/** What stands for "{id}", decoded ("" where the pattern has none); null where the path is another. */
function matchPath(pattern: string, path: string): string | null {
  const prefix = pattern.replace("{id}", "");
  if (prefix === pattern) return path === pattern ? "" : null;
  // Clients that do not write a slash as %2F mean the same.
  if (!path.startsWith(prefix) || path.length === prefix.length) return null;
  try {
    return decodeURIComponent(path.slice(prefix.length));
  } catch {
    return null;
  }
}

function checkKey(request: IncomingMessage, apiKey: string): void {
  const given = /^Bearer\s+(.+)$/i.exec(request.headers.authorization ?? "")?.[1] ?? "";
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  if (timingSafeEqual(digest(given), digest(apiKey))) return;
  throw new ApiError(401, "the key is missing or wrong: send it as `Authorization: Bearer KEY`", {
    code: "invalid_api_key",
  });
}

/** Throws ApiError where the server is full or about to end. */
function admit({ engine }: Models, isDraining: boolean, maxWaiting: number, response: ServerResponse): void {
  const isFull = engine.state().waiting >= maxWaiting;
  if (!isDraining && !isFull) return;
  response.setHeader("retry-after", String(RETRY_AFTER_S));
  if (isDraining) throw new ApiError(503, "the server is shutting down", { code: "shutting_down" });
  throw new ApiError(429, "too many requests are waiting; come again", { code: "rate_limit_exceeded" });
}

function callOf(
  models: Models,
  metrics: Metrics,
  request: IncomingMessage,
  response: ServerResponse,
  settings: ServerSettings,
): Call {
  return {
    models,
    request,
    response,
    onGone(choices) {
      const cancel = (): void => {
        if (!response.writableFinished) for (const choice of choices) choice.cancel();
      };
      if (response.destroyed) cancel();
      else response.once("close", cancel);
    },
    onError: (error) => tellDefect(error, settings),
    onPrompt: metrics.prompt,
    onToken: metrics.token,
  };
}

function fail(error: unknown, request: IncomingMessage, response: ServerResponse, settings: ServerSettings): void {
  if (error instanceof Cancelled || response.destroyed) return;
  tellDefect(error, settings);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const problem = toApiError(error);
  // What is left of a body that is not read would be taken for the next request.
  const hasBody = request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"]) > 0;
  if (hasBody && !request.complete) {
    response.setHeader("connection", "close");
    discard(request);
  }
  sendJson(response, problem.status, errorBody(problem));
}

/** Reads on for a while, so that a client that is still sending sees the answer, then cuts it off. */
function discard(request: IncomingMessage): void {
  let bytes = 0;
  request.on("data", (piece: Buffer) => {
    bytes += piece.length;
    if (bytes > 8 * MAX_BODY_BYTES) request.destroy();
  });
  request.on("error", () => {});
  request.resume();
}

/** Errors that no client has made. */
function tellDefect(error: unknown, { onDefect }: ServerSettings): void {
  if (error instanceof ApiError || error instanceof InputError || error instanceof Cancelled) return;
  onDefect(error instanceof Error ? (error.stack ?? error.message) : messageOf(error));
}

function preflight(response: ServerResponse): void {
  response.writeHead(204, {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization, content-type",
  });
  response.end();
}

/** What is no HTTP at all. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const isSlow = error.code === "ERR_HTTP_REQUEST_TIMEOUT";
  const problem = new ApiError(isSlow ? 408 : 400, isSlow ? "the request came too slowly" : "malformed HTTP request");
  const text = JSON.stringify(errorBody(problem));
  socket.end(
    `HTTP/1.1 ${problem.status} ${isSlow ? "Request Timeout" : "Bad Request"}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  );
}
