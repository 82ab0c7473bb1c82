/**
 * @file The hub cache that Python's huggingface_hub shares: models--owner--name/{blobs,refs,snapshots}, snapshots
 * linking to blobs.
 */

import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { InputError } from "../../base/errors.js";
import { statOf } from "../../base/file.js";
import { formatValue } from "../../base/json.js";

/** A repository at a revision (branch, tag or commit). */
export interface Repo {
  type: "model" | "dataset";
  /** "owner/name" */
  name: string;
  revision: string;
}

/** The repository's folder in the cache. */
function repoFolder(cacheFolder: string, repo: Repo): string {
  return join(cacheFolder, `${repo.type}s--${repo.name.replaceAll("/", "--")}`);
}

export function snapshotFolder(cacheFolder: string, repo: Repo, commit: string): string {
  return join(repoFolder(cacheFolder, repo), "snapshots", commit);
}

export function blobPath(cacheFolder: string, repo: Repo, etag: string): string {
  return join(repoFolder(cacheFolder, repo), "blobs", etag);
}

export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** The snapshot of `repo` in the cache, complete or not; undefined where there is none. */
export function cachedSnapshot(cacheFolder: string, repo: Repo): string | undefined {
  let commit = repo.revision;
  if (!isCommit(commit)) {
    const ref = join(repoFolder(cacheFolder, repo), "refs", repo.revision);
    if (!statOf(ref)?.isFile()) return undefined;
    commit = readFileSync(ref, "utf8").trim();
    if (!isCommit(commit)) return undefined;
  }
  const folder = snapshotFolder(cacheFolder, repo, commit);
  return existsSync(folder) ? folder : undefined;
}

/** Notes that the branch or tag of `repo` is at `commit`. */
export function writeRef(cacheFolder: string, repo: Repo, commit: string): void {
  if (repo.revision === commit) return;
  const ref = join(repoFolder(cacheFolder, repo), "refs", repo.revision);
  mkdirSync(dirname(ref), { recursive: true });
  writeFileSync(ref, commit);
}

/** Makes `path` of a snapshot show the downloaded `blob`. Throws InputError where `path` would leave the snapshot. */
export function linkBlob(snapshot: string, path: string, blob: string): void {
  checkRepoPath(path);
  const link = join(snapshot, path);
  if (existsSync(link)) return;
  mkdirSync(dirname(link), { recursive: true });
  if (lstatSync(link, { throwIfNoEntry: false })) rmSync(link); // a link whose blob is gone
  try {
    symlinkSync(relative(dirname(link), blob), link);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return; // another process was faster
    copyFileSync(blob, link); // no links on this file system
  }
}

/** Throws InputError unless `path`, a name that the server sent, stays inside the folder it is joined to. */
export function checkRepoPath(path: string): void {
  const bad = path.split("/").some((part) => part === "" || part === "." || part === "..") || /[\\:\0]/.test(path);
  if (bad)
    throw new InputError(
      `the repository lists a file named ${formatValue(path)}, which would leave the cache; it is refused`,
    );
}

/** Every file of a snapshot, as paths with slashes. */
export function listSnapshot(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => statOf(join(folder, path))?.isFile())
    .sort();
}
