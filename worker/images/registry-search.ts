/**
 * Search in a registry's index. Pure over the registry client.
 * Source: the index's search endpoint (/v1/search), which the stock daemon uses; other registries seldom
 * have it.
 */
import {
  DataLossError,
  InternalError,
  InvalidArgumentError,
  NotFoundError,
} from "../../base/errors/errors.js";
import { asObject } from "./image-manifest.js";
import type { ImageWorkshop } from "./image-store.js";
import type { RegistryClient } from "./registry-client.js";

const LIMIT_DEFAULT = 25;
const LIMIT_MAX = 100;

type SearchOptions = Parameters<ImageWorkshop["search"]>[1];

/** @throws {InvalidArgumentError} the limit; {DataLossError} an answer that is none. */
export async function searchRegistry(
  client: RegistryClient,
  term: string,
  options: SearchOptions,
): ReturnType<ImageWorkshop["search"]> {
  const limit = options.limit === 0 ? LIMIT_DEFAULT : options.limit;
  if (limit < 1 || limit > LIMIT_MAX)
    throw new InvalidArgumentError(`Limit ${limit} is outside the range of [1, ${LIMIT_MAX}]`);
  if (term.includes("://")) throw new InvalidArgumentError(`invalid repository name: ${term}`);
  const { domain, name } = splitTerm(term);
  const query = new URLSearchParams({ q: name, n: String(limit) });
  const { auth, signal } = options;
  const answer = await client
    .getJson(domain, `/v1/search?${query.toString()}`, { auth, signal })
    .catch((error: unknown) => {
      if (!(error instanceof NotFoundError)) throw error;
      throw new InternalError("Unexpected status code 404", { cause: error }); // most have no search
    });
  const json = asObject(answer);
  const results = json?.["results"];
  if (!Array.isArray(results)) throw new DataLossError(`the search of ${domain} answered without results`);
  return results.slice(0, limit).map((value) => {
    const one = asObject(value) ?? {};
    return {
      name: textOf(one["name"]),
      description: textOf(one["description"]),
      stars: typeof one["star_count"] === "number" ? one["star_count"] : 0,
      official: one["is_official"] === true,
    };
  });
}

/** "registry.example/term" asks that registry; all else, and library/, docker.io. */
function splitTerm(term: string): { domain: string; name: string } {
  const slash = term.indexOf("/");
  const first = slash < 0 ? "" : term.slice(0, slash);
  if (!/[.:]/.test(first) && first !== "localhost")
    return { domain: "docker.io", name: term.replace(/^library\//, "") };
  const name = term.slice(slash + 1);
  if (first === "docker.io" || first === "index.docker.io")
    return { domain: "docker.io", name: name.replace(/^library\//, "") };
  return { domain: first, name };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
