/** @file Chats to text, ids and targets. */

import { InputError } from "../base/errors.js";
import { formatValue, orderedObject, printable } from "../base/json.js";
import type { Json } from "./files.js";
import { withTimeLimit } from "./limits.js";
import { findSpans, type Message, type Render, type Span, tryRender, uniqueWord } from "./spans.js";
import type { ChatCodec, ChatTemplate } from "./template.js";
import { countUnwrittenCalls, countUnwrittenReasoning, settleContents } from "./tool-calls.js";
import { turnTokens } from "./turn-tokens.js";

export interface ChatOptions {
  /** Functions that the assistant may call, as the template's `tools`. */
  tools?: unknown[];
  /** More variables for the template (`enable_thinking`, ...), as TRL's `chat_template_kwargs`. */
  templateOptions?: Json;
  /** Only assistant turns from this message on are targets. Default 0. */
  firstTarget?: number;
  /** Messages of the assistant that are no targets all the same. */
  untrained?: readonly number[];
  /** Names the record in errors. */
  where?: string;
}

/** What a template makes of a chat that the data do not show. */
export interface ChatNotes {
  /** How many texts of special tokens the contents held; they were encoded as plain text. */
  specialTextsInContent: number;
  /** Messages whose content the template left out or changed by more than trimming. */
  changedContents: number;
  /** Messages with calls of tools that the template does not write. */
  unwrittenCalls: number;
  /** Messages with reasoning that the template does not write. */
  unwrittenReasoning: number;
  /** 1 where there are tools and the template writes the same without them. */
  unwrittenTools: number;
}

export const NO_CHAT_NOTES: Readonly<ChatNotes> = {
  specialTextsInContent: 0,
  changedContents: 0,
  unwrittenCalls: 0,
  unwrittenReasoning: 0,
  unwrittenTools: 0,
};

/** Adds what one chat says to the counts of several. */
export function addNotes(counts: ChatNotes, notes: Partial<ChatNotes>): void {
  for (const name of Object.keys(NO_CHAT_NOTES) as (keyof ChatNotes)[]) counts[name] += notes[name] ?? 0;
}

export interface EncodedPrompt extends ChatNotes {
  ids: number[];
  /** The rendered chat. */
  text: string;
}

export interface EncodedChat extends EncodedPrompt {
  /** 1 where the token is a target. */
  targets: Uint8Array;
  /** The targets as stretches of `text`. */
  spans: Span[];
}

/** Roles that data may use: the role is a part of the template's control text ("<|user|>"), so it is not free. */
const ROLES = new Set(["system", "developer", "user", "assistant", "tool", "ipython", "function", "environment"]);

/** The text of a chat as the checkpoint's template writes it. Contents are inserted as they are. */
export function renderChat(
  tokenizer: ChatCodec,
  messages: Message[],
  options: ChatOptions & { addGenerationPrompt?: boolean } = {},
): string {
  const { where = "chat" } = options;
  checkRoles(messages, where);
  const render = renderer(templateOf(forChat(tokenizer, options), where), options);
  return withTimeLimit(() => render(settleContents(messages, render), options.addGenerationPrompt === true));
}

/** What ends a prompt: the generation prompt, the last message as it is, or that message without what would end it. */
export type PromptEnd = "generation prompt" | "message" | "open message";

/**
 * A prompt: the messages and the generation prompt. Special tokens are those of the template only: text of special
 * tokens in contents stays text.
 */
export function encodePrompt(
  tokenizer: ChatCodec,
  messages: Message[],
  options: ChatOptions = {},
  end: PromptEnd = "generation prompt",
): EncodedPrompt {
  const { where = "chat" } = options;
  checkRoles(messages, where);
  const codec = forChat(tokenizer, options);
  const template = templateOf(codec, where);
  const { clean, marker, count, cleanOptions } = neutralise(codec, messages, options);
  const { text, notes } = withTimeLimit(() => {
    const render = renderer(template, cleanOptions);
    const settled = settleContents(clean, render);
    const rendered = end === "open message" ? openEnded(settled, render, where) : render(settled, end !== "message");
    return { text: rendered, notes: notesOf(settled, rendered, template, cleanOptions, end === "generation prompt") };
  });
  const ids = codec.encode(text, { addSpecialTokens: false, ignore: marker });
  return { ids, ...withoutMarker(text, [], marker), ...notes, specialTextsInContent: count };
}

