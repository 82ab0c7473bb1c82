/** @file The forms of records, and how those of other tools are read. */

import { InputError } from "../base/errors.js";
import { formatValue } from "../base/json.js";

export type Json = { [key: string]: unknown };

interface Form {
  /** As messages and --help write it. */
  name: string;
  /** The keys that a record of this form has. */
  keys: readonly string[];
  /** What it is read as. */
  meaning: string;
}

/** Every form, with what it becomes. */
const FORMS: readonly Form[] = [
  { name: "{text}", keys: ["text"], meaning: "a document, every token a target" },
  {
    name: "{messages}",
    keys: ["messages"],
    meaning:
      "a chat, only what the assistant says is a target (not with weight 0 or train false); also tools, " +
      "chat_template_kwargs",
  },
  {
    name: "{conversations}",
    keys: ["conversations"],
    meaning: "a chat (ShareGPT): from and value are role and content, human is the user, gpt the assistant",
  },
  {
    name: "{prompt, completion}",
    keys: ["prompt", "completion"],
    meaning: "two texts, or two lists of messages, one after the other; the completion is a target",
  },
  {
    name: "{prompt, response}",
    keys: ["prompt", "response"],
    meaning: "a chat: the user says the prompt, the assistant the response",
  },
  {
    name: "{instruction, input, output}",
    keys: ["instruction", "output"],
    meaning: "a chat (Alpaca): the user says instruction and input, a line each, the assistant the output",
  },
  {
    name: "{input_ids}",
    keys: ["input_ids"],
    meaning: "a row of tokens; labels, completion_mask or assistant_masks say which are targets",
  },
];

const NAMES = FORMS.map(({ name }) => name).join(", ");

/** Whether a key says something: null is as good as absent. */
export function has(value: Json, key: string): boolean {
  return value[key] !== undefined && value[key] !== null;
}

/** Whether a key sounds as if it said what is learned: where such a key is not known, it is not ignored. */
export function saysLoss(key: string): boolean {
  return /train|mask|loss|weight/i.test(key);
}

/** The form of a record. Throws InputError naming its keys where it has none, or several. */
export function formOf(value: Json, where: string): Form {
  const found = FORMS.filter(({ keys }) => keys.every((key) => has(value, key)));
  if (found.length === 1) return found[0]!;
  if (found.length === 0)
    throw new InputError(
      `${where}: keys ${formatValue(Object.keys(value).slice(0, 8))} match no form; a record is one of ${NAMES}`,
    );
  throw new InputError(`${where}: has ${found.map(({ name }) => name).join(" and ")}; exactly one is allowed`);
}

/** The forms with what they are read as, a line each. */
export function describeForms(): string {
  const width = Math.max(...FORMS.map(({ name }) => name.length)) + 2;
  return FORMS.map(({ name, meaning }) => `  ${name.padEnd(width)}${meaning}`).join("\n");
}

/** What a form of this name is read as. */
export function meaningOf(form: string): string {
  return FORMS.find(({ name }) => name === form)!.meaning;
}
