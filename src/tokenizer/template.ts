/** @file Chat templates: parsing, Python's semantics, limits. */

import { createContext, Script } from "node:vm";
import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { InputError } from "../base/errors.js";
import type { Codec } from "./codec.js";
import { shortMessage } from "./files.js";
import { addChecks, defineChecks, MAX_TIME_MS, MAX_WEIGHT, withTimeLimit } from "./limits.js";
import { boundedRange, formatDate } from "./python.js";

/**
 * Chat templates by @huggingface/jinja, with limits: templates come with checkpoints, and texts from data files are
 * values in them, never templates themselves.
 */
export interface ChatTemplate {
  /** Renders with these variables (messages, add_generation_prompt, ...) or throws an InputError. */
  render(variables: Record<string, unknown>): string;
}

/** A codec with the checkpoint's chat template. */
export interface ChatCodec extends Codec {
  chatTemplate: ChatTemplate | undefined;
  /** The same with the checkpoint's template for chats with tools ("tool_use"), where it has one of its own. */
  withTools?: ChatCodec | undefined;
  /** Names of the checkpoint's templates other than "default". */
  otherTemplates?: readonly string[];
}

/** The longest template in use has about 20,000 characters. */
const MAX_TEMPLATE_CHARS = 1 << 18;
/** Llama 3's own fallback ("26 Jul 2024"): a run must not depend on the day on which it was started. */
const TEMPLATE_DATE = new Date(Date.UTC(2024, 6, 26));

/** Parses a chat template; `where` names its file. `constants` are bos_token and the like. */
export function compileTemplate(source: string, where: string, constants: Record<string, unknown>): ChatTemplate {
  if (source.length > MAX_TEMPLATE_CHARS) {
    throw new InputError(`${where}: chat template of ${source.length} characters (at most ${MAX_TEMPLATE_CHARS})`);
  }
  const program = named(where, () => {
    const template = parseWithTimeLimit(source);
    addChecks(template);
    return template.parsed;
  });
  const render = (variables: Record<string, unknown>): string =>
    named(where, () => {
      const environment = new Environment();
      const globals = { ...GLOBALS, ...constants, ...variables };
      for (const [name, value] of Object.entries(globals)) if (value !== undefined) environment.set(name, value);
      defineChecks(environment);
      const text = String(new Interpreter(environment).run(program).value);
      if (text.length > MAX_WEIGHT) throw new Error(`more than ${MAX_WEIGHT} characters of output`);
      return text;
    });
  return { render: (variables) => withTimeLimit(() => render(variables)) };
}

function named<T>(where: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new InputError(`${where}: chat template: ${shortMessage(error)}`);
  }
}

const sandbox: { source?: string; parse: () => Template } = { parse: () => new Template(sandbox.source!) };
const parse = new Script("parse()");
const context = createContext(sandbox);

/**
 * The package's lexer takes quadratic time for some texts: where that matters, the only way to end it is from outside.
 */
function parseWithTimeLimit(source: string): Template {
  if (source.length < 1 << 14) return new Template(source);
  sandbox.source = source;
  return parse.runInContext(context, { timeout: MAX_TIME_MS }) as Template;
}

const GLOBALS: Record<string, unknown> = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  raise_exception: (message: unknown) => {
    throw new Error(String(message));
  },
  range: boundedRange,
  strftime_now: (format: unknown) => formatDate(TEMPLATE_DATE, String(format)),
};
