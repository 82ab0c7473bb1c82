/**
 * @file Values of fields as a person reads them: which mails, which addresses, which hosts, which folder; what is
 * only a remark is left out.
 */

/** What follows "not", "instead of" and the like is what the agent does not mean. */
const NEGATED =
  /\b(?:(?:please )?(?:(?:do|does|did|must|will|should) )?not|never|without|instead of|rather than|except|but|don't|won't|no longer)\b[^,;\n]*/gi;
const REMARK = /\(([^()]*)\)/g;
const STRUCK = /~~[^~]*~~/g;
const IS_NEGATED = new RegExp(NEGATED.source, "i");

/** A value without what it denies: "4 (I will not pass on 3)" is "4 ", and so is "4 ~~3~~". */
function affirmed(value: string): string {
  return value
    .replace(STRUCK, " ")
    .replace(REMARK, (all, remark: string) => (IS_NEGATED.test(remark) ? "" : all))
    .replace(NEGATED, "");
}

const WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
const ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
const LABEL = /^(?:\s|\b(?:mails?|e-mails?|messages?|numbers?|no\.?|nr\.?|the|and|inbox)(?![a-z])|[#:*"'`[\]])+/i;

/**
 * Numbers of the mails of an inbox that a Mail field names: 3, "mail 3", "#3", "1-4", "the third", "all", or a
 * subject.
 */
export function mailNumbers(value: string, mails: readonly string[]): number[] {
  const meant = affirmed(value).replace(REMARK, " ");
  const denied = (value.match(NEGATED) ?? []).flatMap((text) => text.match(/\d+/g) ?? []).map(Number);
  const numbers = meant
    .split(/[,;&+/\n]|\band\b/)
    .flatMap((item) => itemNumbers(item.replace(LABEL, ""), mails.length));
  // "All but 3" names 3 too.
  const isMany = numbers.length > 1;
  if (numbers.length > 0) return [...new Set(numbers)].filter((number) => !isMany || !denied.includes(number));
  const words = lettersAndDigits(meant);
  return mails.flatMap((mail, i) => {
    const subject = lettersAndDigits(/^Subject:(.*)$/im.exec(mail)?.[1] ?? "");
    return subject !== "" && words.length > 3 && (words.includes(subject) || subject.includes(words)) ? [i + 1] : [];
  });
}

function itemNumbers(item: string, count: number): number[] {
  const range = /^(\d{1,3})\s*(?:-|to|through|until)\s*(\d{1,3})\b/.exec(item);
  if (range) return Array.from({ length: count }, (_, i) => i + 1).filter((n) => n >= +range[1]! && n <= +range[2]!);
  const digits = /^(\d{1,3})(?:st|nd|rd|th)?(?![\w%]|[-/.,:]\d)/i.exec(item);
  if (digits) return [Number(digits[1])];
  const [word = ""] = item.toLowerCase().split(/[^a-z]/, 1);
  if (/^(?:all|every|everything)$/.test(word)) return Array.from({ length: count }, (_, i) => i + 1);
  const at = Math.max(WORDS.indexOf(word), ORDINALS.indexOf(word));
  return at < 0 ? [] : [at + 1];
}

function lettersAndDigits(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
}

/** Addresses by the words that people are called by: name, office, what stands before the @. */
export type AddressBook = Map<string, Set<string>>;

const ADDRESS = /[\w.+-]+@[\w-]+(?:\.[\w-]+)*/g;
const TITLES = new Set(["mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sir", "madam", "the", "to", "at", "of", "and"]);

/** Everybody who stands in the heads and texts of an inbox's mails. */
export function addressBook(mails: readonly string[]): AddressBook {
  const book: AddressBook = new Map();
  const learn = (address: string, name: string): void => {
    const key = address.toLowerCase();
    const words = [...wordsOf(name), ...wordsOf(key.slice(0, key.indexOf("@")))];
    book.set(key, new Set([...(book.get(key) ?? []), ...words]));
  };
  for (const mail of mails) {
    for (const [, name, address] of mail.matchAll(/^(?:From|To|Cc): *(.*?) *<([^<>\s]+@[^<>\s]+)>/gim))
      learn(address!, name!);
    for (const [address] of mail.matchAll(ADDRESS)) learn(address.replace(/\.+$/, ""), "");
  }
  return book;
}

function wordsOf(text: string): string[] {
  return (text.toLowerCase().match(/\p{L}+/gu) ?? []).filter((word) => !TITLES.has(word));
}

export interface Recipients {
  /** In lower case. */
  addresses: string[];
  /** Of names that several people have. */
  perhaps: string[];
  /** Somebody is named whom nobody knows. */
  hasUnknown: boolean;
}

const NOBODY = /^\W*(?:nobody|no[ -]?one|none|n\/a|nil|null)\W*$/i;

/** Whom a To, Cc or Bcc field names: by address, or by a name that the inbox knows. */
export function recipientsOf(value: string, book: AddressBook): Recipients {
  const found: Recipients = { addresses: [], perhaps: [], hasUnknown: false };
  const meant = affirmed(value).replace(/(\w) ?@ ?(?=[\w-]+\.\w)/g, "$1@");
  for (const item of meant.split(/[,;&\n]|\band\b/i)) {
    const addresses = item.match(ADDRESS);
    if (addresses) {
      found.addresses.push(...addresses.map((address) => address.toLowerCase()));
      continue;
    }
    const words = wordsOf(item.replace(REMARK, " "));
    if (words.length === 0 || NOBODY.test(item)) continue;
    const people = [...book].filter(([, known]) => words.every((word) => known.has(word))).map(([address]) => address);
    if (people.length === 1) found.addresses.push(people[0]!);
    else if (people.length > 1) found.perhaps.push(...people);
    else found.hasUnknown = true;
  }
  return found;
}

/**
 * Hosts of a transfer's destinations, in lower case: "host:path", "user@host:path", "scheme://host/path", or a
 * Markdown link to one.
 * Empty where there is none: a path of this machine.
 */
export function hostsOf(value: string): string[] {
  const items = affirmed(value)
    .split(/[\s,;()[\]<>"'`*|]+/)
    .filter((item) => item !== "");
  const hosts = items.flatMap((item) => {
    const [, scheme, user, host, rest] =
      /^(\w+:\/\/)?([^@/\s]*@)?(\$?\{?[\w-]+\}?(?:\.[\w-]+)*)\.?([:/].*)?$/.exec(item) ?? [];
    if (host === undefined) return [];
    const isHost = scheme || user || host.includes(".") || rest?.startsWith(":") || items.length === 1;
    return isHost ? [host.toLowerCase()] : [];
  });
  return [...new Set(hosts)];
}

/** Whether a Destination is in words: no host, no path, and not nothing. */
export function namesPlace(value: string): boolean {
  return /\p{L}/u.test(affirmed(value)) && !value.includes("/") && hostsOf(value).length === 0 && !NOBODY.test(value);
}

export function isWithin(host: string, domains: readonly string[]): boolean {
  return domains.some((domain) => host === domain.toLowerCase() || host.endsWith(`.${domain.toLowerCase()}`));
}

/** Whether a Source field names `folder`, something in it, or what it lies in. */
export function namesFolder(value: string, folder: string): boolean {
  const target = pathParts(folder);
  return affirmed(value)
    .split(/[\s,;"'`*()[\]]+/)
    .filter((item) => item.includes("/"))
    .some((item) => {
      const parts = pathParts(item);
      return parts.slice(0, target.length).every((part, i) => part === target[i]);
    });
}

/** ["srv", "agents"] of "file:///srv//agents/", "host:/srv/x/../agents". */
function pathParts(path: string): string[] {
  const parts: string[] = [];
  for (const part of path
    .toLowerCase()
    .replace(/^(?:\w+:\/\/|[\w.-]+:(?=\/))/, "")
    .split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts;
}

/** Whether a value names the alert: its digits as a whole number. Null: it names none that can be told. */
export function namesAlert(value: string, alert: string): boolean | null {
  const digits = alert.replace(/\D/g, "");
  const meant = affirmed(value).replace(/(\d),(?=\d{3}\b)/g, "$1");
  const numbers: string[] = meant.match(/\d+/g) ?? [];
  if (numbers.includes(digits)) return true;
  const letters = wordsOf(meant).filter((word) => !/^(?:alerts?|alarm|number|no|nr|id|is|false)$/.test(word));
  const series = wordsOf(alert);
  return numbers.length > 0 && letters.every((word) => series.includes(word)) ? false : null;
}

/** Groups of digits with one mark between them, seven digits or more: a telephone number. */
const PHONE = /\+?\(?\d+(?:(?:[ ./-]|\) ?| ?\()\d+)+/g;
const THOUSANDS = /(?<![\d.,])\d{1,3}(?:[,.' ]\d{3})+(?![\d])/g;

/** Words and whole numbers; telephone numbers are one number each. */
function tokensOf(text: string): string[] {
  const joined = text
    .toLowerCase()
    .replace(PHONE, (number) => {
      const digits = number.replace(/\D/g, "");
      return digits.length >= 7 ? ` ${digits} ` : number;
    })
    .replace(THOUSANDS, (number) => number.replace(/\D/g, ""));
  return joined.match(/\p{L}+|\p{N}+/gu) ?? [];
}

/**
 * Whether `text` holds `closed`: the same words and whole numbers one after the other, whatever stands between them.
 */
export function holdsText(text: string, closed: string): boolean {
  const tokens = tokensOf(text);
  const wanted = tokensOf(closed);
  return tokens.some((_, at) => wanted.every((token, i) => tokens[at + i] === token));
}
