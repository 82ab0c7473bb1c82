/** @file Limits for the evaluation of chat templates: time, and the size of every value. */

import type { Environment, Template } from "@huggingface/jinja";
import { type Node, withoutJumps } from "./loops.js";
import { strip } from "./python.js";

/** Characters of a rendered chat or of anything on the way to it. */
export const MAX_WEIGHT = 1 << 26;
/** What a value other than text takes in memory, at least. */
const ITEM_WEIGHT = 64;
export const MAX_TIME_MS = 5_000;

// Names that no template can write.
const BOUNDED = " bounded";
const PART = " part";
const STRIP = " strip";

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

type SyntaxNode = Node & { callee?: Node; filter?: Node; assignee?: Node; value?: unknown; body?: Node[] };

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

/** Prepares a parsed template for `defineChecks`. */
export function addChecks({ parsed }: Pick<Template, "parsed">): void {
  rewrite(parsed);
}

/**
 * Changes a parsed template in three ways. `strip`, `lstrip`, `rstrip` and `trim` become calls of Python's: the
 * package's own (0.5.11) ignore their argument, so that Qwen3's `content.lstrip('\n')` would eat indentation. Loops
 * lose `continue` and `break` (see loops.ts). And whatever can take long or grow (operators, filters, calls, lists,
 * rounds of a loop, macros) is checked.
 */
function rewrite(node: unknown, place = ""): void {
  if (typeof node !== "object" || node === null) return;
  if (node instanceof Map) for (const pair of node) for (const child of pair) rewrite(child);
  else for (const [key, child] of Object.entries(node)) rewrite(child, Array.isArray(node) ? "" : key);
  const { type, callee, filter, assignee, value, body } = node as SyntaxNode;
  const method = type === "CallExpression" && callee?.type === "MemberExpression" && callee["computed"] === false;
  const name = method ? (callee["property"] as Node)["value"] : undefined;
  if (name === "strip" || name === "lstrip" || name === "rstrip") {
    Object.assign(node, call(STRIP, [callee!["object"], text(name), ...((node as Node)["args"] as unknown[])]));
  } else if (type === "FilterExpression" && filter?.type === "Identifier" && filter["value"] === "trim") {
    Object.assign(node, call(STRIP, [(node as Node)["operand"], text("strip")]));
  } else if (GROWING.includes(type) && !NO_EXPRESSION.includes(place)) {
    Object.assign(node, call(BOUNDED, [{ ...node }]));
  } else if (type === "Set" && assignee?.type === "MemberExpression" && value) {
    Object.assign(node, { value: call(PART, [value]) });
  } else if (type === "For") {
    Object.assign(node, { body: [call(BOUNDED, [text("")]), ...withoutJumps(body!)] });
  } else if (type === "Macro") {
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

/** Gives a template's environment the functions that a prepared template calls. */
export function defineChecks(environment: Environment): void {
  const FunctionValue = functionValue(environment);
  environment.setVariable(BOUNDED, new FunctionValue(([value]) => bounded(value!)));
  environment.setVariable(PART, new FunctionValue(([value]) => part(value!)));
  environment.set(STRIP, strip);
}

/** The package does not export its class of functions that see values with their types. */
function functionValue(environment: Environment): FunctionClass {
  return environment.lookupVariable("namespace").constructor as FunctionClass;
}

function bounded(value: RuntimeValue): RuntimeValue {
  if (performance.now() > deadline!) throw new Error(`not rendered after ${MAX_TIME_MS / 1000} s`);
  if (!(weigh(value) <= MAX_WEIGHT)) throw new Error("a value grows without end");
  return value;
}

/** A namespace inside another value could change after it was weighed; no template needs that. */
function part(value: RuntimeValue): RuntimeValue {
  if (value.type === "NamespaceValue") throw new Error("a namespace inside another value");
  return bounded(value);
}

const weights = new WeakMap<object, number>();

/** Characters of a text; of lists and objects the sum over their items, which may be the same ones many times. */
function weigh({ type, value }: RuntimeValue): number {
  if (typeof value === "string") return value.length;
  if (!Array.isArray(value) && !(value instanceof Map)) return ITEM_WEIGHT;
  const known = weights.get(value);
  if (known !== undefined) return known;
  let weight = ITEM_WEIGHT;
  for (const item of value.values()) weight += item.type === "NamespaceValue" ? Infinity : weigh(item);
  if (type !== "NamespaceValue") weights.set(value, weight);
  return weight;
}
