/** @file Data files to examples. */

import { InputError } from "../errors.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { type EncodingNotes, type Example, encodeRecord } from "./encode.js";
import { type DataFile, openDataFiles, readRecords } from "./files.js";
import { parseRecord } from "./records.js";

/** Data files as tokens. */
export interface Dataset {
  examples: Example[];
  files: DataFile[];
  notes: EncodingNotes;
  /** "docs.jsonl line 17": the place of an example in the data. */
  describe(example: number): string;
}

export interface DatasetOptions {
  /** Resolves `hf://` arguments to files. */
  resolve?: (url: string) => Promise<string[]>;
  /** Called now and then with the number of records and tokens so far. */
  onProgress?: (records: number, tokens: number) => void;
}

/** Reads, checks and encodes all records of `--data` arguments, in the order of the arguments and lines. */
export async function loadDataset(
  args: string[],
  tokenizer: Tokenizer,
  options: DatasetOptions = {},
): Promise<Dataset> {
  const files = await openDataFiles(args, options.resolve);
  const examples: Example[] = [];
  const notes: EncodingNotes = { specialTextsInContent: 0, specialTokensInText: 0, changedContents: 0 };
  let tokens = 0;
  for (const [file, { path }] of files.entries()) {
    for await (const { value, line, where } of readRecords(path)) {
      const example = encodeRecord(parseRecord(value, where), tokenizer, where, notes);
      examples.push({ ...example, file, line });
      tokens += example.ids.length;
      if (examples.length % 256 === 0) options.onProgress?.(examples.length, tokens);
    }
  }
  if (examples.length === 0) throw new InputError(`${args.join(" ")}: no records`);
  const describe = (example: number) => {
    const { file, line } = examples[example]!;
    return `${files[file]!.path} line ${line}`;
  };
  return { examples, files, notes, describe };
}
