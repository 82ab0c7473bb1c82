/** @file The OpenAPI document, from the routes and their schemas. */
import { z } from "zod";
import { VERSION } from "../base/package.js";
import type { Route } from "./handler.js";

export function openapi(routes: readonly Route[]): unknown {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const { method, path, summary, body } of routes) {
    const schema = body && z.toJSONSchema(body, { io: "input", unrepresentable: "any" });
    paths[path] = {
      ...paths[path],
      [method.toLowerCase()]: {
        summary,
        ...(path.includes("{id}") && {
          parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }],
        }),
        ...(schema && { requestBody: { required: true, content: { "application/json": { schema } } } }),
        ...(path.startsWith("/v1/") && { security: [{ key: [] }] }),
        responses: {
          "200": { description: "as OpenAI's and vLLM's" },
          default: { description: "{error: {message, type, param, code}}" },
        },
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: { title: "train-msm serve", version: VERSION },
    paths,
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
  };
}
