/** @file Whether token ids are rows of a model's embedding: kernels trust them. */
import { InputError } from "../base/errors.js";

/**
 * Throws InputError naming `where` and the first of `ids` that is none of the `vocabSize` rows of the embedding;
 * `textOf` is a token's text, where that is known.
 */
export function checkTokenIds(
  ids: ArrayLike<number>,
  vocabSize: number,
  where: string,
  textOf: (id: number) => string | undefined = () => undefined,
): void {
  const id = firstOutside(ids, vocabSize);
  if (id === null) return;
  const text = textOf(id);
  throw new InputError(
    `${where}: token id ${id}${text === undefined ? "" : ` (${JSON.stringify(text)})`} is not in the model, whose ` +
      `embedding has ${vocabSize} rows (ids 0 to ${vocabSize - 1}): use the model's own tokenizer, ` +
      "or leave the token out",
  );
}

/** The first of `indices` that is no whole number from 0 to `count` - 1; null where all are. */
export function firstOutside(indices: ArrayLike<number>, count: number): number | null {
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!;
    if (!(Number.isInteger(index) && index >= 0 && index < count)) return index;
  }
  return null;
}
