/**
 * @file Requests to the hub: a repository's commit and files; every refusal is one line that names the repository and
 * the way out.
 */

import { InputError, messageOf, RunError } from "../../base/errors.js";
import { formatValue } from "../../base/json.js";
import { isCommit, type Repo } from "./cache.js";
import type { HubSettings } from "./settings.js";

/** A file of a repository. */
export interface RepoFile {
  path: string;
  byteLength: number;
  /** The name of its blob in the cache: git's hash, or the SHA-256 of a large file. */
  etag: string;
  sha256: string | undefined;
}

/** The hub could not be reached: the cache may still do. */
export class UnreachableError extends RunError {}

/** A busy server is asked again after these waits, in milliseconds. */
const BUSY_WAITS_MS = [500, 2000];

/**
 * A `fetch` that signs requests to the hub and turns failures into errors about `repo`. Partial content and 416 pass.
 */
export function hubFetch(repo: Repo, settings: HubSettings): typeof fetch {
  const { endpoint, token } = settings;
  return async (input, init) => {
    const url = String(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    // Never to another host, which a page link could name.
    if (token && new URL(url).origin === new URL(endpoint).origin) headers.set("authorization", `Bearer ${token}`);
    for (let attempt = 0; ; attempt++) {
      const response = await fetch(url, { ...init, headers }).catch((error: unknown) => {
        throw unreachable(repo, settings, error);
      });
      if (response.ok || response.status === 416) return response;
      await response.body?.cancel();
      const isBusy = response.status === 429 || response.status >= 500;
      if (!isBusy || attempt === BUSY_WAITS_MS.length) throw refusal(repo, settings, response);
      await new Promise((resolve) => setTimeout(resolve, BUSY_WAITS_MS[attempt]));
    }
  };
}

function unreachable(repo: Repo, settings: HubSettings, error: unknown): UnreachableError {
  const cause = error instanceof Error && error.cause ? error.cause : error;
  const code = (cause as NodeJS.ErrnoException).code ?? messageOf(cause);
  return new UnreachableError(
    `${repo.name}: ${settings.endpoint} cannot be reached (${code}); check the network and HF_ENDPOINT, or give ` +
      "a local folder",
  );
}

function refusal(repo: Repo, settings: HubSettings, response: Response): Error {
  const { name, revision } = repo;
  const page = `${settings.endpoint}/${repo.type === "dataset" ? "datasets/" : ""}${name}`;
  const { status } = response;
  if (status === 401 || status === 403) {
    const token = settings.token ? "the HF_TOKEN in use has no access" : "set HF_TOKEN";
    return new InputError(
      `${name}: the hub refuses access (${status}): it is gated, private or does not exist; check the name, ` +
        `accept its licence at ${page}, and ${token}`,
    );
  }
  if (status === 404) {
    if (response.headers.get("x-error-code") === "RevisionNotFound") {
      return new InputError(`${name} has no revision ${formatValue(revision)}; see ${page}`);
    }
    return new InputError(`${name}: not found (404) at ${page}; check the spelling of the ${repo.type}`);
  }
  // Busy or broken for longer than we wait: as good as unreachable.
  if (status === 429 || status >= 500)
    return new UnreachableError(`${name}: ${settings.endpoint} answers ${status}; try again later`);
  return new RunError(`${name}: ${response.url} answers ${status}`);
}

/** The commit that the revision of `repo` is at. */
export async function fetchCommit(repo: Repo, settings: HubSettings): Promise<string> {
  if (isCommit(repo.revision)) return repo.revision;
  const { datasetInfo, modelInfo } = await import("@huggingface/hub");
  const { name, revision } = repo;
  const params = {
    name,
    revision,
    additionalFields: ["sha" as const],
    hubUrl: settings.endpoint,
    fetch: hubFetch(repo, settings),
  };
  const info = repo.type === "model" ? modelInfo(params) : datasetInfo(params);
  const { sha } = await info.catch(rethrow(repo, settings));
  if (typeof sha !== "string" || !isCommit(sha))
    throw new RunError(`${name}: ${settings.endpoint} names no commit (${formatValue(sha)})`);
  return sha;
}

/** The files of `repo` at `commit`; those of its top folder only unless `recursive`. */
export async function fetchFileList(
  repo: Repo,
  commit: string,
  recursive: boolean,
  settings: HubSettings,
): Promise<RepoFile[]> {
  const { listFiles } = await import("@huggingface/hub");
  const { type, name } = repo;
  const files: RepoFile[] = [];
  const params = {
    repo: { type, name },
    revision: commit,
    recursive,
    hubUrl: settings.endpoint,
    fetch: hubFetch(repo, settings),
  };
  try {
    for await (const { type: kind, path, size, oid, lfs } of listFiles(params)) {
      if (kind !== "file") continue;
      const etag = lfs?.oid ?? oid;
      // The tag becomes a file name in the cache.
      if (typeof etag !== "string" || !/^\w[\w-]*$/.test(etag) || !Number.isSafeInteger(size) || size < 0) {
        throw new RunError(`${name}: ${settings.endpoint} lists ${formatValue(path)} without a usable size or hash`);
      }
      files.push({ path, byteLength: size, etag, sha256: lfs && /^[0-9a-f]{64}$/.test(lfs.oid) ? lfs.oid : undefined });
    }
  } catch (error) {
    rethrow(repo, settings)(error);
  }
  return files;
}

/** The library's own errors (a page that is no JSON, say) do not name the repository. */
function rethrow(repo: Repo, settings: HubSettings): (error: unknown) => never {
  return (error) => {
    if (error instanceof InputError || error instanceof RunError) throw error;
    throw new RunError(
      `${repo.name}: ${settings.endpoint} does not answer as a hub does (${messageOf(error)}); check HF_ENDPOINT`,
    );
  };
}
