import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSafetensors } from "../../src/formats/safetensors.js";
import { compareTensors, formatHeader, parseHeader } from "../../src/formats/safetensors-header.js";
import { memoryFolder, temporaryFolder } from "./folder.js";
import { HOSTILE_JSON, mutateText, mutateValue, type Random, seeded, succeedsOrInputError } from "./fuzz.js";

const tensor = (begin: number, end: number, fields: object = {}) => ({
  dtype: "F32",
  shape: [(end - begin) / 4],
  data_offsets: [begin, end],
  ...fields,
});

describe("parseHeader", () => {
  it.each<[string, unknown, number, RegExp]>([
    ["overlap", { a: tensor(0, 8), b: tensor(4, 12) }, 12, /"b" begins at 4 and overlaps "a", which ends at 8/],
    ["gap", { a: tensor(0, 8), b: tensor(12, 16) }, 16, /"b" begins at 12 and leaves a gap after "a"/],
    ["gap at the start", { a: tensor(4, 8) }, 8, /leaves a gap after the header/],
    ["bytes left over", { a: tensor(0, 8) }, 12, /12 bytes follow the header but its tensors take 8/],
    ["past the end", { a: tensor(0, 8) }, 4, /end past the file's 4 bytes/],
    ["begin after end", { a: tensor(0, 8, { data_offsets: [8, 0] }) }, 8, /end before they begin/],
    ["another size", { a: tensor(0, 8, { shape: [3] }) }, 8, /takes 12 bytes, data_offsets give 8/],
    ["negative dim", { a: tensor(0, 8, { shape: [-2, -1] }) }, 8, /shape\.0 is -2; needs whole numbers/],
    ["fraction", { a: tensor(0, 8, { shape: [0.5, 4] }) }, 8, /shape\.0 is 0\.5/],
    ["overflow", { a: tensor(0, 8, { shape: [2 ** 40, 2 ** 40] }) }, 8, /overflows/],
    ["overflow behind a zero", { a: tensor(0, 0, { shape: [2 ** 40, 2 ** 40, 0] }) }, 0, /overflows/],
    ["rank", { a: tensor(0, 4, { shape: Array(65).fill(1) }) }, 4, /65 dimensions/],
    ["dtype", { a: tensor(0, 8, { dtype: "F31" }) }, 8, /unknown dtype "F31"/],
    ["dtype of the prototype", { a: tensor(0, 8, { dtype: "constructor" }) }, 8, /unknown dtype "constructor"/],
    ["half bytes", { a: { dtype: "F4", shape: [3], data_offsets: [0, 1] } }, 1, /does not fill whole bytes/],
    ["extra field", { a: tensor(0, 8, { more: 1 }) }, 8, /must be \{dtype, shape, data_offsets\}/],
    ["three offsets", { a: tensor(0, 8, { data_offsets: [0, 8, 8] }) }, 8, /data_offsets is \[0,8,8\]/],
    ["no object", { a: 1 }, 0, /must be \{dtype/],
    ["metadata", { __metadata__: { a: 1 } }, 0, /__metadata__.*needs text values/],
  ])("refuses %s", (_, json, dataBytes, message) => {
    expect(() => parseHeader(JSON.stringify(json), dataBytes, "FILE")).toThrow(message);
    expect(() => parseHeader(JSON.stringify(json), dataBytes, "FILE")).toThrow("FILE");
  });

  it("refuses a name that occurs twice", () => {
    const entry = JSON.stringify(tensor(0, 0));
    expect(() => parseHeader(`{"a":${entry},"\\u0061":${entry}}`, 0, "FILE")).toThrow('"a" occurs twice');
  });

  it("accepts empty tensors, names of the prototype and trailing spaces", () => {
    const { tensors } = parseHeader(
      `{"__proto__":${JSON.stringify(tensor(0, 8))},"z":${JSON.stringify(tensor(8, 8))}}   `,
      8,
      "FILE",
    );
    expect([...tensors.keys()]).toEqual(["__proto__", "z"]);
  });
});

describe("10,000 hostile headers", () => {
  it("open or give an InputError that names the file; what opens can be read", () => {
    const path = join(temporaryFolder(memoryFolder()), "x.safetensors");
    const random = seeded(3);
    let opened = 0;
    const memoryBefore = process.memoryUsage().rss;
    for (let i = 0; i < 10_000; i++) {
      const { bytes, invalid } = hostileFile(random);
      writeFileSync(path, bytes);
      const shown = bytes.toString("latin1");
      const isOpened = succeedsOrInputError(() => readEverything(path), path, shown);
      if (isOpened) opened++;
      if (isOpened && invalid) expect.fail(`${invalid} was accepted: ${JSON.stringify(shown.slice(0, 600))}`);
    }
    expect(opened).toBeGreaterThan(100);
    expect(process.memoryUsage().rss - memoryBefore).toBeLessThan(300e6);
  });
});

function readEverything(path: string): void {
  const file = openSafetensors(path);
  try {
    for (const [name, { byteLength }] of file.tensors) expect(file.read(name).byteLength).toBe(byteLength);
  } finally {
    file.close();
  }
}

/** A file that may be valid; `invalid` says why it certainly is not. */
function hostileFile(random: Random): { bytes: Buffer; invalid?: string } {
  const { json, dataBytes } = validHeader(random);
  const [name, second] = Object.keys(json).filter((key) => key !== "__metadata__");
  const entry = json[name!] as { dtype: string; shape: number[]; data_offsets: [number, number] };
  const kind = random.whole(14);
  let text = JSON.stringify(json);
  let headerBytes: bigint | undefined;
  let extraBytes = 0;
  let invalid: string | undefined;
  if (kind === 0) headerBytes = BigInt(random.pick([0, 1, 2, 7, 100_000_000, 100_000_001, 2 ** 31, 2 ** 52]));
  else if (kind === 1) headerBytes = random.pick([2n ** 63n, 2n ** 64n - 1n, 2n ** 64n - 8n, 2n ** 32n]);
  else if (kind === 2) text = mutateText(text, random);
  else if (kind === 3) text = mutateValue(json, random);
  else if (kind === 4) extraBytes = random.pick([-1, 1, 4, -4, 64]);
  else if (kind === 5) text = text.replace(JSON.stringify(name), () => random.pick(HOSTILE_JSON));
  else if (kind === 6) text = `{${JSON.stringify(name)}:${JSON.stringify(entry)},${text.slice(1)}`;
  else if (kind === 7) text = "[".repeat(random.whole(20_000)) + text;
  else {
    const shift = random.pick([-4, 4, 1, 2 ** 31, 2 ** 53, -(2 ** 40)]);
    if (kind === 8) entry.data_offsets = [entry.data_offsets[0] + shift, entry.data_offsets[1] + shift];
    else if (kind === 9) entry.data_offsets[random.whole(2)]! += shift;
    else if (kind === 10) entry.shape.push(random.pick([-1, 2 ** 53, 2 ** 40, 0.5, 3]));
    else if (kind === 11) entry.dtype = random.pick(["F64", "f32", "", "U8", "toString", "C64", "F6_E2M3"]);
    else if (kind === 12 && second) entry.data_offsets = structuredClone(json[second] as typeof entry).data_offsets;
    text = JSON.stringify(json);
  }
  if (kind === 4 || kind === 7) invalid = `kind ${kind}`;
  // An empty tensor may lie between any two others.
  if (kind === 8 && !entry.shape.includes(0)) invalid = "moved";
  if (kind === 6) invalid = "a double name";
  if (kind === 7 && text.startsWith("{")) invalid = undefined;
  const header = Buffer.from(text);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(headerBytes ?? BigInt(header.byteLength));
  const data = Buffer.alloc(Math.max(0, dataBytes + extraBytes), 1);
  if (kind === 4 && dataBytes + extraBytes < 0) invalid = undefined;
  let bytes = Buffer.concat([prefix, header, data]);
  if (random.whole(20) === 0) bytes = bytes.subarray(0, random.whole(bytes.byteLength));
  if (bytes.byteLength < 8 + header.byteLength + data.byteLength) invalid = "cut short";
  return invalid ? { bytes, invalid } : { bytes };
}

function validHeader(random: Random): { json: Record<string, unknown>; dataBytes: number } {
  const json: Record<string, unknown> = random.whole(2) ? { __metadata__: { format: "pt" } } : {};
  let at = 0;
  for (let count = 1 + random.whole(4); count > 0; count--) {
    const [dtype, elementBytes] = random.pick([
      ["F32", 4],
      ["F16", 2],
      ["BF16", 2],
      ["I64", 8],
      ["BOOL", 1],
    ] as const);
    const shape = Array.from({ length: random.whole(4) }, () => random.whole(5));
    const end = at + shape.reduce((a, b) => a * b, elementBytes);
    json[`model.layers.${count}.weight`] = { dtype, shape, data_offsets: [at, end] };
    at = end;
  }
  return { json, dataBytes: at };
}

it("writes headers that are aligned and parse back", () => {
  const entries = [
    ['a\u2028"é', { dtype: "F32", shape: [2], byteOffset: 0, byteLength: 8 }],
    ["b", { dtype: "BF16", shape: [0, 3], byteOffset: 8, byteLength: 0 }],
  ] as const;
  const bytes = formatHeader(entries, { x: "y" });
  expect(bytes.byteLength % 8).toBe(0);
  const { tensors, metadata } = parseHeader(Buffer.from(bytes.subarray(8)).toString(), 8, "FILE");
  expect([...tensors]).toEqual(entries.map((entry) => [...entry]));
  expect(metadata).toEqual({ x: "y" });
});

it("orders as the reference does", () => {
  const names = (["b BF16", "a F16", "z F32", "i I64", "c F32"] as const).map((text) => ({
    name: text[0]!,
    dtype: text.slice(2),
  }));
  expect(names.sort(compareTensors).map(({ name }) => name)).toEqual(["i", "c", "z", "b", "a"]);
});
