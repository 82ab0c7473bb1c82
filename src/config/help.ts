/** @file What `--help` says of a setting: it stands in the schema, beside the setting's type and default. */

declare module "zod" {
  interface GlobalMeta {
    /** What the option takes: "n", "x", "id", "file". */
    value?: string;
    /** Stands for the default where that is nothing, and explains it where it is something. */
    defaultNote?: string;
  }
}

/** "maxTokens" -> "--max-tokens". */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
