/**
 * What is asked of registries without images coming or going: /auth, /images/search, /distribution.
 * Edge: to the node's image store. Source: Docker Engine API 1.24 to 1.51.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ImageWorkshop } from "../../proto/engine/images.js";
import { omitEmpty } from "../convert/shape.js";
import { parseFilters } from "../filters.js";
import { registryAuthIn, withRegistryRefusal } from "../registry-auth.js";
import type { Route } from "./route.js";

/** A lookup of a remote digest holds up `service create`; the client goes on without it. */
const DESCRIBE_TIMEOUT_MS = 3_000;
const SEARCH_FILTERS = ["is-automated", "is-official", "stars"];

export function registryRoutes({ images }: { images: ImageWorkshop }): Route[] {
  return [
    {
      method: "POST",
      path: "/auth",
      handle: async (exchange) => {
        const body = await exchange.body();
        const token = await images.authenticate(
          {
            username: body.string("username"),
            password: body.string("password"),
            identityToken: body.string("identitytoken"),
            registryToken: body.string("registrytoken"),
            serverAddress: body.string("serveraddress"),
          },
          { signal: exchange.gone() },
        );
        return { status: 200, json: { Status: "Login Succeeded", IdentityToken: token } };
      },
    },
    {
      method: "GET",
      path: "/images/search",
      handle: async (exchange) => {
        const { query } = exchange;
        const filters = parseFilters(query.get("filters"), SEARCH_FILTERS);
        const limitText = query.get("limit") ?? "";
        if (limitText !== "" && !/^-?\d+$/.test(limitText))
          throw new InvalidArgumentError("invalid limit specified");
        const auth = registryAuthIn(exchange.header("x-registry-auth"));
        const isOfficial = flagOf(filters.get("is-official"), "is-official");
        const isAutomated = flagOf(filters.get("is-automated"), "is-automated");
        const stars = Math.max(0, ...(filters.get("stars") ?? []).map(starsOf));
        const found = await images.search(query.get("term") ?? "", {
          limit: Number(limitText || 0),
          ...(auth === undefined ? {} : { auth }),
          signal: exchange.gone(),
        });
        const results = found.filter(
          (one) =>
            (isOfficial === undefined || one.official === isOfficial) &&
            isAutomated !== true &&
            one.stars >= stars,
        );
        return {
          status: 200,
          json: results.map((one) => ({
            star_count: one.stars,
            is_official: one.official,
            name: one.name,
            is_automated: false,
            description: one.description,
          })),
        };
      },
    },
    {
      method: "GET",
      path: "/distribution/:name/json",
      handle: async (exchange) => {
        const auth = registryAuthIn(exchange.header("x-registry-auth"));
        const signal = exchange.gone({ withinMs: DESCRIBE_TIMEOUT_MS });
        const options = { ...(auth === undefined ? {} : { auth }), signal };
        const remote = await withRegistryRefusal(images.describeRemote(exchange.param("name"), options));
        return {
          status: 200,
          json: {
            Descriptor: { mediaType: remote.mediaType, digest: remote.digest, size: remote.sizeBytes },
            Platforms: remote.platforms.map(({ architecture, os, variant }) =>
              omitEmpty({ architecture, os, variant }),
            ),
          },
        };
      },
    },
  ];
}

function flagOf(values: readonly string[] | undefined, key: string): boolean | undefined {
  if (values === undefined || values.length === 0) return undefined;
  const [value = ""] = values;
  if (["true", "1"].includes(value)) return true;
  if (["false", "0"].includes(value)) return false;
  throw new InvalidArgumentError(`invalid filter '${key}=[${values.join(" ")}]'`);
}

function starsOf(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError(`invalid filter 'stars=${text}'`);
  return Number(text);
}
