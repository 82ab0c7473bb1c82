import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openCheckpoint } from "../../../src/formats/checkpoint.js";
import { resolveAdapter, resolveDataset, resolveModel } from "../../../src/formats/hub/hub.js";
import { smallConfig, smallModelConfig, smallTensors, temporaryFolder, writeCheckpoint } from "../folder.js";
import { blobName, type HubRepo, startHub } from "./server.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
let cache = "";

beforeEach(() => {
  cache = temporaryFolder();
  for (const name of [
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HUGGINGFACE_HUB_CACHE",
  ])
    vi.stubEnv(name, "");
  vi.stubEnv("HF_HUB_CACHE", cache);
  vi.stubEnv("HF_HOME", join(cache, "home"));
});
afterEach(() => void vi.unstubAllEnvs());

/** A checkpoint as a repository, with files that must not be fetched. */
async function modelRepo(): Promise<HubRepo> {
  const folder = temporaryFolder();
  await writeCheckpoint(folder, smallConfig("qwen3"), smallTensors(smallModelConfig("qwen3")));
  const files: HubRepo["files"] = {};
  for (const name of readdirSync(folder)) files[name] = readFileSync(join(folder, name));
  for (const name of ["tokenizer.json", "generation_config.json", "chat_template.jinja"])
    files[name] = Buffer.from(`{"${name}":1}`);
  for (const name of [
    "README.md",
    "pytorch_model.bin",
    "training_args.bin",
    "original/model.safetensors",
    "extra.safetensors",
  ]) {
    files[name] = Buffer.alloc(2000);
  }
  return { commit: COMMIT, files };
}

async function start(repos: Record<string, HubRepo>) {
  const hub = await startHub(repos);
  vi.stubEnv("HF_ENDPOINT", `${hub.endpoint}/`);
  return hub;
}

