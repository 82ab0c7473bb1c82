/** @file The parts of Python that chat templates call: str.strip, strftime, range. */

const MAX_RANGE_ITEMS = 1 << 20;

/** Python's range, refused where the list would be huge. */
export function boundedRange(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined || stop === null ? [0, start] : [start, stop];
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!(count <= MAX_RANGE_ITEMS)) throw new Error(`range of ${count} items`);
  return Array.from({ length: count }, (_, i) => from + i * step);
}

const PYTHON_SPACE =
  "\t\n\v\f\r\x1c\x1d\x1e\x1f " +
  "\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";

/** Python's str.strip, str.lstrip and str.rstrip. */
export function strip(value: unknown, side: unknown, chars?: unknown): string {
  if (value === undefined) return "";
  if (typeof value !== "string") throw new Error(`${side} needs a text`);
  const set = new Set(typeof chars === "string" ? chars : PYTHON_SPACE);
  let from = 0;
  let to = value.length;
  if (side !== "rstrip") while (from < to && set.has(value[from]!)) from++;
  if (side !== "lstrip") while (to > from && set.has(value[to - 1]!)) to--;
  return value.slice(from, to);
}

const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Python's strftime in UTC and English. */
export function formatDate(date: Date, format: string): string {
  const month = MONTHS[date.getUTCMonth()]!;
  const day = DAYS[date.getUTCDay()]!;
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
