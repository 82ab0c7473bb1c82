/**
 * @file Where a reply names the options of a question: each mention becomes one mark, so that rules can read the rest.
 */

/**
 * Marks of the option named first and of the one named second: private characters, which no reply holds after
 * `plainText`.
 */
export const MARKS = ["\uE001", "\uE002"] as const;
const ANY_MARK = `[${MARKS.join("")}]`;

const ARTICLES = "a|an|the|some|my|your|this|that|these|those";
/** Words between those of an option that say nothing by themselves. */
const LINKS = new Set("a an the of from in by at to for with and on one".split(" "));

/** Lower case, straight quotes, no emphasis, no private characters, single spaces; lines are kept. */
export function plainText(text: string): string {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\uE000-\uF8FF\u200B-\u200D\u2060\uFEFF]/g, "")
    .replace(/[\u2018\u2019\u02BC]/g, "'")
    .replace(/["\u201C\u201D\u00AB\u00BB*`#_~>]/g, " ")
    .replace(/[\u2013\u2014]|--+/g, " \u2014 ")
    .replace(/[^\S\n]+/g, " ")
    .replace(/ *\n\s*/g, "\n")
    .replace(/ ([.,;:!?])/g, "$1")
    .trim();
}

/**
 * `text` (plain) with every mention of an option as its mark: its whole text, its letter or number, or a part that only
 * it has.
 */
export function markMentions(text: string, options: readonly [string, string]): string {
  const items = options.map((option) => plainText(option).replace(new RegExp(`^(?:${ARTICLES}) `), "")) as [
    string,
    string,
  ];
  if (items[0] === items[1] || items.includes("")) return text;
  return markParts(markLetters(markWhole(text, items)), items);
}

/** Whole texts, with or without their article, the longer option wherever both fit. */
function markWhole(text: string, items: readonly [string, string]): string {
  const order = items[0].length >= items[1].length ? [0, 1] : [1, 0];
  const patterns = order.map((i) => `(${items[i]!.split(" ").map(escapeWord).join("\\s+")})`);
  const whole = new RegExp(
    `(?<![\\p{L}\\p{N}$-])(?:(?:${ARTICLES})\\s+)?(?:${patterns.join("|")})(?![\\p{L}\\p{N}]|-\\p{L})`,
    "gu",
  );
  return text.replace(whole, (_all, longer: string | undefined) => MARKS[order[longer === undefined ? 1 : 0]!]!);
}

function escapeWord(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

const LIST_ENTRY = new RegExp(
  `(?<=^|[\\s(])(?:(?:option|choice|answer) )?\\(?([ab12])[).:]+\\s*(?=(${ANY_MARK}))`,
  "gm",
);

/**
 * Letters, numbers and ordinals. A list of both options ("A. ... B. ...") says which letter is which and chooses
 * nothing; before one option alone a letter is an ornament, and the text counts. Without a list the option named first
 * is A and 1.
 */
function markLetters(text: string): string {
  const listed = new Map([...text.matchAll(LIST_ENTRY)].map(([, letter, mark]) => [letter!, mark!]));
  const isList = new Set(listed.values()).size === 2 && listed.size === 2;
  const rest = isList
    ? text.replace(new RegExp(`${LIST_ENTRY.source}${ANY_MARK}[.;,]?`, "gm"), "\n")
    : text.replace(LIST_ENTRY, "");
  const place = (name: string): string => {
    const second = /^(?:b|2|two|second|2nd|latter)$/.test(name);
    const letter = /^[ab]$/.test(name) ? name : second ? "2" : "1";
    return (isList ? (listed.get(letter) ?? listed.get(second ? "b" : "a")) : undefined) ?? MARKS[second ? 1 : 0];
  };
  const named = (_all: string, name: string): string => place(name);
  return rest
    .replace(/\b(?:option|choice|answer|number) \(?([ab12]|one|two)\b\)?(?! \p{L})/gu, named)
    .replace(/\bthe (first|second|1st|2nd) (?:one|option|choice|item|alternative)\b/g, named)
    .replace(/\bthe (former|latter)(?: (?:one|option|choice))?\b/g, named)
    .replace(/\bthe (first|second)(?=\s*(?:[.,;:!\u2014\n]|$|because|since|as ))/g, named)
    .replace(
      /(?<=\b(?:choose|pick|take|prefer|say|with|for|answer|choice|answer is|choice is)[: ]+)\(?([ab12])\)?(?=[.,!;]*\s*(?:$|\n|because|since))/g,
      named,
    )
    .replace(/^\(?([ab12])[).:]*$/gm, named);
}

/**
 * A part of an option with a word that the other one lacks: "the cheap one", "the print by a Mexican artist". Either an
 * article stands before it, or it has two words.
 */
function markParts(text: string, items: readonly [string, string]): string {
  const words = items.map((item) => new Set(wordsOf(item))) as [Set<string>, Set<string>];
  let marked = text;
  for (const i of [0, 1] as const) {
    const own = words[i];
    const other = words[1 - i]!;
    const isOwn = (word: string): boolean => own.has(word) && !other.has(word) && !LINKS.has(word);
    const run =
      /(?:[\p{L}\p{N}$][\p{L}\p{N}$'.,-]*[\p{L}\p{N}]|[\p{L}\p{N}$])(?: (?:[\p{L}\p{N}$][\p{L}\p{N}$'.,-]*[\p{L}\p{N}]|[\p{L}\p{N}$]))*/gu;
    marked = marked.replace(run, (phrase) => markRuns(phrase.split(" "), own, isOwn, MARKS[i]));
  }
  return marked;
}

function wordsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}

/** In a phrase without punctuation: the longest runs of an option's words. */
function markRuns(
  phrase: readonly string[],
  words: ReadonlySet<string>,
  isOwn: (word: string) => boolean,
  mark: string,
): string {
  const out: string[] = [];
  for (let at = 0; at < phrase.length; ) {
    let end = at;
    while (end < phrase.length && (words.has(phrase[end]!) || (end > at && /^(?:a|an|the)$/.test(phrase[end]!)))) end++;
    while (end > at && LINKS.has(phrase[end - 1]!)) end--;
    const run = phrase.slice(at, end);
    const hasArticle =
      /^(?:a|an|the|that|this|some)$/.test(run[0] ?? "") || /^(?:a|an|the|that|this|some)$/.test(out.at(-1) ?? "");
    const count = run.filter((word) => !LINKS.has(word)).length;
    if (run.some(isOwn) && (hasArticle || count >= 2 || run.some((word) => word.startsWith("$")))) {
      if (/^(?:one|ones|option|version|choice)$/.test(phrase[end] ?? "")) end++;
      if (/^(?:a|an|the|that|this|some)$/.test(out.at(-1) ?? "")) out.pop();
      out.push(mark);
      at = end;
    } else out.push(phrase[at++]!);
  }
  return out.join(" ");
}
