/**
 * Services through the API: looked up, created, changed. Edge: to the API.
 */
import { readFile } from "node:fs/promises";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { type Context, fetchRow, fetchRows, inner, textOf } from "../context.js";
import type { Row } from "../output/table.js";
import { registryHeaders } from "../registry-auth-file.js";
import type { Lookups } from "./create-spec.js";
import type { Json } from "./flag-values.js";

/** What service flags refer to by name. */
export function lookupsOf(context: Context): Lookups {
  const idsByName = async (path: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> => {
    const rows = await fetchRows(context, path, { filters: JSON.stringify({ names }) });
    return new Map(rows.map((row) => [textOf(inner(row, "Spec")["Name"]), textOf(row["ID"])]));
  };
  return {
    secretIds: (names) => idsByName("/secrets", names),
    configIds: (names) => idsByName("/configs", names),
    readFile: async (path) => {
      try {
        return await readFile(path, "utf8");
      } catch (error) {
        throw new InvalidArgumentError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
      }
    },
  };
}

export const fetchService = (context: Context, name: string): Promise<Row> =>
  fetchRow(context, `/services/${encodeURIComponent(name)}`);

function printWarnings(context: Context, answer: unknown): void {
  const warnings = (answer as Row | undefined)?.["Warnings"];
  for (const warning of Array.isArray(warnings) ? warnings : []) context.note(`Warning: ${textOf(warning)}`);
}

const imageOf = (spec: Json | Row): string => textOf(inner(spec, "TaskTemplate", "ContainerSpec")["Image"]);

export interface SendOptions {
  readonly withRegistryAuth: boolean;
}

/** @returns the id. */
export async function createService(context: Context, spec: Json, options: SendOptions): Promise<string> {
  const headers = await registryHeaders(options.withRegistryAuth, imageOf(spec));
  const answer = await context.client().call("POST", "/services/create", { body: spec, headers });
  printWarnings(context, answer);
  return textOf((answer as Row)["ID"]); // the API answers with an object
}

export interface UpdateOptions extends SendOptions {
  readonly rollback?: boolean;
}

/** Sends a changed specification for the version that was read. */
export async function updateService(
  context: Context,
  service: Row,
  spec: Json | Row,
  options: UpdateOptions,
): Promise<void> {
  const headers = await registryHeaders(options.withRegistryAuth, imageOf(spec));
  const query = {
    version: textOf(inner(service, "Version")["Index"]),
    registryAuthFrom: options.withRegistryAuth ? "" : options.rollback ? "previous-spec" : "spec",
    ...(options.rollback ? { rollback: "previous" } : {}),
  };
  const path = `/services/${encodeURIComponent(textOf(service["ID"]))}/update`;
  printWarnings(context, await context.client().call("POST", path, { query, body: spec, headers }));
}
