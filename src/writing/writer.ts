/** @file What writes: a model behind a service, or a checkpoint in this process. */
import type { KeptReply } from "../endpoint/cache.js";
import type { Message } from "./prompt.js";

interface WriterRequest {
  messages: readonly Message[];
  temperature: number;
  maxTokens: number;
  /** Of equal requests, which one: each gets its own reply. */
  number: number;
}

export interface Writer {
  name: string;
  /** All that a reply depends on besides the request. */
  identity: unknown;
  /** What it writes at where no temperature is asked for. */
  temperature: number;
  /** Texts that are worth being under way together. */
  lanes: number;
  /** Tokens that a text of so many words may take. */
  room(words: number): number;
  /** Throws RefusedError where the request itself is refused, RunError where nobody answers. */
  complete(request: WriterRequest): Promise<KeptReply>;
  /** The likeliest of `options` as the whole answer; absent: it has to be asked for in words. */
  choose?(messages: readonly Message[], options: readonly string[]): Promise<KeptReply>;
  /** A reply of labelled lines whose labels are given, each line drawn after them; absent: asked for in words. */
  fillLines?(request: WriterRequest, labels: readonly string[]): Promise<KeptReply>;
  close(): void;
}