/**
 * Ids and targets of a chat. The ids are those of transformers' apply_chat_template, except that text of control tokens
 * in contents ("<|im_end|>" typed by a user) is encoded as text: data cannot end a turn or begin another one. Targets
 * are what the assistant must produce: everything after the generation prompt, up to and with the end-of-turn token. A
 * token that holds both the header's last and the content's first characters is a target, as in transformers. Where a
 * template prints arguments of calls, the ids can differ from transformers': JSON.parse keeps no spelling, so 21.0 is
 * rendered as 21, and booleans and objects printed by a bare {{ }} are written as JSON ("true", not Python's "True").
 */
export function encodeChat(given: ChatCodec, messages: Message[], options: ChatOptions = {}): EncodedChat {
  const { where = "chat", firstTarget = 0, untrained = [] } = options;
  const tokenizer = forChat(given, options);
  checkRoles(messages, where);
  if (!messages.some(({ role }, i) => role === "assistant" && i >= firstTarget)) {
    throw new InputError(`${where}: no message of role assistant, so there is nothing to learn`);
  }
  const template = templateOf(tokenizer, where);
  const { clean, marker, count, cleanOptions } = neutralise(tokenizer, messages, options);
  const render = renderer(template, cleanOptions);
  const { text, spans, notes } = withTimeLimit(() => {
    const settled = settleContents(clean, render);
    const rendered = named(where, () => render(settled, false));
    const hasGenerationPrompt = writesGenerationPrompt(template);
    const found = findSpans(settled, rendered, { render, tokens: turnTokens(tokenizer), hasGenerationPrompt });
    if (typeof found === "string") throw new InputError(`${where}: ${found}`);
    return {
      text: rendered,
      spans: found.filter(({ message }) => message >= firstTarget && !untrained.includes(message)),
      notes: notesOf(settled, rendered, template, cleanOptions, false),
    };
  });
  const cuts = spans.flatMap(({ from, to }) => [from, to]);
  const { ids, indices } = tokenizer.encodeWithCuts(text, cuts, marker);
  const targets = new Uint8Array(ids.length);
  for (let i = 0; i < spans.length; i++) targets.fill(1, indices[2 * i], indices[2 * i + 1]);
  return { ids, targets, ...withoutMarker(text, spans, marker), ...notes, specialTextsInContent: count };
}

/** The chat up to the end of its last content, found by a word that is put there. */
function openEnded(messages: Message[], render: Render, where: string): string {
  const last = messages.at(-1)!;
  const word = uniqueWord(JSON.stringify(messages));
  const rendered = render(messages.with(-1, { ...last, content: `${last.content ?? ""}${word}` }), false);
  const at = rendered.lastIndexOf(word);
  if (at < 0) throw new InputError(`${where}: the chat template does not write the last message, so it has no end`);
  return rendered.slice(0, at);
}

/** What the template leaves out of `messages`, which it has `rendered`. */
function notesOf(
  messages: Message[],
  rendered: string,
  template: ChatTemplate,
  options: ChatOptions,
  isPrompt: boolean,
): Omit<ChatNotes, "specialTextsInContent"> {
  const { tools, ...others } = options;
  const again: Render = (changed) => renderer(template, options)(changed, isPrompt);
  const withoutTools = tools && tryRender({ render: renderer(template, others) }, messages, isPrompt);
  return {
    changedContents: messages.filter(({ content }) => !rendered.includes((content ?? "").trim())).length,
    unwrittenCalls: countUnwrittenCalls(messages, rendered, again),
    unwrittenReasoning: countUnwrittenReasoning(messages, rendered, again),
    unwrittenTools: withoutTools === rendered ? 1 : 0,
  };
}

function named<T>(where: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof InputError) throw new InputError(`${where}: ${error.message}`);
    throw error;
  }
}

/** With tools the checkpoint's template "tool_use", where it has one, as transformers chooses. */
function forChat(tokenizer: ChatCodec, { tools }: ChatOptions): ChatCodec {
  return (tools && tokenizer.withTools) || tokenizer;
}

