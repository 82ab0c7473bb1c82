/** @file Every route. */
import { VERSION } from "../base/package.js";
import { chatCompletions } from "./chat-completions.js";
import { completions } from "./completions.js";
import { toApiError } from "./errors.js";
import { finish, sendJson } from "./events.js";
import { type Call, get, post, type Route } from "./handler.js";
import type { Metrics } from "./metrics.js";
import type { ServedModel } from "./models.js";
import { openapi } from "./openapi.js";
import {
  chatSchema,
  completionSchema,
  detokenizeSchema,
  loadAdapterSchema,
  tokenizeSchema,
  unloadAdapterSchema,
} from "./schemas.js";
import { detokenize, tokenize, tokenizerInfo } from "./tokens.js";

/** `isDraining` says whether the server takes no more requests. */
export function routesOf(metrics: Metrics, isDraining: () => boolean): Route[] {
  const routes: Route[] = [
    get("/v1/models", "the base and its adapters", (call) =>
      sendJson(call.response, 200, { object: "list", data: call.models.list().map((one) => modelCard(call, one)) }),
    ),
    get("/v1/models/{id}", "one of them", (call, id) =>
      sendJson(call.response, 200, modelCard(call, call.models.get(id))),
    ),
    post("/v1/chat/completions", "an answer to a chat", chatSchema, chatCompletions),
    post("/v1/completions", "texts or token ids, continued", completionSchema, completions),
    post("/v1/load_lora_adapter", "serves one more adapter", loadAdapterSchema, async (call, body) => {
      try {
        const { name } = await call.models.loadAdapter(body.lora_name, body.lora_path);
        sendJson(call.response, 200, { status: "ok", model: name });
      } catch (error) {
        throw toApiError(error, "lora_path");
      }
    }),
    post("/v1/unload_lora_adapter", "an adapter goes", unloadAdapterSchema, (call, { lora_name }) => {
      call.models.unloadAdapter(lora_name);
      sendJson(call.response, 200, { status: "ok", model: lora_name });
    }),
    get("/health", "whether it answers", ({ models, response }) => {
      const problem = isDraining() ? "shutting down" : models.engine.failure;
      sendJson(response, problem === null ? 200 : 503, { status: problem ?? "ok" });
    }),
    get("/version", "of train-msm", ({ response }) => sendJson(response, 200, { version: VERSION })),
    get("/metrics", "for Prometheus", async ({ response }) => {
      const text = await metrics.text();
      response.writeHead(200, { "content-type": metrics.contentType });
      finish(response, text);
    }),
    post("/tokenize", "ids of a text or a chat", tokenizeSchema, tokenize),
    post("/detokenize", "the text of ids", detokenizeSchema, detokenize),
    get("/tokenizer_info", "special tokens and chat template", tokenizerInfo),
    get("/openapi.json", "this", ({ response }) => sendJson(response, 200, openapi(routes))),
  ];
  return routes;
}

function modelCard({ models }: Call, { name, root, adapter, created }: ServedModel): unknown {
  return {
    id: name,
    object: "model",
    created,
    owned_by: "train-msm",
    root,
    parent: adapter ? models.base().name : null,
    max_model_len: models.plan.maxModelLen,
  };
}
