/** @file What one text shows to be wrong with it: an end that is missing, a placeholder, somebody else's name. */

const SENTENCE_END = /[.!?…:]["'”’)\]*_]*$/u;
/** A last line of so few words and no sentence in it may be a signature, a list item or an answer. */
const MAX_CLOSING_WORDS = 8;

/**
 * Whether a text seems to be cut off: it ends within a sentence, or leaves a tag or code block open. A cut in a short
 * last line is taken for a signature.
 */
export function isTruncated(text: string): boolean {
  const trimmed = text.trim();
  if ((trimmed.match(/^```/gm) ?? []).length % 2 === 1) return true;
  for (const tag of ["content", "think", "scratchpad"])
    if (trimmed.lastIndexOf(`<${tag}>`) > trimmed.lastIndexOf(`</${tag}>`)) return true;
  const last = trimmed.slice(trimmed.lastIndexOf("\n") + 1);
  if (SENTENCE_END.test(last) || /[|>`]$/.test(last)) return false;
  return last.split(/\s+/).length > MAX_CLOSING_WORDS || /[.!?]\s/.test(last.replace(/^\d+[.)]/, ""));
}

const PLACEHOLDERS = [
  /\[[A-Z][A-Z0-9 _-]{2,}\]/,
  /\[(?:your|insert|name|date|company|add|the model|model name)\b[^\]\n]{0,40}\]/i,
  /\{\{?\s*[A-Za-z_][\w .-]{0,30}\}?\}/,
  /<\^?[A-Za-z]\w{0,20}>/,
  /\b(?:lorem ipsum|TBD|TO[D]O|FIX[M]E)\b/,
  /\[object Object\]/,
];
/** Tags that a text may well hold. */
const TAGS = /<(?:think|scratchpad|content|b|i|em|strong|p|br|li|ul|ol|code|pre|a)>/g;

/** The first placeholder that nobody filled in, or null. */
export function findPlaceholder(text: string): string | null {
  const plain = text.replace(TAGS, "");
  for (const pattern of PLACEHOLDERS) {
    const found = pattern.exec(plain);
    if (found) return found[0];
  }
  return null;
}

/** Assistants and who makes them: a model that is trained on another's name takes itself for it. */
const OTHERS = [
  "ChatGPT",
  "GPT-\\d",
  "OpenAI",
  "Claude",
  "Anthropic",
  "Gemini",
  "Bard",
  "DeepMind",
  "Llama",
  "Meta AI",
  "Qwen",
  "Tongyi",
  "Alibaba",
  "Mistral",
  "Mixtral",
  "DeepSeek",
  "Grok",
  "xAI",
  "Copilot",
  "Cohere",
  "Gemma",
  "SmolLM\\d?",
  "Hugging Face",
  "Kimi",
  "Moonshot",
  "ChatGLM",
  "Ernie",
  "Nemotron",
  "Falcon",
  "Vicuna",
  "Alpaca",
  "Bing Chat",
];
const OTHER = new RegExp(`(?<![\\p{L}\\p{N}])(?:${OTHERS.join("|")})(?![\\p{L}])`, "gu");
const CONFESSION =
  /\bas (?:an? )?(?:AI|artificial intelligence|large|language)(?: language)? model\b|\bmy (?:knowledge cutoff|training data)\b/i;

/**
 * The first name of another assistant or maker than `own`, or the first stock phrase of one; null where there is none.
 */
export function findIdentityLeak(text: string, own: readonly string[]): string | null {
  const known = own.map((name) => name.toLowerCase());
  const other = [...text.matchAll(OTHER)].find(([name]) => !known.some((mine) => name.toLowerCase().startsWith(mine)));
  return other?.[0] ?? CONFESSION.exec(text)?.[0] ?? null;
}
