/**
 * /skein/v1/stacks: whole compose files, deployed as one. Edge: to what does it, which is loaded with the
 * first call. Shapes: proto/stack-api.ts.
 */
import type { Exchange, Reply } from "../http-exchange.js";
import type { Route } from "./route.js";
import type { StackHandlers, StackRoutesOptions } from "./stack-handlers.js";

const ROOT = "/skein/v1/stacks";

export function stackRoutes(options: StackRoutesOptions): Route[] {
  const route = (
    method: Route["method"],
    path: string,
    answer: (handlers: StackHandlers, exchange: Exchange) => Promise<Reply | undefined>,
  ): Route => ({
    method,
    path: `${ROOT}${path}`,
    handle: async (exchange) => {
      const { StackHandlers } = await import("./stack-handlers.js"); // seldom needed
      return answer(new StackHandlers(options), exchange);
    },
  });
  return [
    route("GET", "", (handlers) => handlers.list()),
    route("GET", "/:name", (handlers, exchange) => handlers.state(exchange)),
    route("POST", "/:name", (handlers, exchange) => handlers.deploy(exchange)),
    route("DELETE", "/:name", (handlers, exchange) => handlers.remove(exchange)),
    route("POST", "/:name/plan", (handlers, exchange) => handlers.plan(exchange)),
    route("POST", "/:name/rollback", (handlers, exchange) => handlers.rollback(exchange)),
    route("GET", "/:name/progress", (handlers, exchange) => handlers.progress(exchange)),
    route("GET", "/:name/revisions", (handlers, exchange) => handlers.revisions(exchange)),
    route("GET", "/:name/revisions/:number", (handlers, exchange) => handlers.revision(exchange)),
    route("GET", "/:name/diff", (handlers, exchange) => handlers.diff(exchange)),
  ];
}
