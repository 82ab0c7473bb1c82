/** @file One file from the hub into the cache; a download that was cut off continues where it stopped. */

import { createHash, type Hash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { InputError, messageOf, RunError } from "../../base/errors.js";
import { statOf } from "../../base/file.js";
import { blobPath, checkRepoPath, linkBlob, type Repo, snapshotFolder } from "./cache.js";
import { hubFetch, type RepoFile } from "./client.js";
import type { HubSettings } from "./settings.js";

/** Told about `file` while it is fetched: bytes on disk so far, and in all. */
export type HubProgress = (file: string, doneBytes: number, totalBytes: number) => void;

/** Waits before the next attempt, in milliseconds; the count starts anew whenever bytes arrive. */
const RETRY_WAITS_MS = [200, 500, 1000, 2000];

/**
 * Fetches `file` of `repo` at `commit` into the cache unless it is there. Returns its path in the snapshot. Throws
 * RunError or InputError.
 */
export async function downloadFile(
  repo: Repo,
  commit: string,
  file: RepoFile,
  settings: HubSettings,
  onProgress: HubProgress,
): Promise<string> {
  checkRepoPath(file.path);
  const blob = blobPath(settings.cacheFolder, repo, file.etag);
  const snapshot = snapshotFolder(settings.cacheFolder, repo, commit);
  if (statOf(blob)?.size !== file.byteLength) {
    mkdirSync(dirname(blob), { recursive: true });
    await downloadBlob(repo, commit, file, blob, settings, onProgress);
  }
  linkBlob(snapshot, file.path, blob);
  return `${snapshot}/${file.path}`;
}

async function downloadBlob(
  repo: Repo,
  commit: string,
  file: RepoFile,
  blob: string,
  settings: HubSettings,
  onProgress: HubProgress,
): Promise<void> {
  const partial = `${blob}.incomplete`;
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  const kind = repo.type === "dataset" ? "datasets/" : "";
  const url = `${settings.endpoint}/${kind}${repo.name}/resolve/${commit}/${path}`;
  let failures = 0;
  let restarted = false;
  while (true) {
    const sizeBefore = statOf(partial)?.size ?? 0;
    try {
      const digest = await continueDownload(url, partial, file, hubFetch(repo, settings), onProgress);
      if (file.sha256 === undefined || digest === file.sha256) break;
      rmSync(partial, { force: true });
      if (restarted)
        throw new InputError(
          `${repo.name}: ${file.path} arrives with the wrong SHA-256 (${digest}); the copy on the hub is damaged`,
        );
      restarted = true;
    } catch (error) {
      if (error instanceof InputError) throw error;
      const sizeNow = statOf(partial)?.size ?? 0;
      failures = sizeNow > sizeBefore ? 0 : failures + 1;
      if (failures >= RETRY_WAITS_MS.length) {
        const stopped = `${repo.name}: ${file.path} stopped at ${sizeNow} of ${file.byteLength} bytes`;
        throw new RunError(`${stopped} (${messageOf(error)}); run the same command to continue from there`);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_WAITS_MS[failures]));
    }
  }
  try {
    renameSync(partial, blob);
  } catch (error) {
    // Another process that fetched the same file was faster.
    if (!existsSync(blob)) throw error;
  }
}

/**
 * Brings `partial` to its full length and returns its SHA-256. Two processes may do this at once: each writes the same
 * bytes at the same places, so the file is always a prefix of the whole one.
 */
async function continueDownload(
  url: string,
  partial: string,
  file: RepoFile,
  request: typeof fetch,
  onProgress: HubProgress,
): Promise<string> {
  const fd = openSync(partial, existsSync(partial) ? "r+" : "w");
  try {
    let done = statSync(partial).size;
    if (done > file.byteLength) {
      ftruncateSync(fd, 0);
      done = 0;
    }
    let hash = await hashPrefix(partial, done);
    onProgress(file.path, done, file.byteLength);
    if (done < file.byteLength) {
      // Compressed answers cannot be continued.
      const headers = { "accept-encoding": "identity", ...(done > 0 && { range: `bytes=${done}-` }) };
      const response = await request(url, { headers });
      const isContinued =
        response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${done}-`);
      if (done > 0 && !isContinued) {
        // The server sends the whole file, or nothing that fits: start again.
        ftruncateSync(fd, 0);
        done = 0;
        hash = createHash("sha256");
        if (response.status !== 200) throw new Error(`the server answers ${response.status} to a continued download`);
      }
      for await (const piece of response.body ?? []) {
        if (done + piece.byteLength > file.byteLength) throw new Error("the server sends more than it announced");
        for (let at = 0; at < piece.byteLength; ) at += writeSync(fd, piece, at, piece.byteLength - at, done + at);
        hash.update(piece);
        done += piece.byteLength;
        onProgress(file.path, done, file.byteLength);
      }
    }
    if (done < file.byteLength) throw new Error("the connection closed early");
    return hash.digest("hex");
  } finally {
    closeSync(fd);
  }
}

async function hashPrefix(path: string, byteLength: number): Promise<Hash> {
  const hash = createHash("sha256");
  if (byteLength === 0) return hash;
  for await (const piece of createReadStream(path, { end: byteLength - 1 })) hash.update(piece as Buffer);
  return hash;
}
