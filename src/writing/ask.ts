/** @file Asking: replies from the cache or the writer, read or asked for again, counted, and given up by name. */
import { RunError } from "../base/errors.js";
import type { KeptReply, ReplyCache } from "../endpoint/cache.js";
import { RefusedError } from "../endpoint/http.js";
import { isCutOff } from "../endpoint/reply.js";
import { BudgetError } from "./budget.js";
import type { FilledPrompt, Message } from "./prompt.js";
import { isRefusal, plainReply, type Read, readOption } from "./read.js";
import type { Writer } from "./writer.js";

/** A reply that is of no use is asked for again, so often in all. */
const ATTEMPTS = 3;
/** A stage whose replies are of use less often is not worth its money, as soon as so many have come. */
const LEAST_YIELD = 0.3;
const JUDGED_FROM = 20;
const MAX_EXAMPLES = 3;
/** Statuses by which a service refuses one request; any other refusal is of all of them. */
const OWN_REFUSALS = new Set([400, 413, 422]);

/** One step of a record: what was asked, and what came. */
export interface Step {
  stage: string;
  /** File and version. */
  prompt: string;
  by: string;
  number: number;
  text: string;
}

/** What was read, or why it was given up; `steps` has the reply that it is from. */
export type Asked<T> = { value: T; step: Step } | { fault: string };

export interface Question<T> {
  stage: string;
  prompt: FilledPrompt;
  /** Of the reply, roughly. */
  words: number;
  temperature?: number;
  /** Of lines that the reply consists of: a writer that can is given them, and only fills them in. */
  labels?: readonly string[];
  /** A reply may begin with "I cannot help": the model that speaks is asked to be itself. */
  mayDecline?: boolean;
  read(reply: string): Read<T>;
}

/** Of one stage: replies, of how many use was made, and why not of the others. */
export interface Tally {
  replies: number;
  used: number;
  faults: Map<string, number>;
  examples: string[];
  tokens: { prompt: number; completion: number };
}

export interface Asker {
  ask<T>(who: Writer, question: Question<T>): Promise<Asked<T>>;
  /** The index of one of `options`: by their likelihood where the writer can tell, in words elsewhere. */
  choose(who: Writer, stage: string, prompt: FilledPrompt, options: readonly string[]): Promise<Asked<number>>;
  /** A verdict against what was made: it counts as a reply that is of no use. */
  reject(stage: string, why: string): void;
  /** No further request is sent: what asks gets `error`. */
  stop(error: Error): void;
  readonly stopped: Error | null;
  readonly tallies: Map<string, Tally>;
}

/** The pilot's requests are all sent. */
export class PilotEnd extends RunError {
  override name = "PilotEnd";
}

/**
 * A reply's key is all that it depends on, so that no run asks for it twice. After `limit` replies, kept ones too, it
 * stops with PilotEnd.
 */
