/** @file `continue` and `break` of chat templates. */

export type Node = { type: string; [key: string]: unknown };

// A name that no template can write.
const BROKEN = " broken";

/**
 * The body of a loop without `continue` and `break`, by which the package (0.5.11) loses what the round wrote before.
 * What would follow them moves into the branches that do not end the round; after a `break` the further rounds are
 * empty.
 */
export function withoutJumps(body: Node[]): Node[] {
  if (!body.some((node) => holds(node, JUMPS))) return body;
  const rounds = flatten(body, []);
  if (!body.some((node) => holds(node, ["Break"]))) return rounds;
  return [{ type: "If", test: { type: "Identifier", value: BROKEN }, body: [], alternate: rounds }];
}

const JUMPS = ["Break", "Continue"];

/** `block` and then `rest`, which has no jumps; its nodes are shared by the branches, not copied. */
function flatten(block: Node[], rest: Node[]): Node[] {
  const last = block.findLastIndex((node) => holds(node, JUMPS));
  if (last < 0) return [...block, ...rest];
  const node = block[last]!;
  const before = block.slice(0, last);
  if (node.type === "Continue") return flatten(before, []);
  if (node.type === "Break") return flatten(before, [SET_BROKEN]);
  if (node.type !== "If") throw new Error(`break or continue inside ${node.type.toLowerCase()} is not supported`);
  const after = [...block.slice(last + 1), ...rest];
  const { body, alternate } = node as Node & { body: Node[]; alternate: Node[] };
  return flatten(before, [{ ...node, body: flatten(body, after), alternate: flatten(alternate, after) }]);
}

const SET_BROKEN: Node = {
  type: "Set",
  assignee: { type: "Identifier", value: BROKEN },
  value: { type: "IntegerLiteral", value: 1 },
  body: [],
};

/** Whether a statement is or holds one of these types; those in a loop within it are that loop's. */
function holds(node: Node, types: string[]): boolean {
  const { type, body, alternate, defaultBlock } = node as Node & Record<string, Node[] | undefined>;
  const inner = [type === "For" ? [] : body, alternate, defaultBlock].flatMap((block) => block ?? []);
  return types.includes(type) || inner.some((child) => holds(child, types));
}
