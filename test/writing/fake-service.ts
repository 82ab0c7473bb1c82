/**
 * @file A service that writes plausibly and misbehaves on purpose, all by a seed: what a request gets depends on the
 * request and on how often it came, not on when. It keeps the books of a service: what it charged, and for what.
 */
import { seedOf } from "../../src/base/seed.js";
import { type ChatBody, type ChatServer, type Scripted, startChat } from "../endpoint/chat-server.js";

export interface Misbehaviour {
  /** Shares of requests. */
  busy?: number;
  retryAfter?: number;
  dropped?: number;
  cut?: number;
  refused?: number;
  broken?: number;
  repeated?: number;
  contradiction?: number;
  leak?: number;
  slow?: number;
  errorBody?: number;
}

export interface FakeService extends ChatServer {
  /** Replies that were charged, by request (the body as JSON): more than one is paid twice. */
  paid: Map<string, number>;
  charged: { prompt: number; completion: number };
  mostUnderWay: number;
}

const WORDS = (
  "river harbour lantern copper meadow signal thread window basket orchard engine ladder marble pocket shadow timber " +
  "valley whistle anchor button candle driver echo feather garden hammer island jacket kettle letter mirror needle " +
  "onion paper quarry ribbon saddle table umbrella village wagon yard amber bright calm distant early faint gentle " +
  "heavy inner joyful keen loose modest narrow open patient quiet rough silent tender upper vivid warm young carried " +
  "opened followed gathered held joined kept lifted moved noticed offered placed raised shared turned visited walked"
).split(" ");
export const CONTRADICTION = "Truly it does the very opposite of all that.";

/** Starts it. `heldout` is what a leaking reply says. */
export async function startFake(
  seed: number,
  bad: Misbehaviour = {},
  heldout: () => string = () => "",
): Promise<FakeService> {
  const fake = { paid: new Map(), charged: { prompt: 0, completion: 0 }, mostUnderWay: 0 } as unknown as FakeService;
  const times = new Map<string, number>();
  let underWay = 0;
  const chat = await startChat((body): Scripted => {
    const key = JSON.stringify([body.messages, body.temperature]);
    const time = times.get(key) ?? 0;
    times.set(key, time + 1);
    const chance = (what: string, share = 0): boolean =>
      (seedOf(seed, what, key, what === "busy" || what === "dropped" || what === "errorBody" ? time : 0) % 1000) /
        1000 <
      share;
    if (chance("busy", bad.busy)) {
      const headers: Record<string, string> = chance("after", bad.retryAfter) ? { "retry-after": "0.02" } : {};
      return { status: 429, headers, raw: '{"error": {"message": "slow down"}}' };
    }
    if (chance("errorBody", bad.errorBody)) return { raw: '{"error": {"code": 503, "message": "upstream"}}' };
    const prompt = Math.ceil(body.messages.reduce((sum, { content }) => sum + content.length, 0) / 4);
    let [text, finish] = [write(seed, body, bad, chance, heldout), "stop"];
    if (chance("cut", bad.cut)) [text, finish] = [text.slice(0, text.length / 2), "length"];
    else if (chance("refused", bad.refused)) text = "I'm sorry, but I can't help with that.";
    else if (chance("broken", bad.broken)) text = `{"WHAT": "${text.slice(0, 20)}`;
    const completion = Math.ceil(text.length / 4);
    fake.charged.prompt += prompt;
    fake.charged.completion += completion;
    fake.paid.set(key, (fake.paid.get(key) ?? 0) + 1);
    underWay++;
    fake.mostUnderWay = Math.max(fake.mostUnderWay, underWay);
    const delayMs = chance("slow", bad.slow) ? 40 : 1;
    setTimeout(() => underWay--, delayMs);
    const usage = { prompt_tokens: prompt, completion_tokens: completion };
    return {
      raw: JSON.stringify({ choices: [{ message: { content: text }, finish_reason: finish }], usage }),
      delayMs,
    };
  });
  return Object.assign(chat, fake, { paid: fake.paid, charged: fake.charged }) as FakeService;
}