export function openAsker(cache: ReplyCache, limit = Number.POSITIVE_INFINITY): Asker {
  const tallies = new Map<string, Tally>();
  const underWay = new Map<string, Promise<KeptReply>>();
  const counted = new Set<string>();
  let came = 0;
  let stopped: Error | null = null;

  const tallyOf = (stage: string): Tally => {
    const tally = tallies.get(stage) ?? newTally();
    tallies.set(stage, tally);
    return tally;
  };

  const count = (stage: string, fault: string | null, example = ""): void => {
    const tally = tallyOf(stage);
    tally.replies++;
    if (fault === null) tally.used++;
    else {
      tally.faults.set(fault, (tally.faults.get(fault) ?? 0) + 1);
      if (tally.examples.length < MAX_EXAMPLES) tally.examples.push(`${fault}: ${example.slice(0, 120)}`);
    }
    if (tally.replies >= JUDGED_FROM && tally.used < LEAST_YIELD * tally.replies && stopped === null)
      stopped = new RunError(describeYield(stage, tally));
  };

  const fetchReply = async (who: Writer, key: unknown, send: () => Promise<KeptReply>): Promise<KeptReply> => {
    if (came++ >= limit) stopped ??= new PilotEnd("the pilot has come to its end");
    if (stopped) throw stopped;
    const kept = cache.load(key);
    if (kept) return kept;
    try {
      const reply = await send();
      await cache.save(key, reply);
      return reply;
    } catch (error) {
      if (error instanceof RefusedError) {
        const filtered = filteredReply(error);
        if (filtered) {
          await cache.save(key, filtered);
          return filtered;
        }
        if (OWN_REFUSALS.has(error.status)) throw error;
      }
      stopped ??= reasonToStop(who, error);
      throw stopped;
    }
  };

  /** The same request at the same time is sent once; its tokens are counted once. */
  const reply = async (stage: string, who: Writer, key: unknown, send: () => Promise<KeptReply>) => {
    const name = JSON.stringify(key);
    const asked = underWay.get(name) ?? fetchReply(who, key, send).finally(() => underWay.delete(name));
    underWay.set(name, asked);
    const said = await asked;
    const tally = tallyOf(stage);
    if (!counted.has(name) && said.tokens) {
      tally.tokens.prompt += said.tokens.prompt;
      tally.tokens.completion += said.tokens.completion;
    }
    counted.add(name);
    return said;
  };

  const asker: Asker = {
    async ask(who, { stage, prompt, words, temperature = who.temperature, labels, mayDecline = false, read }) {
      const isFilled = labels !== undefined && who.fillLines !== undefined;
      let fault = "";
      for (let number = 0; number < ATTEMPTS; number++) {
        const messages = number === 0 ? prompt.messages : withFault(prompt.messages, number, fault);
        // Where the likeliest reply was of no use, another one is wanted.
        const request = { messages, temperature: number === 0 ? temperature : Math.max(temperature, 0.7) };
        const sentRequest = { ...request, maxTokens: who.room(words), number };
        const key = { identity: who.identity, ...sentRequest, ...(isFilled && { labels }) };
        const send = () => (isFilled ? who.fillLines!(sentRequest, labels) : who.complete(sentRequest));
        let said: KeptReply;
        try {
          said = await reply(stage, who, key, send);
        } catch (error) {
          if (!(error instanceof RefusedError) || stopped === error) throw error;
          fault = `refused by the service: ${error.message.slice(0, 80)}`;
          count(stage, fault);
          break; // the same request again would be refused again
        }
        const result = readReply(said, mayDecline, read);
        if ("value" in result) {
          count(stage, null);
          return {
            value: result.value,
            step: { stage, prompt: prompt.version, by: who.name, number, text: said.text },
          };
        }
        fault = result.fault;
        count(stage, fault, said.text);
      }
      return { fault: `${stage}: ${fault}` };
    },
    async choose(who, stage, prompt, options) {
      if (!who.choose) {
        const read = (text: string): Read<number> => readOption(text, options);
        return asker.ask(who, { stage, prompt, words: 1, temperature: 0, mayDecline: true, read });
      }
      const { messages } = prompt;
      const key = { identity: who.identity, messages, options };
      const { text } = await reply(stage, who, key, () => who.choose!(messages, options));
      count(stage, null);
      return { value: options.indexOf(text), step: { stage, prompt: prompt.version, by: who.name, number: 0, text } };
    },
    reject(stage, why) {
      const tally = tallyOf(stage);
      tally.used--;
      // It is the reply that was counted as one of use.
      tally.replies--;
      count(stage, why);
    },
    stop(error) {
      stopped ??= error;
    },
    get stopped() {
      return stopped;
    },
    tallies,
  };
  return asker;
}

/** The request again, told what was wrong with the reply before: otherwise many a service would repeat it. */
function withFault([system, ...others]: readonly Message[], number: number, fault: string): Message[] {
  const told = `${system!.content}\n\nReply ${number} was of no use: ${fault}. Write another one.`;
  return [{ role: "system", content: told }, ...others];
}

function newTally(): Tally {
  return { replies: 0, used: 0, faults: new Map(), examples: [], tokens: { prompt: 0, completion: 0 } };
}

/** A reply that is cut off, empty or a refusal has a fault, whatever it says. */
function readReply<T>({ text, finish }: KeptReply, mayDecline: boolean, read: (text: string) => Read<T>): Read<T> {
  if (isCutOff(finish)) return { fault: `cut off (${finish})` };
  const plain = plainReply(text);
  if (plain === "") return { fault: "empty" };
  return !mayDecline && isRefusal(plain) ? { fault: "refused" } : read(text);
}

/** A refusal by a filter of contents is a reply: it would come again. Null: the refusal is of another kind. */
function filteredReply({ message, status }: RefusedError): KeptReply | null {
  const isFilter = /content[ _-]?(?:filter|policy|management)|safety|moderation/i.test(message);
  return isFilter && status < 429 ? { text: "", finish: "content_filter" } : null;
}

/** What becomes of an error that ends the whole run. */
function reasonToStop(who: Writer, error: unknown): Error {
  const isPlain = error instanceof RunError && !(error instanceof BudgetError || error instanceof PilotEnd);
  return isPlain
    ? new RunError(`${who.name}: ${error.message}. What it wrote is kept, and the same command goes on`)
    : (error as Error);
}

function describeYield(stage: string, { replies, used, faults, examples }: Tally): string {
  const reasons = [...faults].sort(([, a], [, b]) => b - a).map(([why, times]) => `${why} (${times})`);
  return (
    `${stage}: only ${used} of ${replies} replies are of use, fewer than ${100 * LEAST_YIELD} %: ` +
    `${reasons.join("; ")}. For example ${examples.map((one) => JSON.stringify(one)).join(", ")}`
  );
}
