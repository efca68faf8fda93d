/**
 * Asks registries, through the daemon, which digest images have. Edge: to the API.
 * Bounds: LOOKUPS_MAX at a time. A registry that does not answer is not asked for its other images, so one
 * that is away costs its timeout once and not once for each image.
 */
import { messageOf } from "../../base/errors/errors.js";
import { type Context, inner, textOf } from "../context.js";
import { ApiError } from "../http-client.js";
import type { Row } from "../output/table.js";
import { registryHeaders, registryOf } from "../registry-auth-file.js";
import type { Json } from "../service/flag-values.js";
import type { Lookup, RemoteImage } from "./image-pins.js";

const LOOKUPS_MAX = 16;

export async function lookUpImages(
  context: Context,
  images: readonly string[],
  options: { readonly withRegistryAuth: boolean },
): Promise<ReadonlyMap<string, Lookup>> {
  const found = new Map<string, Lookup>();
  const away = new Map<string, string>();
  const queue = [...images];
  const work = async (): Promise<void> => {
    for (let image = queue.shift(); image !== undefined; image = queue.shift()) {
      const registry = registryOf(image);
      const known = away.get(registry);
      if (known !== undefined) {
        found.set(image, { failure: known });
        continue;
      }
      try {
        found.set(image, await lookUp(context, image, options.withRegistryAuth));
      } catch (error) {
        const failure = messageOf(error);
        found.set(image, { failure });
        if (!(error instanceof ApiError) || error.status >= 500) away.set(registry, failure);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(LOOKUPS_MAX, images.length) }, work));
  return found;
}

async function lookUp(context: Context, image: string, withRegistryAuth: boolean): Promise<RemoteImage> {
  const headers = await registryHeaders(withRegistryAuth, image);
  const path = `/distribution/${encodeURIComponent(image)}/json`;
  const answer = (await context.client().call("GET", path, { headers })) as Row; // an object
  const digest = textOf(inner(answer, "Descriptor")["digest"]);
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error("the registry gave no digest");
  const listed = answer["Platforms"];
  const platforms = Array.isArray(listed) ? (listed as Row[]) : []; // the API's list
  return {
    digest,
    platforms: platforms
      .map(
        (platform): Json => ({ Architecture: textOf(platform["architecture"]), OS: textOf(platform["os"]) }),
      )
      // attestations stand in an index as platform unknown
      .filter(({ OS, Architecture }) => !["", "unknown"].includes(textOf(OS)) && Architecture !== ""),
  };
}
