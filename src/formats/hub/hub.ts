/**
 * @file Models, adapters and data sets by folder or hub id: local folders are used as they are, the rest comes through
 * the hub cache.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../../base/errors.js";
import { statOf } from "../../base/file.js";
import { formatValue, loadJson, loadText } from "../../base/json.js";
import { parseModelConfig } from "../model-config.js";
import { INDEX_FILE, LONE_SHARD, parseIndex, SINGLE_FILE } from "../shards.js";
import { cachedSnapshot, isCommit, listSnapshot, type Repo, snapshotFolder, writeRef } from "./cache.js";
import { fetchCommit, fetchFileList, type RepoFile, UnreachableError } from "./client.js";
import { parseDatasetUrl, selectDataFiles } from "./dataset.js";
import { downloadFile, type HubProgress } from "./download.js";
import { type HubSettings, hubSettings } from "./settings.js";

const TEXT_FILES =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template)\.json$|^merges\.txt$|^chat_template\.jinja$|^additional_chat_templates\/[\w.-]+\.jinja$/;
const ADAPTER_FILES = ["adapter_config.json", "adapter_model.safetensors"];
const MAX_TEXT_BYTES = 100_000_000;

const quiet: HubProgress = () => undefined;

/**
 * The folder of a model: `idOrFolder` itself, or the cached snapshot of hub id `owner/name[@revision]`, fetched where
 * needed. Throws InputError or RunError.
 */
export async function resolveModel(idOrFolder: string, onProgress: HubProgress = quiet): Promise<string> {
  return resolveFolder(idOrFolder, "model", onProgress, missingModelFiles, async (files, fetchFile) => {
    const config = files.get("config.json");
    // What the engine cannot run is refused before gigabytes are fetched.
    if (config) parseModelConfig(loadJson(await fetchFile(config), MAX_TEXT_BYTES), `${idOrFolder}/config.json`);
    const weights: string[] = [];
    const index = files.get(INDEX_FILE);
    if (files.has(SINGLE_FILE)) weights.push(SINGLE_FILE);
    else if (index) {
      const text = loadText(await fetchFile(index), MAX_TEXT_BYTES);
      weights.push(...new Set(parseIndex(text, `${idOrFolder}/${INDEX_FILE}`).values()));
    } else if (files.has(LONE_SHARD)) weights.push(LONE_SHARD);
    return [...[...files.keys()].filter((path) => TEXT_FILES.test(path)), ...weights];
  });
}

/** The folder of a PEFT adapter, as `resolveModel` finds that of a model. */
export async function resolveAdapter(idOrFolder: string, onProgress: HubProgress = quiet): Promise<string> {
  const missing = (has: (file: string) => boolean) => ADAPTER_FILES.filter((file) => !has(file));
  return resolveFolder(idOrFolder, "adapter", onProgress, missing, async (files) => {
    const texts = [...files.keys()].filter((path) => TEXT_FILES.test(path) && path !== "config.json");
    return [...ADAPTER_FILES, ...texts];
  });
}

/** The folder of a tokenizer, as `resolveModel` finds that of a model; no weights are fetched. */
export async function resolveTokenizer(idOrFolder: string, onProgress: HubProgress = quiet): Promise<string> {
  const missing = (has: (file: string) => boolean) => (has("tokenizer.json") ? [] : ["tokenizer.json"]);
  return resolveFolder(idOrFolder, "tokenizer", onProgress, missing, async (files) =>
    [...files.keys()].filter((path) => TEXT_FILES.test(path) && path !== "config.json"),
  );
}

/** Files that a model folder lacks, as far as its file names tell. */
function missingModelFiles(has: (file: string) => boolean, folder?: string): string[] {
  if (!has("config.json")) return ["config.json"];
  if (has(SINGLE_FILE)) return [];
  if (!has(INDEX_FILE)) return has(LONE_SHARD) ? [] : [SINGLE_FILE];
  if (folder === undefined) return [];
  const index = join(folder, INDEX_FILE);
  return [...new Set(parseIndex(loadText(index, MAX_TEXT_BYTES), index).values())].filter((file) => !has(file));
}

