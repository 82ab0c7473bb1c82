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
/** Characters of a rendered chat or of anything on the way to it. */
const MAX_WEIGHT = 1 << 26;
const MAX_RANGE_ITEMS = 1 << 20;
const MAX_TIME_MS = 10_000;
/** Llama 3's own fallback ("26 Jul 2024"): a run must not depend on the day on which it was started. */
export const TEMPLATE_DATE = new Date(Date.UTC(2024, 6, 26));

/** Parses a chat template; `where` names its file. `constants` are bos_token and the like. */
export function compileTemplate(source: string, where: string, constants: Record<string, unknown>): ChatTemplate {
  if (source.length > MAX_TEMPLATE_CHARS) {
    throw new InputError(`${where}: chat template of ${source.length} characters (at most ${MAX_TEMPLATE_CHARS})`);
  }
  const program = named(where, () => {
    const { parsed } = parseWithTimeLimit(source);
    rewrite(parsed);
    return parsed;
  });
  const render = (variables: Record<string, unknown>): string =>
    named(where, () => {
      const environment = new Environment();
      const globals = { ...GLOBALS, ...constants, ...variables };
      for (const [name, value] of Object.entries(globals)) if (value !== undefined) environment.set(name, value);
      environment.setVariable(BOUNDED, new (functionValue(environment))(([value]) => bounded(value!)));
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
    throw new InputError(`${where}: chat template: ${printable(messageOf(error)).slice(0, 500)}`);
  }
}

/** The package's lexer takes quadratic time for some texts: the only way to end it is from outside. */
function parseWithTimeLimit(source: string): Template {
  const context = createContext({ parse: () => new Template(source) });
  return new Script("parse()").runInContext(context, { timeout: MAX_TIME_MS }) as Template;
}

let deadline: number | undefined;

/** All rendering inside `work` together has a limited time: no template can hang the process. */
export function withTimeLimit<T>(work: () => T): T {
  if (deadline !== undefined) return work();
  deadline = performance.now() + MAX_TIME_MS;
  // The package looks names up by catching errors; their stack traces would take most of the time.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return work();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    deadline = undefined;
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

function printable(message: string): string {
  return message.replace(/\p{C}/gu, "?");
}

type Node = { type: string; [key: string]: unknown };

/** Places of the syntax tree where a node is no expression of its own. */
const NO_EXPRESSION = ["filter", "call", "loopvar", "assignee", "callee"];
const GROWING = [
  "CallExpression",
  "FilterExpression",
  "BinaryExpression",
  "ArrayLiteral",
  "TupleLiteral",
  "ObjectLiteral",
];

/**
 * Changes a parsed template in two ways. `strip`, `lstrip`, `rstrip` and `trim` become calls of Python's: the package's own
 * (0.5.11) ignore their argument, so that Qwen3's `content.lstrip('\n')` would eat indentation. And whatever can take long
 * or grow (operators, filters, calls, lists, rounds of a loop, macros) is checked.
 */
function rewrite(node: unknown, place = ""): void {
  if (typeof node !== "object" || node === null) return;
  if (node instanceof Map) for (const pair of node) for (const child of pair) rewrite(child);
  else for (const [key, child] of Object.entries(node)) rewrite(child, Array.isArray(node) ? "" : key);
  const { type, callee, filter, body } = node as Node & { callee?: Node; filter?: Node; body?: unknown[] };
  const method = type === "CallExpression" && callee?.type === "MemberExpression" && callee["computed"] === false;
  const name = method ? (callee["property"] as Node)["value"] : undefined;
  if (name === "strip" || name === "lstrip" || name === "rstrip") {
    Object.assign(node, call(STRIP, [callee!["object"], text(name), ...((node as Node)["args"] as unknown[])]));
  } else if (type === "FilterExpression" && filter?.type === "Identifier" && filter["value"] === "trim") {
    Object.assign(node, call(STRIP, [(node as Node)["operand"], text("strip")]));
  } else if (GROWING.includes(type) && !NO_EXPRESSION.includes(place)) {
    Object.assign(node, call(BOUNDED, [{ ...node }]));
  } else if (type === "For" || type === "Macro") {
    body!.unshift(call(BOUNDED, [text("")]));
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
  if (performance.now() > deadline!) throw new Error(`not rendered after ${MAX_TIME_MS / 1000} s`);
  if (!(weigh(value) <= MAX_WEIGHT)) throw new Error("a value grows without end");
  return value;
}

const weights = new WeakMap<object, number>();

/** Characters of a text; of lists and objects the sum over their items, which may be the same ones many times. */
function weigh({ value }: RuntimeValue): number {
  if (typeof value === "string") return value.length;
  if (!Array.isArray(value) && !(value instanceof Map)) return 1;
  let weight = weights.get(value);
  if (weight === undefined) {
    weight = 1;
    for (const item of value.values()) weight += weigh(item);
    weights.set(value, weight);
  }
  return weight;
}

function boundedRange(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined || stop === null ? [0, start] : [start, stop];
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!(count <= MAX_RANGE_ITEMS)) throw new Error(`range of ${count} items`);
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
