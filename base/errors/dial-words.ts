/**
 * A connection that could not be made, in the words that clients of Docker know. Pure.
 */
import { messageOf } from "./errors.js";

/** @param error of node:net, node:http. @returns its own words where there are no better ones. */
export function dialWords(error: unknown): string {
  const last: unknown = error instanceof AggregateError ? error.errors.at(-1) : error;
  if (!(last instanceof Error) || !("code" in last)) return messageOf(error);
  if (last.code !== "ECONNREFUSED" || !("address" in last) || !("port" in last)) return messageOf(error);
  const address = String(last.address);
  const host = address.includes(":") ? `[${address}]` : address;
  return `dial tcp ${host}:${String(last.port)}: connect: connection refused`;
}
