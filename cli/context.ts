/**
 * What every command works with. Edge: to the process's streams.
 */
import { readFile } from "node:fs/promises";
import { InvalidArgumentError, messageOf } from "../base/errors/errors.js";
import type { ApiClient } from "./http-client.js";
import type { Screen } from "./output/process-screen.js";
import type { Row } from "./output/table.js";

export interface Context {
  readonly client: () => ApiClient;
  /** A line on standard output. */
  print(text: string): void;
  /** A line on standard error. */
  note(text: string): void;
  readonly terminal: boolean;
  /** @default no terminal */
  readonly screen?: Screen;
}

/** The answer of a listing endpoint. */
export async function fetchRows(
  context: Context,
  path: string,
  query: Record<string, string> = {},
): Promise<Row[]> {
  const answer = await context.client().call("GET", path, { query });
  return Array.isArray(answer) ? (answer as Row[]) : []; // the API's listings are arrays of objects
}

export async function fetchRow(context: Context, path: string): Promise<Row> {
  return (await context.client().call("GET", path)) as Row; // details are objects
}

/** ["a=b", "label=c"] as the API's filters. @throws {InvalidArgumentError} */
export function filtersQuery(filters: readonly string[] = []): Record<string, string> {
  if (filters.length === 0) return {};
  const grouped: Record<string, string[]> = {};
  for (const filter of filters) {
    const at = filter.indexOf("=");
    if (at <= 0) throw new InvalidArgumentError(`--filter must be KEY=VALUE, got ${JSON.stringify(filter)}`);
    const key = filter.slice(0, at);
    grouped[key] = [...(grouped[key] ?? []), filter.slice(at + 1)];
  }
  return { filters: JSON.stringify(grouped) };
}

/** A nested object of an answer; empty when absent. */
export function inner(row: Row | undefined, ...path: readonly string[]): Row {
  let current: unknown = row;
  for (const key of path)
    current = typeof current === "object" && current !== null ? (current as Row)[key] : undefined;
  return typeof current === "object" && current !== null ? (current as Row) : {};
}

export function textOf(value: unknown): string {
  return value === undefined || value === null ? "" : String(value);
}

/** A file, or standard input for "-". */
export async function readInput(path: string): Promise<Buffer> {
  if (path !== "-") {
    try {
      return await readFile(path);
    } catch (error) {
      throw new InvalidArgumentError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
    }
  }
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer); // no encoding is set
  return Buffer.concat(chunks);
}

/**
 * Runs `each` on all names; prints each name that worked; reports all failures.
 * @throws {Error} after the last, when one failed.
 */
export async function forEachName(
  context: Context,
  names: readonly string[],
  each: (name: string) => Promise<string | undefined>,
): Promise<void> {
  const failures: string[] = [];
  for (const name of names) {
    try {
      const line = await each(name);
      if (line !== undefined) context.print(line);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  if (failures.length > 0) throw new Error(failures.join("\n"));
}
