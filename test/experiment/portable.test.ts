/** @file Records without paths of the machine. */
import { describe, expect, it } from "vitest";
import { withoutMachinePaths } from "../../src/experiment/portable.js";

describe("a record", () => {
  it("has paths relative to the working folder, and names of what is elsewhere", () => {
    const record = {
      data: ["/base/corpora/a.jsonl", "/elsewhere/models/name", "corpora/b.jsonl", "hf://datasets/a/b"],
      nested: { out: "/base/runs/x", up: "/base", n: 1, nothing: null, flag: true },
    };
    expect(withoutMachinePaths(record, "/base")).toEqual({
      data: ["corpora/a.jsonl", "name", "corpora/b.jsonl", "hf://datasets/a/b"],
      nested: { out: "runs/x", up: "base", n: 1, nothing: null, flag: true },
    });
  });
});
