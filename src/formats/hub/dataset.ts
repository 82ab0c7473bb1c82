/**
 * @file Which files of a hub data set are meant: an exact file, or the files of a split by the naming habits of the
 * hub.
 */

import { InputError } from "../../base/errors.js";
import { formatValue } from "../../base/json.js";
import type { Repo } from "./cache.js";

const DATA_FILE = /\.(parquet|jsonl|jsonl\.gz)$/;
const MAX_LISTED = 12;

/** The repository and the rest of "hf://datasets/owner/name[@revision][/part]". Throws InputError on another form. */
export function parseDatasetUrl(url: string): { repo: Repo; part: string } {
  const match = /^hf:\/\/datasets\/(\w[\w.-]*\/\w[\w.-]*)(?:@(refs\/(?:convert|pr)\/\w+|\w[\w.-]*))?(?:\/(.*))?$/.exec(
    url,
  );
  if (!match || url.includes("..")) {
    throw new InputError(
      `${formatValue(url)} is no data set; write hf://datasets/owner/name or hf://datasets/owner/name/split`,
    );
  }
  return {
    repo: { type: "dataset", name: match[1]!, revision: match[2] ?? "main" },
    part: (match[3] ?? "").replace(/\/+$/, ""),
  };
}

/**
 * The paths, sorted, that `part` of the data set `url` means among all its `paths`: an exact file, a split ("train",
 * or "config/train" below a folder), or "" for the only split "train". Throws InputError listing what there is.
 */
export function selectDataFiles(paths: string[], part: string, url: string): string[] {
  const dataFiles = paths.filter((path) => DATA_FILE.test(path)).sort();
  const exact = dataFiles.filter((path) => path === part || path.replace(DATA_FILE, "") === part);
  if (exact.length === 1) return exact;
  if (dataFiles.length === 0) throw new InputError(`${url} has no .parquet, .jsonl or .jsonl.gz file`);
  const splits = new Map<string, string[]>();
  for (const path of dataFiles) {
    const key = splitKey(path);
    splits.set(key, [...(splits.get(key) ?? []), path]);
  }
  const chosen = chooseSplit(splits, part);
  if (!chosen) {
    const listed = [...splits.keys()].slice(0, MAX_LISTED).join(", ") + (splits.size > MAX_LISTED ? ", ..." : "");
    const fault = part === "" ? "must name a split" : "names no one split";
    throw new InputError(
      `${url} ${fault}; the data set has ${listed}: put one of these, or a file's path, after its name`,
    );
  }
  checkSplit(chosen, url);
  return chosen;
}

function chooseSplit(splits: Map<string, string[]>, part: string): string[] | undefined {
  if (splits.has(part)) return splits.get(part);
  const [first, ...others] = splits.keys();
  if (part === "") {
    const isTrain = /(^|\/)train$/.test(first!) || splits.get(first!)!.length === 1;
    return others.length === 0 && isTrain ? splits.get(first!) : undefined;
  }
  const fitting = [...splits.keys()].filter((key) => key.endsWith(`/${part}`));
  return fitting.length === 1 ? splits.get(fitting[0]!) : undefined;
}

/**
 * Folder and split of a data file: "data/train-00000-of-00002.parquet" and "train/0.parquet" are "data/train" and
 * "train".
 */
function splitKey(path: string): string {
  const parts = path.split("/");
  const stem = parts.pop()!.replace(DATA_FILE, "");
  const folder = parts.at(-1);
  if (folder !== undefined && /^(train|test|validation|valid|dev|eval)$/.test(folder)) return parts.join("/");
  // Shards: "-00000-of-00002", or a plain number.
  const split = stem.replace(/[-_.]\d{5}-of-\d{5}(-[0-9a-f]+)?$/, "").replace(/[-_.]\d+$/, "");
  return [...parts, split].join("/");
}

/** A split stored twice, or a partly cached one, must not pass for the split. */
function checkSplit(paths: string[], url: string): void {
  const formats = new Set(paths.map((path) => DATA_FILE.exec(path)![1]));
  if (formats.size > 1)
    throw new InputError(
      `${url} is there in several formats (${paths.slice(0, MAX_LISTED).join(", ")}); give a file's path`,
    );
  const count = Number(/-of-(\d{5})/.exec(paths[0]!)?.[1] ?? paths.length);
  if (paths.length !== count)
    throw new InputError(`${url}: ${paths.length} of its ${count} files are there; fetch the others too`);
}