describe("resolveModel", () => {
  it("uses a local folder as it is", async () => {
    const folder = temporaryFolder();
    expect(await resolveModel(folder)).toBe(folder);
    writeFileSync(join(folder, "file"), "");
    await expect(resolveModel(join(folder, "file"))).rejects.toThrow("is a file; give the model's folder");
    for (const text of ["./none", "none", "/none/x", "a/b/c", "a/..", "a/b@../x", "~/models/x"]) {
      await expect(resolveModel(text)).rejects.toThrow(/there is no such folder, and it is no hub id/);
    }
  });

  it("fetches what a checkpoint needs, and nothing else, into the layout of huggingface_hub", async () => {
    const repo = await modelRepo();
    const hub = await start({ "models/owner/name": repo });
    const progress: Record<string, number[]> = {};
    const folder = await resolveModel("owner/name", (file, done, total) => {
      progress[file] = [done, total];
    });
    expect(folder).toBe(join(cache, "models--owner--name", "snapshots", COMMIT));
    const needed = [
      "chat_template.jinja",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
    ];
    expect(readdirSync(folder).sort()).toEqual(needed);
    for (const name of needed) {
      const bytes = repo.files[name]!;
      expect(readFileSync(join(folder, name)).equals(bytes)).toBe(true);
      expect(readlinkSync(join(folder, name))).toBe(`../../blobs/${blobName(bytes)}`);
      expect(progress[name]).toEqual([bytes.byteLength, bytes.byteLength]);
    }
    expect(readFileSync(join(cache, "models--owner--name", "refs", "main"), "utf8")).toBe(COMMIT);
    expect(readdirSync(join(cache, "models--owner--name", "blobs"))).toHaveLength(needed.length);
    openCheckpoint(folder).close();

    // Again: the commit and the list are asked for, no content. By its commit: nothing is.
    hub.requests.length = 0;
    expect(await resolveModel("owner/name")).toBe(folder);
    expect(hub.requests.filter((line) => /resolve|content/.test(line))).toEqual([]);
    hub.requests.length = 0;
    expect(await resolveModel(`owner/name@${COMMIT}`)).toBe(folder);
    expect(hub.requests).toEqual([]);
  });

  it("fetches the shards of an index", async () => {
    const { commit, files } = await modelRepo();
    const { "model.safetensors": shard, ...others } = files;
    const index = Buffer.from('{"weight_map":{"a":"shard-1.safetensors","b":"shard-2.safetensors"}}');
    const repo = {
      commit,
      files: {
        ...others,
        "shard-1.safetensors": shard!,
        "shard-2.safetensors": shard!,
        "model.safetensors.index.json": index,
      },
    };
    await start({ "models/owner/name": repo });
    const folder = await resolveModel("owner/name");
    expect(readdirSync(folder).filter((name) => name.includes("safetensors"))).toHaveLength(3);
    Object.assign(repo, { commit: COMMIT.replace("0", "1") });
    delete (repo.files as HubRepo["files"])["shard-2.safetensors"];
    await expect(resolveModel("owner/name")).rejects.toThrow(/^owner\/name at main has no shard-2\.safetensors/);
  });

  it("continues a download that broke, in the same run and in the next", async () => {
    const repo = await modelRepo();
    const whole = repo.files["model.safetensors"]!;
    const hub = await start({ "models/owner/name": repo });
    const small = 4; // config, generation_config, tokenizer, template come first and whole
    hub.breakAfter = [...Array(small).fill(1e9), 1000, 500];
    await resolveModel("owner/name");
    expect(hub.requests.filter((line) => line.startsWith("content"))).toEqual([
      "content whole",
      "content bytes=1000-",
      "content bytes=1500-",
    ]);

    rmSync(join(cache, "models--owner--name"), { recursive: true });
    hub.breakAfter = [...Array(small).fill(1e9), 2000, 0, 0, 0, 0, 0, 0];
    await expect(resolveModel("owner/name")).rejects.toThrow(
      new RegExp(
        `^owner/name: model\\.safetensors stopped at 2000 of ${whole.byteLength} bytes .*run the same command to ` +
          "continue",
      ),
    );
    expect(existsSync(join(cache, "models--owner--name", "refs", "main"))).toBe(false);
    hub.breakAfter = [];
    hub.requests.length = 0;
    const seen: number[] = [];
    const folder = await resolveModel("owner/name", (_, done) => seen.push(done));
    expect(seen[0]).toBe(2000);
    expect(hub.requests.filter((line) => line.startsWith("content"))).toEqual(["content bytes=2000-"]);
    expect(readFileSync(join(folder, "model.safetensors")).equals(whole)).toBe(true);
  });

  it("starts again where the server knows no Range, or the part on disk is wrong", async () => {
    const repo = await modelRepo();
    const whole = repo.files["model.safetensors"]!;
    const hub = await start({ "models/owner/name": repo });
    const blobs = join(cache, "models--owner--name", "blobs");
    const partial = join(blobs, `${blobName(whole)}.incomplete`);
    for (const [ignoresRange, part] of [
      [true, whole.subarray(0, 700)],
      [false, Buffer.alloc(700, 9)],
      [false, Buffer.alloc(whole.byteLength + 5)],
      [false, Buffer.alloc(whole.byteLength, 9)],
    ] as const) {
      rmSync(blobs, { recursive: true, force: true });
      mkdirSync(blobs, { recursive: true });
      writeFileSync(partial, part);
      hub.ignoresRange = ignoresRange;
      const folder = await resolveModel("owner/name");
      expect(readFileSync(join(folder, "model.safetensors")).equals(whole)).toBe(true);
      expect(readdirSync(blobs).filter((name) => name.includes("incomplete"))).toEqual([]);
    }
  });

  it("refuses content with another hash", async () => {
    const hub = await start({ "models/owner/name": await modelRepo() });
    hub.corrupt = (content) => (content.byteLength < 1000 ? content : Buffer.alloc(content.byteLength, 7));
    await expect(resolveModel("owner/name")).rejects.toThrow(
      /^owner\/name: model\.safetensors arrives with the wrong SHA-256/,
    );
  });

  it("sends the token to the hub only, and says what a refusal means", async () => {
    const repo = { ...(await modelRepo()), token: "secret" };
    const hub = await start({ "models/owner/name": repo });
    await expect(resolveModel("owner/name")).rejects.toThrow(
      /^owner\/name: the hub refuses access \(401\): .*accept its licence at .*owner\/name, and set HF_TOKEN$/,
    );
    vi.stubEnv("HF_TOKEN", "wrong");
    await expect(resolveModel("owner/name")).rejects.toThrow("the HF_TOKEN in use has no access");
    vi.stubEnv("HF_TOKEN", "secret"); // the content server fails where it sees a token
    expect(await resolveModel("owner/name")).toContain(COMMIT);
    rmSync(join(cache, "models--owner--name"), { recursive: true });
    vi.stubEnv("HF_TOKEN", "");
    mkdirSync(join(cache, "home"));
    writeFileSync(join(cache, "home", "token"), "secret\n");
    expect(await resolveModel("owner/name")).toContain(COMMIT);
    expect(hub.requests.length).toBeGreaterThan(0);
  });

  it("names what is not there", async () => {
    const repo = await modelRepo();
    await start({ "models/owner/name": repo });
    await expect(resolveModel("owner/other")).rejects.toThrow(
      /^owner\/other: not found \(404\) at http.*\/owner\/other; check the spelling/,
    );
    await expect(resolveModel("owner/name@v9")).rejects.toThrow(/^owner\/name has no revision "v9"/);
    delete repo.files["model.safetensors"];
    await expect(resolveModel("owner/name")).rejects.toThrow(
      "owner/name at main has no model.safetensors; it has pytorch_model.bin, training_args.bin, which must be " +
        "converted",
    );
  });

  it("refuses a model that the engine does not run before fetching its weights", async () => {
    const repo = await modelRepo();
    repo.files["config.json"] = Buffer.from(JSON.stringify(smallConfig("qwen3", { model_type: "qwen3_moe" })));
    const hub = await start({ "models/owner/name": repo });
    await expect(resolveModel("owner/name")).rejects.toThrow('owner/name/config.json: model_type is "qwen3_moe"');
    expect(hub.requests.filter((line) => line.startsWith("content"))).toEqual([]);
  });

  it("refuses file names that leave the cache", async () => {
    const repo = await modelRepo();
    repo.files["model.safetensors.index.json"] = Buffer.from('{"weight_map":{"a":"../../x.safetensors"}}');
    delete repo.files["model.safetensors"];
    await start({ "models/owner/name": repo });
    await expect(resolveModel("owner/name")).rejects.toThrow(/shard "\.\.\/\.\.\/x\.safetensors" is not the name/);
  });

  it("uses the cache offline and without a network, and says so where it has nothing", async () => {
    const hub = await start({ "models/owner/name": await modelRepo() });
    const folder = await resolveModel("owner/name");
    await hub.close();
    expect(await resolveModel("owner/name")).toBe(folder);
    await expect(resolveModel("owner/other")).rejects.toThrow(
      /^owner\/other: http.* cannot be reached \(ECONNREFUSED\); check the network/,
    );
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await resolveModel("owner/name")).toBe(folder);
    expect(await resolveModel(`owner/name@${COMMIT}`)).toBe(folder);
    await expect(resolveModel("owner/other")).rejects.toThrow(
      /^owner\/other: HF_HUB_OFFLINE is set and .* has no copy/,
    );
    rmSync(join(folder, "model.safetensors"));
    await expect(resolveModel("owner/name")).rejects.toThrow("the cached copy lacks model.safetensors");
  });
});

