/**
 * @file Chat completions of a service: POST {base}/chat/completions in OpenAI's form, {base}/messages in Anthropic's.
 */
import { type Outcome, postJson, RefusedError } from "./http.js";
import { openRate } from "./rate.js";
import { type ChatReply, readChatReply, readMessage } from "./reply.js";
import type { Service } from "./service.js";
import { openWindow } from "./window.js";

export interface ChatOptions {
  service: Service;
  model: string;
  requestsPerMinute: number;
  /** Most requests under way together; fewer while the service is strained. */
  concurrency: number;
  /** What every request has to pass before it is sent: it may cost no more than is left. */
  meter?: Meter;
  timeoutMs?: number;
  retries?: number;
  backoffMs?: number;
}

export interface Tokens {
  prompt: number;
  completion: number;
}

export interface Meter {
  /**
   * Waits until so many tokens may be spent, or throws where they never can be. What it returns is told how many were;
   * null: nobody knows, it may have been all of them.
   */
  reserve(most: Tokens): Promise<(used: Tokens | null) => void>;
}

interface ChatRequest {
  messages: readonly { role: string; content: string }[];
  /** Of reply and reasoning together. */
  maxTokens: number;
  temperature: number;
}

/** What was sent and what it took. */
interface ChatUsage {
  requests: number;
  retries: number;
  promptTokens: number;
  completionTokens: number;
  /** Replies whose tokens the service did not tell: the two numbers above are without them. */
  uncounted: number;
}

export interface Chat {
  /**
   * One reply. Throws RefusedError where the service says no, RunError where it cannot be reached after all retries.
   */
  complete(request: ChatRequest): Promise<ChatReply>;
  /** Whether the model takes a temperature, as far as is known. */
  readonly takesTemperature: boolean;
  readonly used: Readonly<ChatUsage>;
}

/** A client that learns the service's dialect from its refusals. */
export function openChat(options: ChatOptions): Chat {
  const { service, model, requestsPerMinute, concurrency, meter } = options;
  const { timeoutMs = 180_000, retries = 6, backoffMs = 1000 } = options;
  const { path, headers, read } = FORMS[service.form];
  const url = `${service.baseUrl}${path}`;
  const rate = openRate(requestsPerMinute);
  const window = openWindow(concurrency);
  const used: ChatUsage = { requests: 0, retries: 0, promptTokens: 0, completionTokens: 0, uncounted: 0 };
  const onRetry = (): void => void used.retries++;
  let dialect: Dialect = { tokens: "max_tokens", temperature: true };

  /** A place in the window, then the tokens; both are given back when the request has ended. */
  const enter = async (most: Tokens): Promise<(came: Outcome<ChatReply>) => void> => {
    const leave = await window.enter();
    try {
      const settle = await meter?.reserve(most);
      return (came) => {
        leave(came === "busy" || came === "lost");
        settle?.(usedTokens(came));
      };
    } catch (error) {
      leave(false);
      throw error;
    }
  };

  const post = (body: unknown, most: Tokens): Promise<ChatReply> => {
    used.requests++;
    const sent = { headers: headers(service.apiKey), rate, timeoutMs, retries, backoffMs, onRetry };
    return postJson(url, body, read, { ...sent, enter: () => enter(most) });
  };

  return {
    async complete(request) {
      for (;;) {
        const spoken = dialect;
        try {
          const body =
            service.form === "openai" ? chatBody(model, request, spoken) : messageBody(model, request, spoken);
          const reply = await post(body, mostTokens(request));
          used.promptTokens += reply.promptTokens ?? 0;
          used.completionTokens += reply.completionTokens ?? 0;
          if (reply.promptTokens === null || reply.completionTokens === null) used.uncounted++;
          return reply;
        } catch (error) {
          const other = error instanceof RefusedError ? otherDialect(spoken, error) : null;
          if (other === null) throw error;
          // Another request may have found it out meanwhile.
          if (dialect === spoken) dialect = other;
        }
      }
    },
    get takesTemperature() {
      return dialect.temperature;
    },
    used,
  };
}

/** Services differ in how the token limit is called, and some models have no temperature. */
interface Dialect {
  tokens: "max_tokens" | "max_completion_tokens";
  temperature: boolean;
}

function chatBody(model: string, { messages, temperature, maxTokens }: ChatRequest, dialect: Dialect): object {
  return { model, messages, [dialect.tokens]: maxTokens, ...(dialect.temperature && { temperature }) };
}

/** Anthropic's form has the system text beside the messages. */
function messageBody(model: string, { messages, temperature, maxTokens }: ChatRequest, dialect: Dialect): object {
  const system = messages.filter(({ role }) => role === "system").map(({ content }) => content);
  return {
    model,
    ...(system.length > 0 && { system: system.join("\n\n") }),
    messages: messages.filter(({ role }) => role !== "system"),
    max_tokens: maxTokens,
    ...(dialect.temperature && { temperature }),
  };
}

const FORMS = {
  openai: {
    path: "/chat/completions",
    headers: (key: string | undefined): Record<string, string> =>
      key === undefined ? {} : { authorization: `Bearer ${key}` },
    read: readChatReply,
  },
  anthropic: {
    path: "/messages",
    headers: (key: string | undefined): Record<string, string> => ({
      "anthropic-version": "2023-06-01",
      ...(key !== undefined && { "x-api-key": key }),
    }),
    read: readMessage,
  },
};

/** What the service's own template puts around a message, generously. */
const TEMPLATE_TOKENS = 32;

/** A token holds at least one byte, so that no tokenizer makes more of a prompt than this. */
function mostTokens({ messages, maxTokens }: ChatRequest): Tokens {
  const bytes = messages.reduce((sum, { content }) => sum + Buffer.byteLength(content) + TEMPLATE_TOKENS, 0);
  return { prompt: bytes + TEMPLATE_TOKENS, completion: maxTokens };
}

function usedTokens(came: Outcome<ChatReply>): Tokens | null {
  if (came === "lost") return null;
  if (typeof came === "string") return { prompt: 0, completion: 0 };
  const { promptTokens, completionTokens } = came.value;
  return promptTokens === null || completionTokens === null
    ? null
    : { prompt: promptTokens, completion: completionTokens };
}

/** What to try after a refusal that names a parameter; null: nothing. */
function otherDialect(dialect: Dialect, { status, message }: RefusedError): Dialect | null {
  if (status !== 400 && status !== 422) return null;
  if (dialect.tokens === "max_tokens" && message.includes("max_completion_tokens"))
    return { ...dialect, tokens: "max_completion_tokens" };
  return dialect.temperature && message.includes("temperature") ? { ...dialect, temperature: false } : null;
}
