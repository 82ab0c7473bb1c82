/** @file What /metrics tells: requests, tokens, times, and what the engine does now. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Engine } from "../model/engine.js";

export interface Metrics {
  answered(route: string, status: number, seconds: number): void;
  prompt(tokens: number): void;
  token(): void;
  text(): Promise<string>;
  contentType: string;
  close(): void;
}

const SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];

export function openMetrics(engine: Engine): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  };
  gauge("msm_requests_running", "choices that are drawn now", () => engine.state().running);
  gauge("msm_requests_waiting", "choices that wait for a place", () => engine.state().waiting);
  gauge("msm_cache_rows_used", "cache rows that are taken", () => engine.state().cacheRowsUsed);
  gauge("msm_cache_rows", "cache rows in all", () => engine.shape.cacheRows);
  gauge(
    "msm_prompt_tokens_copied",
    "tokens of prompts that were not run again",
    () => engine.state().promptTokensCopied,
  );
  const requests = new Counter({
    name: "msm_requests_total",
    help: "requests that were answered",
    labelNames: ["route", "status"],
    registers,
  });
  const seconds = new Histogram({
    name: "msm_request_seconds",
    help: "from a request to its last byte",
    labelNames: ["route"],
    registers,
    buckets: SECONDS,
  });
  const promptTokens = new Counter({ name: "msm_prompt_tokens_total", help: "tokens of prompts", registers });
  const tokens = new Counter({ name: "msm_completion_tokens_total", help: "tokens that were drawn", registers });
  return {
    answered(route, status, duration) {
      requests.inc({ route, status });
      seconds.observe({ route }, duration);
    },
    prompt: (count) => promptTokens.inc(count),
    token: () => tokens.inc(),
    text: () => registry.metrics(),
    contentType: registry.contentType,
    close: () => registry.clear(),
  };
}