it("resolveAdapter fetches an adapter", async () => {
  const files: HubRepo["files"] = {
    "README.md": Buffer.from("x"),
    "config.json": Buffer.from("{}"),
    "tokenizer.json": Buffer.from("{}"),
  };
  const repo = { commit: COMMIT, files };
  await start({ "models/owner/lora": repo });
  await expect(resolveAdapter("owner/lora")).rejects.toThrow(
    "owner/lora at main has no adapter_config.json, adapter_model.safetensors",
  );
  files["adapter_config.json"] = Buffer.from("{}");
  files["adapter_model.safetensors"] = Buffer.alloc(5000, 1);
  const folder = await resolveAdapter("owner/lora@main");
  expect(readdirSync(folder).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"]);
  expect(await resolveAdapter(folder)).toBe(folder);
});

it("resolveDataset fetches a split", async () => {
  const files: HubRepo["files"] = { "README.md": Buffer.from("x") };
  for (const name of ["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"])
    files[`data/${name}.parquet`] = Buffer.from(name);
  const hub = await start({ "datasets/owner/set": { commit: COMMIT, files } });
  const paths = await resolveDataset("hf://datasets/owner/set/train");
  const folder = join(cache, "datasets--owner--set", "snapshots", COMMIT, "data");
  expect(paths).toEqual([join(folder, "train-00000-of-00002.parquet"), join(folder, "train-00001-of-00002.parquet")]);
  expect(paths.map((path) => readFileSync(path, "utf8"))).toEqual(["train-00000-of-00002", "train-00001-of-00002"]);
  expect(readlinkSync(paths[0]!)).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/);
  await expect(resolveDataset("hf://datasets/owner/set")).rejects.toThrow(
    /must name a split; the data set has data\/test, data\/train/,
  );
  await hub.close();
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  expect(await resolveDataset("hf://datasets/owner/set/train")).toEqual(paths);
  rmSync(paths[1]!);
  await expect(resolveDataset("hf://datasets/owner/set/train")).rejects.toThrow("1 of its 2 files are there");
  await expect(resolveDataset("hf://datasets/owner/none/train")).rejects.toThrow("HF_HUB_OFFLINE is set");
});