function templateOf({ chatTemplate, otherTemplates = [] }: ChatCodec, where: string): ChatTemplate {
  if (chatTemplate) return chatTemplate;
  if (otherTemplates.length > 0) {
    // Their names come from the checkpoint's files.
    const names = printable(otherTemplates.join(", ")).slice(0, 120);
    throw new InputError(
      `${where}: the checkpoint has chat templates named ${names} and none named default, ` +
        'so chats cannot be rendered; "tool_use" is for chats with tools',
    );
  }
  throw new InputError(
    `${where}: the checkpoint has no chat template (chat_template in tokenizer_config.json, or ` +
      "chat_template.jinja), so chats cannot be rendered",
  );
}

function checkRoles(messages: Message[], where: string): void {
  for (const [i, { role }] of messages.entries()) {
    if (!ROLES.has(role))
      throw new InputError(
        `${where}: message ${i + 1}: unknown role ${formatValue(role)}; known are ${[...ROLES].join(", ")}`,
      );
  }
}

function variables(messages: Message[], addGenerationPrompt: boolean, options: ChatOptions): Record<string, unknown> {
  const { tools, templateOptions } = options;
  return { ...templateOptions, messages, tools, add_generation_prompt: addGenerationPrompt };
}

function renderer(template: ChatTemplate, options: ChatOptions): Render {
  return (messages, addGenerationPrompt) => template.render(variables(messages, addGenerationPrompt, options));
}

const generationPrompts = new WeakMap<ChatTemplate, boolean>();

function writesGenerationPrompt(template: ChatTemplate): boolean {
  let known = generationPrompts.get(template);
  if (known === undefined) {
    const probe = [{ role: "user", content: "a" }];
    try {
      const [without, withPrompt] = [false, true].map((prompt) => template.render(variables(probe, prompt, {})));
      known = without !== withPrompt;
    } catch {
      known = true; // the template wants more than one message
    }
    generationPrompts.set(template, known);
  }
  return known;
}

/**
 * Breaks every text of a control token in the data by a character that means nothing (a Unicode noncharacter that the
 * data does not hold). It is taken out again when the words are encoded, after added tokens have been looked for.
 */
function neutralise(tokenizer: ChatCodec, messages: Message[], options: ChatOptions) {
  let count = 0;
  const { control, ordinary } = turnTokens(tokenizer);
  const isBreakable = (text: string) =>
    tokenizer.hasSpecialText(text) || ordinary.some((token) => text.includes(token));
  if (![messages, options.tools, options.templateOptions].some((data) => someText(data, isBreakable))) {
    return { clean: messages, marker: undefined, count, cleanOptions: options };
  }
  const breakable = control.filter((text) => text.length > 1);
  const data = JSON.stringify([messages, options.tools ?? null, options.templateOptions ?? null]);
  const marker = NONCHARACTERS.find((char) => !data.includes(char));
  if (marker === undefined) throw new InputError(`${options.where ?? "chat"}: holds all of U+FDD0 to U+FDEF`);
  const broken = (text: string): string => {
    let result = text;
    for (const special of breakable) {
      const head = String.fromCodePoint(special.codePointAt(0)!);
      while (result.includes(special)) {
        result = result.replaceAll(special, () => {
          count++;
          return head + marker + special.slice(head.length);
        });
      }
    }
    return result;
  };
  const cleanOptions = { ...options };
  if (options.tools) cleanOptions.tools = mapTexts(options.tools, broken) as unknown[];
  if (options.templateOptions) cleanOptions.templateOptions = mapTexts(options.templateOptions, broken) as Json;
  return { clean: mapTexts(messages, broken) as Message[], marker, count, cleanOptions };
}

const NONCHARACTERS = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i));

function someText(value: unknown, test: (text: string) => boolean): boolean {
  if (typeof value === "string") return test(value);
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([key, item]) => test(key) || someText(item, test));
}

function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change));
  if (typeof value !== "object" || value === null) return value;
  return orderedObject(Object.entries(value).map(([key, item]) => [change(key), mapTexts(item, change)]));
}

function withoutMarker(text: string, spans: Span[], marker: string | undefined): { text: string; spans: Span[] } {
  if (marker === undefined) return { text, spans };
  const plainAt = (at: number) => text.slice(0, at).replaceAll(marker, "").length;
  const moved = spans.map(({ message, from, to }) => ({ message, from: plainAt(from), to: plainAt(to) }));
  return { text: text.replaceAll(marker, ""), spans: moved };
}
