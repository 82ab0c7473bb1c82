import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { crc32c, eventFile, writeTensorboard } from "../../src/runs/tensorboard.js";

const folder = mkdtempSync(join(tmpdir(), "train-msm-tensorboard-"));
afterAll(() => rmSync(folder, { recursive: true }));

const unmask = (masked: number): number => {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
};

/** The data of each record; throws where a checksum is wrong. */
function recordsOf(file: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(unmask(file.readUInt32LE(at + 8))).toBe(crc32c(file.subarray(at, at + 8)));
    expect(unmask(file.readUInt32LE(at + 12 + length))).toBe(crc32c(data));
    records.push(data);
    at += 16 + length;
  }
  return records;
}

test("the checksum is RFC 3720's", () => {
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
});

test("an event is its bytes in protobuf's wire format", () => {
  const [version, event, ...rest] = recordsOf(
    Buffer.from(eventFile([{ step: 300, metrics: { "train/loss": 0.5 } }], 1.5)),
  );
  expect(rest).toEqual([]);
  const time = "09000000000000f83f";
  expect(version!.toString("hex")).toBe(`${time}1a0d${Buffer.from("brain.Event:2").toString("hex")}`);
  const value = `0a0a${Buffer.from("train/loss").toString("hex")}150000003f`;
  expect(event!.toString("hex")).toBe(`${time}10ac022a130a11${value}`);
});

test("the steps of a run's log are written, again where they were; where there is no log, nothing is", async () => {
  const log = [
    { type: "plan" },
    { type: "step", step: 1, loss: 2, lr: 0.1 },
    { type: "step", step: 2, loss: 1, lr: 0 },
  ];
  writeFileSync(join(folder, "log.jsonl"), log.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const out = join(folder, "board");
  expect(await writeTensorboard(folder, out, 1)).toBe(true);
  expect(await writeTensorboard(folder, out, 1)).toBe(true);
  const file = readFileSync(join(out, "events.out.tfevents.0000000000.train-msm"));
  expect(recordsOf(file).length).toBe(3);
  expect(await writeTensorboard(join(folder, "none"), out, 1)).toBe(false);
});
