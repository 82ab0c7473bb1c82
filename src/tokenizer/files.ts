/** @file The tokenizer files of a checkpoint folder, read and checked. */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { InputError, messageOf } from "../base/errors.js";
import { formatValue, loadText, parseJson } from "../base/json.js";

export type Json = { [key: string]: unknown };

/** An added token as tokenizer.json (or `added_tokens_decoder` of tokenizer_config.json) writes it. */
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  normalized: boolean;
  lstrip: boolean;
  rstrip: boolean;
  singleWord: boolean;
}

/** What the files of a checkpoint folder say about its tokenizer, checked but not yet interpreted. */
export interface TokenizerFiles {
  /** Path of tokenizer.json, for messages. */
  path: string;
  json: Json;
  config: Json;
  addedTokens: AddedToken[];
  /** Contents of bos_token, eos_token ... of special_tokens_map.json and tokenizer_config.json; the latter wins. */
  specialTokens: Map<string, string>;
  /** eos ids of generation_config.json and config.json. */
  eosIds: number[];
  /** Every chat template by name; the one that is used is "default". */
  chatTemplates: Map<string, TemplateSource>;
}

interface TemplateSource {
  template: string;
  /** The file that it comes from. */
  path: string;
}

/** A larger tokenizer.json than this is no tokenizer (Llama 3's has 9 MB, Gemma's 33 MB). */
const MAX_FILE_BYTES = 256 << 20;
/** Token ids are indices of the embedding; the largest vocabulary in use has 262,144 rows. */
const MAX_TOKEN_ID = 1 << 24;

/** Reads all tokenizer files of a Hugging Face folder; only tokenizer.json must exist. */
export function loadTokenizerFiles(folder: string): TokenizerFiles {
  const path = join(folder, "tokenizer.json");
  const json = loadObject(path);
  if (json === undefined) throw new InputError(`${path}: no such file (the checkpoint needs a tokenizer.json)`);
  const configPath = join(folder, "tokenizer_config.json");
  const config = loadObject(configPath) ?? {};
  const specialMap = loadObject(join(folder, "special_tokens_map.json")) ?? {};
  return {
    path,
    json,
    config,
    addedTokens: parseAddedTokens(json, config, path, configPath),
    specialTokens: new Map([...parseSpecialTokens(specialMap), ...parseSpecialTokens(config)]),
    eosIds: ["generation_config.json", "config.json"].flatMap((name) => parseEosIds(join(folder, name))),
    chatTemplates: loadChatTemplates(folder, config, configPath),
  };
}

function loadOptionalText(path: string): string | undefined {
  return existsSync(path) ? loadText(path, MAX_FILE_BYTES) : undefined;
}

function loadObject(path: string): Json | undefined {
  const text = loadOptionalText(path);
  if (text === undefined) return undefined;
  const value = parseJson(text, path);
  if (!isObject(value)) throw new InputError(`${path}: must be a JSON object`);
  return value;
}

/** The message of an error from a library, as one short line: they quote what they were given. */
export function shortMessage(error: unknown): string {
  return messageOf(error).replace(/\p{C}/gu, "?").slice(0, 300);
}

/** Whether `value` is a plain JSON object. */
export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether `value` can be a token id. */
export function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < MAX_TOKEN_ID;
}

function parseAddedTokens(json: Json, config: Json, path: string, configPath: string): AddedToken[] {
  const listed = json["added_tokens"] ?? [];
  if (!Array.isArray(listed)) throw new InputError(`${path}: added_tokens must be a list`);
  const tokens = listed.map((entry, i) => parseAddedToken(entry, `${path}: added_tokens[${i}]`));
  const extra = config["added_tokens_decoder"] ?? {};
  if (!isObject(extra)) throw new InputError(`${configPath}: added_tokens_decoder must be an object`);
  for (const [id, entry] of Object.entries(extra)) {
    const where = `${configPath}: added_tokens_decoder[${formatValue(id)}]`;
    if (!isObject(entry)) throw new InputError(`${where} must be an object`);
    const token = parseAddedToken({ ...entry, id: Number(id) }, where);
    // As in transformers: a token that both files have keeps its id and has the config's flags.
    const known = tokens.findIndex(({ content }) => content === token.content);
    if (known >= 0) tokens[known] = { ...token, id: tokens[known]!.id };
    else if (tokens.every((other) => other.id !== token.id)) tokens.push(token);
  }
  return tokens;
}

function parseAddedToken(entry: unknown, where: string): AddedToken {
  if (!isObject(entry)) throw new InputError(`${where} must be an object`);
  const { id, content } = entry;
  if (!isTokenId(id)) throw new InputError(`${where}: id ${formatValue(id)} is no token id`);
  if (typeof content !== "string" || content === "") throw new InputError(`${where}: content must be a text`);
  const special = entry["special"] === true;
  return {
    id,
    content,
    special,
    normalized: typeof entry["normalized"] === "boolean" ? entry["normalized"] : !special,
    lstrip: entry["lstrip"] === true,
    rstrip: entry["rstrip"] === true,
    singleWord: entry["single_word"] === true,
  };
}

function parseSpecialTokens(source: Json): [string, string][] {
  const tokens: [string, string][] = [];
  for (const [key, value] of Object.entries(source)) {
    if (!key.endsWith("_token")) continue;
    const content = isObject(value) ? value["content"] : value;
    if (typeof content === "string") tokens.push([key, content]);
  }
  return tokens;
}

function parseEosIds(path: string): number[] {
  const value = loadObject(path)?.["eos_token_id"];
  if (value === undefined || value === null) return [];
  const ids = Array.isArray(value) ? value : [value];
  if (!ids.every(isTokenId)) throw new InputError(`${path}: eos_token_id ${formatValue(value)} is no token id`);
  return ids;
}

function loadChatTemplates(folder: string, config: Json, configPath: string): Map<string, TemplateSource> {
  const templates = new Map<string, TemplateSource>();
  const value = config["chat_template"];
  if (typeof value === "string") templates.set("default", { template: value, path: configPath });
  else if (Array.isArray(value)) {
    for (const [i, entry] of value.entries()) {
      const { name, template } = isObject(entry) ? entry : {};
      if (typeof name !== "string" || typeof template !== "string") {
        throw new InputError(`${configPath}: chat_template[${i}] must be { name, template }`);
      }
      templates.set(name, { template, path: configPath });
    }
  } else if (value !== undefined && value !== null) {
    throw new InputError(`${configPath}: chat_template must be a text or a list of { name, template }`);
  }
  const files = loadTemplateFiles(folder);
  return files.size > 0 ? files : templates;
}

/** chat_template.jinja and additional_chat_templates/NAME.jinja: where there are any, transformers reads no others. */
function loadTemplateFiles(folder: string): Map<string, TemplateSource> {
  const more = join(folder, "additional_chat_templates");
  const names = existsSync(more) ? readdirSync(more).filter((name) => name.endsWith(".jinja")) : [];
  const paths: [string, string][] = [
    ["default", join(folder, "chat_template.jinja")],
    ...names.sort().map((name): [string, string] => [name.slice(0, -".jinja".length), join(more, name)]),
  ];
  const templates = new Map<string, TemplateSource>();
  for (const [name, path] of paths) {
    const template = loadOptionalText(path);
    if (template !== undefined) templates.set(name, { template, path });
  }
  return templates;
}
