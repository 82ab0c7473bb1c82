import { describe, expect, it } from "vitest";
import { parseDatasetUrl, selectDataFiles } from "../../../src/formats/hub/dataset.js";

describe("parseDatasetUrl", () => {
  it.each([
    ["hf://datasets/o/n", "o/n", "main", ""],
    ["hf://datasets/o/n/", "o/n", "main", ""],
    ["hf://datasets/o/n/train", "o/n", "main", "train"],
    ["hf://datasets/o/n@v1/data/train.jsonl", "o/n", "v1", "data/train.jsonl"],
    ["hf://datasets/o/n@refs/convert/parquet/default/train", "o/n", "refs/convert/parquet", "default/train"],
  ])("%s", (url, name, revision, part) => {
    expect(parseDatasetUrl(url)).toEqual({ repo: { type: "dataset", name, revision }, part });
  });

  it.each([
    "hf://datasets/o",
    "hf://o/n",
    "hf://models/o/n",
    "hf://datasets/../n/x",
    "hf://datasets/o/n/../../x",
    "hf://datasets/o/n@/x",
  ])("refuses %s", (url) => {
    expect(() => parseDatasetUrl(url)).toThrow("is no data set; write hf://datasets/owner/name");
  });
});

describe("selectDataFiles", () => {
  const shards = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"];
  const configs = ["de/train.jsonl", "en/train.jsonl", "en/test.jsonl"];

  it.each<[string, string[], string, string[]]>([
    ["a split in shards", [...shards, "data/test-00000-of-00001.parquet", "README.md"], "train", shards],
    ["a file at the top", ["train.jsonl", "test.jsonl"], "test", ["test.jsonl"]],
    ["compressed", ["train.jsonl.gz"], "train", ["train.jsonl.gz"]],
    [
      "a folder of the split's name",
      ["train/a-0.parquet", "train/a-1.parquet", "test/a.parquet"],
      "train",
      ["train/a-0.parquet", "train/a-1.parquet"],
    ],
    ["an exact file", configs, "en/test.jsonl", ["en/test.jsonl"]],
    ["a file without its ending", ["gpt-4.jsonl", "gpt-3.jsonl"], "gpt-4", ["gpt-4.jsonl"]],
    ["a split of a configuration", configs, "en/train", ["en/train.jsonl"]],
    ["the only split", shards, "", shards],
    ["the only file", ["anything.jsonl", "README.md"], "", ["anything.jsonl"]],
    ["the top one of two", ["train.jsonl", "old/train.jsonl"], "train", ["train.jsonl"]],
  ])("finds %s", (_, paths, part, chosen) => {
    expect(selectDataFiles(paths, part, "URL")).toEqual(chosen);
  });

  it.each<[string, string[], string, RegExp]>([
    ["no data", ["README.md", "x.csv"], "", /^URL has no \.parquet, \.jsonl or \.jsonl\.gz file$/],
    [
      "no split named",
      ["train.jsonl", "test.jsonl"],
      "",
      /^URL must name a split; the data set has test, train: put one/,
    ],
    ["another split", ["train.jsonl"], "dev", /^URL names no one split; the data set has train:/],
    ["several", configs, "train", /names no one split; the data set has de\/train, en\/test, en\/train/],
    ["several files without a split", ["a-1.jsonl", "a-2.jsonl"], "", /must name a split; the data set has a:/],
    ["a missing shard", shards.slice(1), "train", /^URL: 1 of its 2 files are there/],
    ["two formats", ["train.jsonl", "train.parquet"], "", /in several formats \(train\.jsonl, train\.parquet\)/],
  ])("refuses %s", (_, paths, part, message) => {
    expect(() => selectDataFiles(paths, part, "URL")).toThrow(message);
  });
});