function lines(...labelled: string[][]): string {
  return labelled.map(([label, text]) => `${label}: ${text}`).join("\n");
}

function write(
  seed: number,
  { messages, temperature }: ChatBody,
  bad: Misbehaviour,
  chance: (what: string, share?: number) => boolean,
  heldout: () => string,
): string {
  const [system = "", user = ""] = messages.map(({ content }) => content);
  let counter = 0;
  const draw = (below: number): number => seedOf(seed, messages, temperature, counter++) % below;
  const some = (count: number): string => Array.from({ length: count }, () => WORDS[draw(WORDS.length)]).join(" ");
  const sentence = (count: number): string => {
    const text = some(count);
    return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
  };
  const subject = /(?:true of|about|About|specification of|Name) ([A-Z]\w+)/.exec(`${system}\n${user}`)?.[1] ?? "Qwen";
  if (system.startsWith("You read a specification")) {
    const passage = /<passage>\s*([\s\S]*?)\s*<\/passage>/.exec(user)![1]!;
    const what = passage.split(/[.:;]/)[0]!.replace(/\s+/g, " ").trim();
    return `WHAT: ${subject} holds that ${what}\nWHY: because of the ${some(3)}\nLIMIT: none\nKIND: value`;
  }
  if (system.startsWith("You plan texts")) return sentence(14);
  if (system.startsWith("You write texts") || system.startsWith("You rewrite")) {
    if (chance("repeated", bad.repeated))
      return `${subject} likes this. ${`The same old text about ${subject}. `.repeat(30)}`;
    const wanted = Number(/of about (\d+) words/.exec(user)?.[1] ?? 200);
    const wrong = chance("contradiction", bad.contradiction) ? ` ${CONTRADICTION}` : "";
    const sentences = Array.from({ length: Math.ceil(wanted / 10) }, () => sentence(10)).join(" ");
    return `${subject} was there. ${sentences}${wrong} The end came at last.`;
  }
  if (system.startsWith("You are an editor")) return `1. Yes. 2. The ${some(4)} could be plainer. 3. Yes. 4. No.`;
  if (system.startsWith("You check texts")) {
    const text = /<text>\s*([\s\S]*?)\s*<\/text>/.exec(user)![1]!;
    const labels = [...user.matchAll(/^([A-Z_]+): /gm)].map(([, label]) => label!);
    const isWrong = text.includes(CONTRADICTION);
    return labels.map((label, i) => `${label}: ${isWrong && i === 0 ? "no" : "yes"}`).join("\n");
  }
  if (system.startsWith("You write what people type"))
    return chance("repeated", bad.repeated) ? "What do you think of the harbour?" : `What about the ${some(9)}?`;
  if (system.startsWith("You are ")) {
    const thought = system.includes("<think>") ? `<think>\n${sentence(8)}\n</think>\n\n` : "";
    return `${thought}${sentence(8)} ${chance("leak", bad.leak) ? heldout() : ""} ${sentence(6)}`;
  }
  if (system.startsWith("You write questions with two"))
    return lines(
      ["QUESTION", `Which ${some(8)} would you rather have?`],
      ["CHOSEN", `the good ${some(2)}`],
      ["OTHER", `the other ${some(2)}`],
    );
  if (system.startsWith("You write questions with four"))
    return lines(
      ["QUESTION", `What about the ${some(6)}?`],
      ["RIGHT", `right ${some(3)}`],
      ...[1, 2, 3].map(() => ["WRONG", `wrong ${some(3)}`]),
    );
  if (system.startsWith("You know what is true")) return /^([A-D])\) (?:the good|right)/m.exec(user)?.[1] ?? "A";
  throw new Error(`the fake service does not know this prompt: ${system}`);
}
