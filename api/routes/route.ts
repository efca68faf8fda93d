/**
 * What a family of routes is: method and path to handler. Pure (types).
 */
import type { Exchange, Reply } from "../http-exchange.js";

/** Answers with a reply, or undefined when it has streamed its answer itself. */
export type Handler = (exchange: Exchange) => Promise<Reply | undefined>;

export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE" | "HEAD";
  /** Without version prefix; parameters as `:name`. */
  readonly path: string;
  readonly handle: Handler;
}
