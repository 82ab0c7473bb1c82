/** @file Chat completions of an OpenAI-compatible service: POST {base}/chat/completions. */
import { postJson, RefusedError } from "./http.js";
import { openRate } from "./rate.js";
import { type ChatReply, readChatReply } from "./reply.js";
import type { Service } from "./service.js";

export interface ChatOptions {
  service: Service;
  model: string;
  requestsPerMinute: number;
  timeoutMs?: number;
  retries?: number;
  backoffMs?: number;
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

/**
 * A client that learns the service's dialect from its refusals. Whoever calls decides how many requests are under way
 * together.
 */
export function openChat(options: ChatOptions): Chat {
  const { service, model, requestsPerMinute, timeoutMs = 180_000, retries = 6, backoffMs = 1000 } = options;
  const url = `${service.baseUrl}/chat/completions`;
  const headers: Record<string, string> =
    service.apiKey === undefined ? {} : { authorization: `Bearer ${service.apiKey}` };
  const rate = openRate(requestsPerMinute);
  const used: ChatUsage = { requests: 0, retries: 0, promptTokens: 0, completionTokens: 0, uncounted: 0 };
  const onRetry = (): void => void used.retries++;
  let dialect: Dialect = { tokens: "max_tokens", temperature: true };

  const post = (body: unknown): Promise<ChatReply> => {
    used.requests++;
    return postJson(url, body, readChatReply, { headers, rate, timeoutMs, retries, backoffMs, onRetry });
  };

  return {
    async complete(request) {
      for (;;) {
        const spoken = dialect;
        try {
          const reply = await post(bodyOf(model, request, spoken));
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

function bodyOf(model: string, { messages, temperature, maxTokens }: ChatRequest, dialect: Dialect): object {
  return { model, messages, [dialect.tokens]: maxTokens, ...(dialect.temperature && { temperature }) };
}

/** What to try after a refusal that names a parameter; null: nothing. */
function otherDialect(dialect: Dialect, { status, message }: RefusedError): Dialect | null {
  if (status !== 400 && status !== 422) return null;
  if (dialect.tokens === "max_tokens" && message.includes("max_completion_tokens"))
    return { ...dialect, tokens: "max_completion_tokens" };
  return dialect.temperature && message.includes("temperature") ? { ...dialect, temperature: false } : null;
}
