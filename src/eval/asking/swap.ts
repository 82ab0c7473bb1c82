/** @file A question with its options in either order: named in the text, or in a list of lettered choices. */

export interface Orders {
  /** The question with item1 before item2, and the other way round. */
  first: string;
  second: string;
  /** Whether the question itself names the options, or they were put below it. */
  form: "named" | "appended";
}

/**
 * Both orders. Where the text names both items, as whole words in any capitals, they change places wherever they stand.
 * Otherwise they are put below it:
 *
 *     <question>
 *
 *     Options:
 *     - <one>
 *     - <other>
 */
export function bothOrders(question: string, item1: string, item2: string): Orders {
  const places = findItems(question, [item1, item2]);
  const asWritten = places.map(({ item }) => item);
  if (!asWritten.includes(0) || !asWritten.includes(1)) {
    const listed = (one: string, other: string): string => `${question}\n\nOptions:\n- ${one}\n- ${other}`;
    return { first: listed(item1, item2), second: listed(item2, item1), form: "appended" };
  }
  const swapped = replaceItems(question, places, [item2, item1]);
  const [first, second] = asWritten[0] === 0 ? [question, swapped] : [swapped, question];
  return { first, second, form: "named" };
}

interface Place {
  /** 0: item1, 1: item2. */
  item: number;
  start: number;
  end: number;
}

/** Where the items stand, the longer one wherever both fit. */
function findItems(text: string, items: readonly [string, string]): Place[] {
  const order = items[0].length >= items[1].length ? [0, 1] : [1, 0];
  const escaped = order.map((item) => items[item]!.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  // A word's letter or digit must not go on at either end of an item that ends in one.
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(?:(${escaped[0]})|(${escaped[1]}))(?![\\p{L}\\p{N}])`, "giu");
  return [...text.matchAll(pattern)].map((match) => ({
    item: match[1] === undefined ? order[1]! : order[0]!,
    start: match.index,
    end: match.index + match[0].length,
  }));
}

/** Each item replaced by `others[item]`; a capital that the place asks for (the sentence begins there) stays. */
function replaceItems(text: string, places: readonly Place[], others: readonly [string, string]): string {
  let out = "";
  let from = 0;
  for (const { item, start, end } of places) {
    const found = text.slice(start, end);
    const own = others[1 - item]!;
    const asksForCapital = found[0] !== own[0] && found[0] === own[0]?.toUpperCase();
    const other = others[item]!;
    out += text.slice(from, start) + (asksForCapital ? other[0]!.toUpperCase() + other.slice(1) : other);
    from = end;
  }
  return out + text.slice(from);
}

/** "(B)" and what follows it up to the next choice or the end. */
const CHOICE = /^( ?\(([A-Z])\) ?)(.*(?:\n(?! ?\([A-Z]\)).*)*)$/gm;

/** "A) ..." or "A. ..." on a line of its own. */
const LINE_CHOICE = /^([ \t]*)([A-Z])([).][ \t]+)(\S.*)$/gm;

/** The letters of the choices that stand on lines of their own, where there are just A and B; null otherwise. */
export function twoLineChoices(question: string): [string, string] | null {
  const letters = [...question.matchAll(LINE_CHOICE)].map(([, , letter]) => letter!);
  return letters.join("") === "AB" ? ["A", "B"] : null;
}

/** The question with the texts of its two line choices exchanged, the letters in place. */
export function swapLineChoices(question: string): string {
  const texts = [...question.matchAll(LINE_CHOICE)].map(([, , , , text]) => text!);
  const other = texts.reverse()[Symbol.iterator]();
  return question.replace(
    LINE_CHOICE,
    (_all, indent: string, letter: string, mark: string) => indent + letter + mark + other.next().value,
  );
}

/**
 * The question with the texts of the two choices exchanged; null where they are not both in a list of choices from (A)
 * on.
 */
export function swapChoices(question: string, answer1: string, answer2: string): string | null {
  const start = question.lastIndexOf("Choices:");
  if (start < 0) return null;
  const head = question.slice(0, start);
  const list = question.slice(start);
  const texts = new Map([...list.matchAll(CHOICE)].map(([, , letter, text]) => [`(${letter})`, text!]));
  const letters = [...texts.keys()].join("");
  const expected = [...texts.keys()].map((_, i) => `(${String.fromCharCode(65 + i)})`).join("");
  const text1 = texts.get(answer1);
  const text2 = texts.get(answer2);
  if (letters !== expected || text1 === undefined || text2 === undefined) return null;
  const swapped = list.replace(CHOICE, (_all, mark: string, letter: string, text: string) => {
    const other = `(${letter})` === answer1 ? text2 : `(${letter})` === answer2 ? text1 : text;
    return mark + other;
  });
  return head + swapped;
}
