/** @file The texts of data files, for looking at them: documents, and chats with their turns joined. */
import { InputError } from "../base/errors.js";
import { openDataFiles, readRecords } from "./files.js";
import { type DataRecord, parseRecord } from "./records.js";

/** A text of a corpus with its place in the data. */
export interface PlacedText {
  text: string;
  where: string;
  /**
   * Texts of several turns ("chat") are short and repeat each other's questions: their sequences of words are reported
   * and not judged.
   */
  kind: "document" | "chat";
}

/** The texts that `--data` arguments name, at least one. Throws InputError. */
export async function loadTexts(args: readonly string[]): Promise<PlacedText[]> {
  const texts: PlacedText[] = [];
  for (const { path } of await openDataFiles(args))
    for await (const { value, where } of readRecords(path))
      texts.push({ ...textOf(parseRecord(value, where), where), where });
  if (texts.length === 0) throw new InputError(`--data ${args.join(" ")}: no records`);
  return texts;
}

function textOf(record: DataRecord, where: string): Omit<PlacedText, "where"> {
  if (record.kind === "document") return { text: record.text, kind: "document" };
  if (record.kind === "completion") return { text: `${record.prompt}${record.completion}`, kind: "document" };
  if (record.kind === "chat") return { text: record.messages.map(({ content }) => content).join("\n"), kind: "chat" };
  throw new InputError(`${where}: token ids have no text to check`);
}
