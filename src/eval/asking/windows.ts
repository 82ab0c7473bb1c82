/** @file A text as windows of tokens to score. */
import { InputError } from "../../base/errors.js";
import type { ScoreRequest } from "../../model/score.js";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";

/** The windows of a text as requests, and the UTF-8 bytes of the tokens that they score. */
export function cutWindows(
  tokenizer: Tokenizer,
  text: string,
  seqLen: number,
  where: string,
): { windows: ScoreRequest[]; bytes: number } {
  const { before } = tokenizer.surround;
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const first = before.length > 0 ? 0 : 1;
  const step = seqLen - before.length - 1;
  if (step < 1) throw new InputError(`--seq-len ${seqLen} leaves no token to score: use at least ${before.length + 2}`);
  if (ids.length <= first) throw new InputError(`${where}: ${ids.length} tokens are too few to score`);
  const windows: ScoreRequest[] = [];
  for (let begin = first; begin < ids.length; ) {
    // The first window of a text with a BOS has one token of context less, and room for one more.
    const context = [...before, ...ids.slice(Math.max(0, begin - 1), begin)];
    const end = Math.min(ids.length, begin + seqLen - context.length);
    windows.push({ ids: [...context, ...ids.slice(begin, end)], from: context.length });
    begin = end;
  }
  const uncounted = first === 0 ? 0 : Buffer.byteLength(tokenizer.decode(ids.slice(0, 1)));
  return { windows, bytes: Buffer.byteLength(text) - uncounted };
}
