import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { cachedSnapshot, checkRepoPath, linkBlob, type Repo, writeRef } from "../../../src/formats/hub/cache.js";
import { hubSettings } from "../../../src/formats/hub/settings.js";
import { temporaryFolder } from "../folder.js";

const repo: Repo = { type: "model", name: "a/b", revision: "main" };
const commit = "a".repeat(40);

it.each(["../x", "/x", "a/../../x", "a//b", "./x", "a\\..\\x", "C:x", "x\0", ""])(
  "refuses the file name %j",
  (path) => {
    expect(() => checkRepoPath(path)).toThrow("would leave the cache");
  },
);

it("finds a snapshot by branch and by commit", () => {
  const cache = temporaryFolder();
  expect(cachedSnapshot(cache, repo)).toBeUndefined();
  writeRef(cache, repo, commit);
  expect(cachedSnapshot(cache, repo)).toBeUndefined();
  const folder = join(cache, "models--a--b", "snapshots", commit);
  mkdirSync(folder, { recursive: true });
  expect(cachedSnapshot(cache, repo)).toBe(folder);
  expect(cachedSnapshot(cache, { ...repo, revision: commit })).toBe(folder);
  writeFileSync(join(cache, "models--a--b", "refs", "main"), "../../../etc");
  expect(cachedSnapshot(cache, repo)).toBeUndefined();
});

it("replaces a link whose blob is gone", () => {
  const folder = temporaryFolder();
  const blob = join(folder, "blob");
  writeFileSync(blob, "x");
  mkdirSync(join(folder, "snapshot"));
  symlinkSync("../nothing", join(folder, "snapshot", "file"));
  expect(existsSync(join(folder, "snapshot", "file"))).toBe(false);
  linkBlob(join(folder, "snapshot"), "file", blob);
  linkBlob(join(folder, "snapshot"), "file", blob);
  expect(readFileSync(join(folder, "snapshot", "file"), "utf8")).toBe("x");
});

it("reads the environment as Python's huggingface_hub does", () => {
  const { endpoint, token, offline, cacheFolder } = hubSettings({ HF_HOME: "/h" });
  expect({ endpoint, token, offline, cacheFolder }).toEqual({
    endpoint: "https://huggingface.co",
    token: undefined,
    offline: false,
    cacheFolder: "/h/hub",
  });
  expect(hubSettings({ XDG_CACHE_HOME: "/x" }).cacheFolder).toBe("/x/huggingface/hub");
  expect(hubSettings({ HF_HUB_CACHE: "/c", HF_HOME: "/h" }).cacheFolder).toBe("/c");
  expect(hubSettings({ HF_HUB_OFFLINE: "yes" }).offline).toBe(true);
  expect(hubSettings({ HF_HUB_OFFLINE: "0" }).offline).toBe(false);
  expect(hubSettings({ HF_ENDPOINT: "http://mirror/" }).endpoint).toBe("http://mirror");
  expect(hubSettings({ HF_TOKEN: "t" }).token).toBe("t");
});
