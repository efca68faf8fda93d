/**
 * `skein __complete WORD…`: what may stand for the last word. Edge: to the daemon, the contexts, the process.
 * Prints VALUE<TAB>DESCRIPTION lines, then one line that begins with ":" and says how to go on: "files" when
 * files may stand there, "nospace" when the word goes on behind the value.
 * Invariant: says nothing and ends well, whatever fails: a TAB key has no place for errors. Bounds: the
 * daemon has 500 ms; at most 500 of those that fit are told.
 */

import { openClient } from "../connection/open-client.js";
import { type GlobalFlags, resolveEndpoint } from "../connection/resolve-endpoint.js";
import { type Context, inner, textOf } from "../context.js";
import type { ApiClient } from "../http-client.js";
import type { Row } from "../output/table.js";
import { programFor } from "../program.js";
import { type Candidate, type Completion, completionOf, type ObjectKind } from "./complete.js";

/** Where the way to the daemon is long, as with ssh, SKEIN_COMPLETION_TIMEOUT_MS may say more. */
const DAEMON_TIMEOUT_MS = 500;
const NAMES_MAX = 500;

type Env = Readonly<Record<string, string | undefined>>;

const unused = (): never => {
  throw new Error("no command runs while one is completed");
};
const NO_CONTEXT: Context = { client: unused, print: unused, note: unused, terminal: false };

interface Listing {
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  names(row: Row): readonly string[];
}

const specName = (row: Row): string[] => [textOf(inner(row, "Spec")["Name"])];
const stringsOf = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

const LISTINGS: Readonly<Record<Exclude<ObjectKind, "context">, Listing>> = {
  service: { path: "/services", names: specName },
  node: { path: "/nodes", names: (row) => [textOf(inner(row, "Description")["Hostname"])] },
  stack: {
    path: "/services",
    names: (row) => [textOf(inner(row, "Spec", "Labels")["com.docker.stack.namespace"])],
  },
  network: { path: "/networks", names: (row) => [textOf(row["Name"])] },
  secret: { path: "/secrets", names: specName },
  config: { path: "/configs", names: specName },
  container: {
    path: "/containers/json",
    query: { all: "1" },
    names: (row) => stringsOf(row["Names"]).map((name) => name.replace(/^\//, "")),
  },
  image: {
    path: "/images/json",
    names: (row) => stringsOf(row["RepoTags"]).filter((name) => !name.includes("<none>")),
  },
};

async function contextNames(env: Env): Promise<string[]> {
  const { ContextStore } = await import("../connection/fs-context-store.js");
  return [
    "default",
    ...ContextStore.ofUser(env)
      .list()
      .map(({ name }) => name),
  ];
}

async function objectNames(kind: ObjectKind, flags: GlobalFlags, env: Env): Promise<string[]> {
  if (kind === "context") return contextNames(env);
  const { path, query, names } = LISTINGS[kind];
  let client: ApiClient | undefined;
  try {
    client = await openClient(await resolveEndpoint(flags, env), { asks: false });
    const signal = AbortSignal.timeout(Number(env["SKEIN_COMPLETION_TIMEOUT_MS"]) || DAEMON_TIMEOUT_MS);
    const answer = await client.call("GET", path, { signal, ...(query === undefined ? {} : { query }) });
    const rows = Array.isArray(answer) ? (answer as Row[]) : []; // the API's listings are arrays of objects
    return [...new Set(rows.flatMap(names))].filter((name) => name !== "").sort();
  } finally {
    client?.close();
  }
}

/** bash puts words into the line as they are: none may mean anything to a shell. */
const isPlain = (name: string): boolean => /^[\p{L}\p{N}_.:/@+=,%-]+$/u.test(name) && !name.startsWith("-");

async function candidatesOf(completion: Completion, env: Env): Promise<Candidate[]> {
  const { candidates, objects, global } = completion;
  if (objects === undefined) return [...candidates];
  const flags = global as GlobalFlags & { readonly config?: string }; // strings and switches, by name
  const { config } = flags;
  const names = await objectNames(
    objects,
    flags,
    config === undefined ? env : { ...env, SKEIN_CONFIG: config },
  );
  const suffix = completion.openEnded === true ? "=" : "";
  return [...candidates, ...names.filter(isPlain).map((name) => ({ value: `${name}${suffix}` }))];
}

/** The lines to print. */
export async function completionLines(words: readonly string[], env: Env): Promise<string[]> {
  const program = await programFor(NO_CONTEXT, words.slice(0, -1));
  const completion = completionOf(program, words);
  const { prefix } = completion;
  const found = await candidatesOf(completion, env);
  const current = words.at(-1) ?? "";
  const fitting = found.filter(({ value }) => `${prefix}${value}`.startsWith(current));
  const directives = [
    ...(completion.files === true ? ["files"] : []),
    ...(completion.openEnded === true ? ["nospace"] : []),
  ];
  return [
    ...fitting.slice(0, NAMES_MAX).map(({ value, description = "" }) => `${prefix}${value}\t${description}`),
    `:${directives.join(",")}`,
  ];
}

export async function complete(words: readonly string[], env: Env): Promise<void> {
  let lines: string[];
  try {
    lines = await completionLines(words, env);
  } catch {
    lines = [":"]; // as promised above: the shell shows nothing
  }
  process.stdout.write(`${lines.join("\n")}\n`);
}
