/** @file Data files to examples. */

import { InputError } from "../base/errors.js";
import { STREAMS } from "../base/random.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { type EncodingNotes, type Example, encodeRecord, NO_NOTES } from "./encode.js";
import { type DataFile, type DataFileOptions, openDataFiles, readRecords } from "./files.js";
import { parseForm, recordOf } from "./records.js";
import { shuffledOrder } from "./shuffle.js";

/** Data files as tokens. */
export interface Dataset {
  examples: Example[];
  files: DataFile[];
  notes: EncodingNotes;
  /** What is wrong with the first row that was left out; null where none was. */
  firstSkipped: string | null;
  /** "docs.jsonl line 17": the place of an example in the data. */
  describe(example: number): string;
}

export interface DatasetOptions extends DataFileOptions {
  /** Leave rows out that are no records, instead of ending at the first. Default false. */
  skipBadRows?: boolean;
  /** Called now and then with the number of records and tokens so far. */
  onProgress?: (records: number, tokens: number) => void;
}

/** Reads, checks and encodes all records of `--data` arguments, in the order of the arguments and lines. */
export async function loadDataset(
  args: readonly string[],
  tokenizer: Tokenizer,
  options: DatasetOptions = {},
): Promise<Dataset> {
  const files = await openDataFiles(args, options);
  const examples: Example[] = [];
  const notes: EncodingNotes = { ...NO_NOTES };
  let tokens = 0;
  let firstSkipped: string | null = null;
  const onBadRow = (error: unknown): void => {
    if (!options.skipBadRows || !(error instanceof InputError)) throw error;
    firstSkipped ??= error.message;
    notes.skippedRows++;
  };
  for (const [file, { path }] of files.entries()) {
    for await (const { value, line, where } of readRecords(path, onBadRow)) {
      try {
        const { record, form } = parseForm(recordOf(value, where), where);
        const example = encodeRecord(record, tokenizer, where, notes);
        examples.push({ ...example, form, file, line });
        tokens += example.ids.length;
      } catch (error) {
        onBadRow(error);
      }
      if (examples.length % 256 === 0) options.onProgress?.(examples.length, tokens);
    }
  }
  if (examples.length === 0) {
    const why = firstSkipped === null ? "" : `: all ${notes.skippedRows} rows are bad; the first: ${firstSkipped}`;
    throw new InputError(`${args.join(" ")}: no records${why}`);
  }
  return withExamples({ files, notes, firstSkipped }, examples);
}

/**
 * `records` examples of the data, drawn by `seed`, in the order of the data; with the same seed a smaller draw is part
 * of a larger one.
 * @throws InputError where there are fewer
 */
export function drawRecords(dataset: Dataset, records: number, seed: number): Dataset {
  const { examples } = dataset;
  if (records > examples.length)
    throw new InputError(`--records ${records}: the data have ${examples.length} records; use at most that`);
  const drawn = shuffledOrder(examples.length, seed, STREAMS.recordSubset).slice(0, records).sort();
  return withExamples(
    dataset,
    [...drawn].map((i) => examples[i]!),
  );
}

/** Two data sets as one. */
export function joinDatasets(a: Dataset, b: Dataset): Dataset {
  const shifted = b.examples.map((example) => ({ ...example, file: example.file + a.files.length }));
  const notes = Object.fromEntries(
    Object.entries(a.notes).map(([key, value]) => [key, value + b.notes[key as keyof EncodingNotes]]),
  ) as unknown as EncodingNotes;
  const firstSkipped = a.firstSkipped ?? b.firstSkipped;
  return withExamples({ files: [...a.files, ...b.files], notes, firstSkipped }, [...a.examples, ...shifted]);
}

/** The data with these examples. */
export function withExamples(
  { files, notes, firstSkipped }: Omit<Dataset, "examples" | "describe">,
  examples: Example[],
): Dataset {
  const describe = (example: number): string => {
    const { file, line } = examples[example]!;
    return `${files[file]!.path} line ${line}`;
  };
  return { examples, files, notes, firstSkipped, describe };
}