async function resolveFolder(
  idOrFolder: string,
  what: string,
  onProgress: HubProgress,
  missingFiles: (has: (file: string) => boolean, folder?: string) => string[],
  chooseFiles: (files: Map<string, RepoFile>, fetchFile: (file: RepoFile) => Promise<string>) => Promise<string[]>,
): Promise<string> {
  const stats = statOf(idOrFolder);
  if (stats?.isDirectory()) return idOrFolder;
  if (stats) throw new InputError(`${idOrFolder} is a file; give the ${what}'s folder`);
  const repo = parseModelId(idOrFolder, what);
  const settings = hubSettings();
  const missingIn = (folder: string) => missingFiles((file) => existsSync(join(folder, file)), folder);
  const cached = cachedSnapshot(settings.cacheFolder, repo);
  if (settings.offline) {
    if (!cached) throw notCached(repo, settings);
    const missing = missingIn(cached);
    if (missing.length === 0) return cached;
    throw new InputError(
      `${repo.name}: HF_HUB_OFFLINE is set and the cached copy lacks ${missing.join(", ")}; unset it to fetch the rest`,
    );
  }
  // A commit never changes.
  if (cached && isCommit(repo.revision) && missingIn(cached).length === 0) return cached;
  try {
    const commit = await fetchCommit(repo, settings);
    const listed = await fetchFileList(repo, commit, false, settings);
    const files = new Map(listed.map((file) => [file.path, file]));
    const missing = missingFiles((file) => files.has(file));
    if (missing.length > 0) throw new InputError(noSuchFiles(repo, missing, [...files.keys()]));
    const fetchFile = (file: RepoFile) => downloadFile(repo, commit, file, settings, onProgress);
    for (const path of await chooseFiles(files, fetchFile)) {
      const file = files.get(path);
      if (!file) throw new InputError(noSuchFiles(repo, [path], [...files.keys()]));
      await fetchFile(file);
    }
    writeRef(settings.cacheFolder, repo, commit);
    return snapshotFolder(settings.cacheFolder, repo, commit);
  } catch (error) {
    // As Python does: without a network, what was fetched before is used.
    if (error instanceof UnreachableError && cached && missingIn(cached).length === 0) return cached;
    throw error;
  }
}

/**
 * Local files of the data set `url`, "hf://datasets/owner/name[@revision][/split or file]", fetched where needed.
 * Without a split the data set must have "train" only. Throws InputError (also where nothing fits: the message lists
 * what there is) or RunError.
 */
export async function resolveDataset(url: string, onProgress: HubProgress = quiet): Promise<string[]> {
  const { repo, part } = parseDatasetUrl(url);
  const settings = hubSettings();
  const cached = cachedSnapshot(settings.cacheFolder, repo);
  const fromCache = (folder: string) =>
    selectDataFiles(listSnapshot(folder), part, url).map((path) => join(folder, path));
  if (settings.offline) {
    if (!cached) throw notCached(repo, settings);
    return fromCache(cached);
  }
  try {
    const commit = await fetchCommit(repo, settings);
    const files = new Map((await fetchFileList(repo, commit, true, settings)).map((file) => [file.path, file]));
    const paths: string[] = [];
    for (const path of selectDataFiles([...files.keys()], part, url)) {
      paths.push(await downloadFile(repo, commit, files.get(path)!, settings, onProgress));
    }
    writeRef(settings.cacheFolder, repo, commit);
    return paths;
  } catch (error) {
    if (error instanceof UnreachableError && cached) return fromCache(cached);
    throw error;
  }
}

function parseModelId(text: string, what: string): Repo {
  const match = /^(\w[\w.-]*\/\w[\w.-]*)(?:@(\w[\w./-]*))?$/.exec(text);
  if (!match || text.includes("..")) {
    throw new InputError(
      `${formatValue(text)}: there is no such folder, and it is no hub id (owner/name or owner/name@revision); ` +
        `give the ${what}'s folder or id`,
    );
  }
  return { type: "model", name: match[1]!, revision: match[2] ?? "main" };
}

function notCached(repo: Repo, settings: HubSettings): InputError {
  return new InputError(
    `${repo.name}: HF_HUB_OFFLINE is set and ${settings.cacheFolder} has no copy; unset it, or give a local folder`,
  );
}

function noSuchFiles(repo: Repo, missing: string[], present: string[]): string {
  const others = present.filter((path) => /\.(bin|pt|pth|gguf)$/.test(path)).slice(0, 3);
  const hint = others.length > 0 ? `; it has ${others.join(", ")}, which must be converted to safetensors first` : "";
  return `${repo.name} at ${repo.revision} has no ${missing.join(", ")}${hint}`;
}
