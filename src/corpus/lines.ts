/** @file Lines of a stream. */

import { InputError } from "../base/errors.js";
import { shortMessage } from "../tokenizer/files.js";

/** A longer line than this is no record of a JSONL file. */
const MAX_LINE_BYTES = 256 << 20;
const NEWLINE = 10;

export interface Line {
  text: string;
  /** Counted from 1. */
  line: number;
}

/**
 * The lines of a UTF-8 file that are not empty, without holding more of it than one line; `path` is for errors, and
 * `onBadLine` gets that of a line that is not UTF-8 (default: it is thrown).
 */
export async function* readLines(
  stream: AsyncIterable<Buffer | string>,
  path: string,
  onBadLine: (error: InputError) => void = raise,
): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let pieces: Buffer[] = [];
  let length = 0;
  let line = 0;
  const finish = (): string => {
    line++;
    const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    pieces = [];
    length = 0;
    try {
      return decoder.decode(bytes).trim();
    } catch {
      onBadLine(new InputError(`${path} line ${line}: not valid UTF-8`));
      return "";
    }
  };
  try {
    for await (const data of stream) {
      const chunk = Buffer.from(data);
      let from = 0;
      for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
        pieces.push(chunk.subarray(from, at));
        from = at + 1;
        const text = finish();
        if (text !== "") yield { text, line };
      }
      pieces.push(chunk.subarray(from));
      length += chunk.length - from;
      if (length > MAX_LINE_BYTES)
        throw new InputError(`${path} line ${line + 1}: longer than ${MAX_LINE_BYTES} bytes`);
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    const after = line > 0 ? ` after line ${line}` : "";
    throw new InputError(`${path}: cannot be read${after}: ${shortMessage(error)}`);
  }
  const text = finish();
  if (text !== "") yield { text, line };
}

/** What becomes of the error of one row where it ends the reading. */
export function raise(error: unknown): never {
  throw error;
}
