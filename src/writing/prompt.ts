/** @file Prompts: Markdown files with {{names}} to fill in. What is filled in is data, whatever stands in it. */
import { createHash } from "node:crypto";
import { loadText } from "../base/json.js";
import { packagePath } from "../base/package.js";

const MAX_BYTES = 100_000;

export type Message = { role: "system" | "user"; content: string };

export interface FilledPrompt {
  /** File and the beginning of its hash: "draft@1a2b3c4d". A changed prompt makes other records. */
  version: string;
  messages: Message[];
}

interface Template {
  version: string;
  parts: string[];
}

const templates = new Map<string, Template>();

/** The file prompts/<name>.md: what stands above a line "---" is the system message, the rest the user's. */
function loadTemplate(name: string): Template {
  const known = templates.get(name);
  if (known) return known;
  // Read from the sources, which are in the package: a prompt is the same file in a checkout and in an installation.
  const text = loadText(packagePath("src", "writing", "prompts", `${name}.md`), MAX_BYTES);
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 8);
  const parts = text.split(/^---$/m).map((part) => part.trim());
  const template = { version: `${name}@${hash}`, parts };
  templates.set(name, template);
  return template;
}

/** Fills a prompt in one pass: braces in a value are not looked at. Throws where a name has no value. */
export function fillPrompt(name: string, values: Record<string, string | number>): FilledPrompt {
  const { version, parts } = loadTemplate(name);
  const [system = "", user] = parts.map((part) => fill(part, name, values));
  const messages: Message[] = [{ role: "system", content: system }];
  if (user !== undefined) messages.push({ role: "user", content: user });
  return { version, messages };
}

function fill(part: string, name: string, values: Record<string, string | number>): string {
  return part.replace(/\{\{(\w+)\}\}/g, (_all, key: string) => {
    const value = values[key];
    if (value === undefined) throw new Error(`prompt ${name}: nothing is given for {{${key}}}`);
    return String(value);
  });
}
