/** @file Replies on disk, by the hash of all that they depend on: what was paid for is never asked again. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeTextFile } from "../base/atomic.js";
import { InputError } from "../base/errors.js";
import { statOf } from "../base/file.js";
import type { Tokens } from "./chat.js";

/** What is kept of a reply: its text, and why it ends there ("stop", "length", ...; null: not told). */
export interface KeptReply {
  text: string;
  finish: string | null;
  /** What it took, where that was told. */
  tokens?: Tokens;
}

export interface ReplyCache {
  load(request: unknown): KeptReply | null;
  save(request: unknown, reply: KeptReply): Promise<void>;
}

/**
 * One file {request, reply} for each reply, written whole or not at all. Throws InputError where `folder` is something
 * else: no reply that is paid for may be lost.
 */
export function openCache(folder: string): ReplyCache {
  if (statOf(folder)?.isDirectory() === false)
    throw new InputError(`${folder}: is no folder, so replies cannot be kept in it; name another`);
  const pathOf = (request: unknown): string => {
    const key = createHash("sha256").update(JSON.stringify(request)).digest("hex");
    return join(folder, key.slice(0, 2), `${key}.json`);
  };
  return {
    load(request) {
      const path = pathOf(request);
      if (!existsSync(path)) return null;
      try {
        const { reply } = JSON.parse(readFileSync(path, "utf8")) as { reply?: KeptReply };
        return typeof reply?.text === "string" ? reply : null;
      } catch {
        return null; // not one of ours, or damaged: asked again and written anew
      }
    },
    async save(request, reply) {
      const path = pathOf(request);
      mkdirSync(join(path, ".."), { recursive: true });
      await writeTextFile(path, `${JSON.stringify({ request, reply }, null, 1)}\n`);
    },
  };
}
