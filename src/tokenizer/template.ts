/** @file Chat templates: parsing, Python's semantics, limits. */

import { createContext, Script } from "node:vm";
import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { InputError, messageOf } from "../errors.js";

/**
 * Chat templates by @huggingface/jinja, with limits: templates come with checkpoints, and texts from data files are values in
 * them, never templates themselves.
 */
export interface ChatTemplate {
  /** Renders with these variables (messages, add_generation_prompt, ...) or throws an InputError. */
  render(variables: Record<string, unknown>): string;
}

/** The longest template in use has about 20,000 characters. */
const MAX_TEMPLATE_CHARS = 1 << 18;
const MAX_OUTPUT_CHARS = 1 << 26;
const MAX_LIST_ITEMS = 1 << 20;
const MAX_TIME_MS = 10_000;
/** Llama 3's own fallback ("26 Jul 2024"): a run must not depend on the day on which it was started. */
export const TEMPLATE_DATE = new Date(Date.UTC(2024, 6, 26));

/** Parses a chat template; `where` names its file. `constants` are bos_token and the like. */
export function compileTemplate(source: string, where: string, constants: Record<string, unknown>): ChatTemplate {
  if (source.length > MAX_TEMPLATE_CHARS) {
    throw new InputError(`${where}: chat template of ${source.length} characters (at most ${MAX_TEMPLATE_CHARS})`);
  }
  const program = guard(where, () => {
    const { parsed } = new Template(source);
    rewrite(parsed);
    return parsed;
  });
  const render = (variables: Record<string, unknown>): string =>
    guard(where, () => {
      const environment = new Environment();
      const globals = { ...GLOBALS, ...constants, ...variables };
      for (const [name, value] of Object.entries(globals)) if (value !== undefined) environment.set(name, value);
      environment.setVariable(BOUNDED, new (functionValue(environment))(([value]) => bounded(value!)));
      const text = String(new Interpreter(environment).run(program).value);
      if (text.length > MAX_OUTPUT_CHARS) throw new Error(`more than ${MAX_OUTPUT_CHARS} characters of output`);
      return text;
    });
  return { render };
}

function guard<T>(where: string, work: () => T): T {
  try {
    return withTimeLimit(work);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${where}: chat template: ${messageOf(error)}`);
  }
}

const callWork = new Script("work()");
const sandbox: { work?: () => unknown } = {};
const context = createContext(sandbox);

/** Runs `work` and interrupts it after a while: no template can hang the process. Calls inside share the outer limit. */
export function withTimeLimit<T>(work: () => T): T {
  if (sandbox.work) return work();
  sandbox.work = work;
  try {
    return callWork.runInContext(context, { timeout: MAX_TIME_MS }) as T;
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    throw new InputError(`chat template: not rendered after ${MAX_TIME_MS / 1000} s`);
  } finally {
    delete sandbox.work;
  }
}

// Names that no template can write.
const BOUNDED = " bounded";
const STRIP = " strip";

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
  [STRIP]: strip,
};

type Node = { type: string; [key: string]: unknown };

/**
 * Changes a parsed template in two ways. `strip`, `lstrip`, `rstrip` and `trim` become calls of Python's: the package's own
 * (0.5.11) ignore their argument, so that Qwen3's `content.lstrip('\n')` would eat indentation. Sums and concatenations are
 * checked for their length, so that doubling a text in a loop ends early.
 */
function rewrite(node: unknown): void {
  if (typeof node !== "object" || node === null) return;
  if (node instanceof Map) for (const pair of node) for (const child of pair) rewrite(child);
  else for (const child of Object.values(node)) rewrite(child);
  const { type, callee, filter, operator } = node as Node & Record<"callee" | "filter" | "operator", Node | undefined>;
  if (type === "CallExpression" && callee?.type === "MemberExpression" && callee["computed"] === false) {
    const side = (callee["property"] as Node)["value"];
    if (side !== "strip" && side !== "lstrip" && side !== "rstrip") return;
    Object.assign(node, call(STRIP, [callee["object"], text(side), ...((node as Node)["args"] as unknown[])]));
  } else if (type === "FilterExpression" && filter?.type === "Identifier" && filter["value"] === "trim") {
    Object.assign(node, call(STRIP, [(node as Node)["operand"], text("strip")]));
  } else if (type === "BinaryExpression" && (operator?.["value"] === "+" || operator?.["value"] === "~")) {
    Object.assign(node, call(BOUNDED, [{ ...node }]));
  }
}

const text = (value: string): Node => ({ type: "StringLiteral", value });
const call = (name: string, args: unknown[]): Node => ({
  type: "CallExpression",
  callee: { type: "Identifier", value: name },
  args,
});

type RuntimeValue = ReturnType<Environment["lookupVariable"]>;
type FunctionClass = new (call: (args: RuntimeValue[]) => RuntimeValue) => RuntimeValue;

/** The package does not export its class of functions that see values with their types. */
function functionValue(environment: Environment): FunctionClass {
  return environment.lookupVariable("namespace").constructor as FunctionClass;
}

function bounded(value: RuntimeValue): RuntimeValue {
  const inner = value.value as unknown;
  if (typeof inner === "string" && inner.length > MAX_OUTPUT_CHARS) throw new Error("a text grows without end");
  if (Array.isArray(inner) && inner.length > MAX_LIST_ITEMS) throw new Error("a list grows without end");
  return value;
}

function boundedRange(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined || stop === null ? [0, start] : [start, stop];
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!(count <= MAX_LIST_ITEMS)) throw new Error(`range of ${count} items`);
  return Array.from({ length: count }, (_, i) => from + i * step);
}

const PYTHON_SPACE =
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";

/** Python's str.strip, str.lstrip and str.rstrip. */
function strip(value: unknown, side: unknown, chars?: unknown): string {
  if (value === undefined) return "";
  if (typeof value !== "string") throw new Error(`${side} needs a text`);
  const set = new Set(typeof chars === "string" ? chars : PYTHON_SPACE);
  let [from, to] = [0, value.length];
  if (side !== "rstrip") while (from < to && set.has(value[from]!)) from++;
  if (side !== "lstrip") while (to > from && set.has(value[to - 1]!)) to--;
  return value.slice(from, to);
}

const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Python's strftime in UTC and English. */
function formatDate(date: Date, format: string): string {
  const [month, day] = [MONTHS[date.getUTCMonth()]!, DAYS[date.getUTCDay()]!];
  const two = (value: number) => String(value).padStart(2, "0");
  const parts: Record<string, string> = {
    Y: String(date.getUTCFullYear()),
    y: two(date.getUTCFullYear() % 100),
    m: two(date.getUTCMonth() + 1),
    d: two(date.getUTCDate()),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    H: two(date.getUTCHours()),
    M: two(date.getUTCMinutes()),
    S: two(date.getUTCSeconds()),
    "%": "%",
  };
  return format.replace(/%(.)/g, (all, key: string) => parts[key] ?? all);
}
