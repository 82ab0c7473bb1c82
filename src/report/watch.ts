/** @file The report of an experiment while it runs, on this machine's loopback address only. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { messageOf, RunError } from "../base/errors.js";
import { isDone } from "../experiment/execute/done.js";
import type { Experiment } from "../experiment/file.js";
import type { Matrix } from "../experiment/matrix.js";
import { renderPart } from "./write.js";

const REFRESH_SECONDS = 10;

export interface Watch {
  url: string;
  close: () => void;
}

/** Serves what is finished so far; the page asks again every ten seconds. Port 0: any that is free. */
export async function watch(experiment: Experiment, matrix: Matrix, port: number): Promise<Watch> {
  const server = createServer((_request, response) => {
    renderNow(experiment, matrix).then(
      (html) => response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(html),
      (error: unknown) => response.writeHead(500, { "content-type": "text/plain" }).end(messageOf(error)),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new RunError(`--port ${port}: ${messageOf(error)}`)));
    server.listen(port, "127.0.0.1", resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${taken}/`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function renderNow(experiment: Experiment, matrix: Matrix): Promise<string> {
  const done = matrix.jobs.filter(isDone).length;
  const next = matrix.jobs.find((job) => !isDone(job));
  const status = next ? `${done} of ${matrix.jobs.length} jobs are finished; now ${next.label}` : "finished";
  const head = `<meta http-equiv="refresh" content="${REFRESH_SECONDS}">`;
  return (await renderPart(experiment, matrix, status)).replace("</head>", `${head}</head>`);
}
