/**
 * A deployment's request as the daemon takes it: the definition with images pinned and credentials beside
 * them. Edge: to the API.
 */
import type { StackRequest, StackServiceBody } from "../../proto/stack-api.js";
import type { Context } from "../context.js";
import type { Row } from "../output/table.js";
import { registryAuthFor } from "../registry-auth-file.js";
import { askedBy, type StackProject } from "./fs-stack-project.js";
import { lookUpImages } from "./http-image-lookup.js";
import { fetchStack } from "./http-stack.js";
import { imageOf, imagesToLookUp, pinImages, type ResolveWhen } from "./image-pins.js";

export interface RequestOptions {
  readonly resolveImage: ResolveWhen;
  readonly withRegistryAuth: boolean;
  readonly prune: boolean;
  readonly onFailure?: "rollback" | "keep";
  readonly timeoutMs?: number;
  /** Ids of images built here and not pushed, by name. @default none */
  readonly local?: ReadonlyMap<string, string>;
}

export async function stackRequest(
  context: Context,
  project: StackProject,
  options: RequestOptions,
): Promise<StackRequest> {
  const { definition, stack } = project;
  const { resolveImage: when, withRegistryAuth, local = new Map() } = options;
  const wanted = definition.Services;
  const unlisted = new Set(
    project.builds
      .filter(({ service }) => project.doc.services[service]?.image === undefined)
      .map(({ image }) => image),
  );
  const lookUp = (existing: readonly Row[]): ReturnType<typeof lookUpImages> =>
    lookUpImages(context, imagesToLookUp(wanted, { when, existing, local, unlisted }), { withRegistryAuth });
  // without digests only the ids of images built before matter
  const needsNone = when === "never" && project.builds.length === 0;
  const listing = needsNone ? Promise.resolve([]) : fetchStack(context, "services", stack);
  const [existing, looked] = await Promise.all([
    listing,
    when === "changed" ? listing.then(lookUp) : lookUp([]),
  ]);
  const { services, warnings } = pinImages(wanted, looked, { when, existing, local });
  for (const warning of warnings) context.note(`Warning: ${warning}`);
  return {
    ...definition,
    Services: withRegistryAuth ? await withCredentials(services) : services,
    Prune: options.prune,
    OnFailure: options.onFailure ?? "rollback",
    ...(options.timeoutMs === undefined ? {} : { Timeout: options.timeoutMs }),
    By: askedBy(),
  };
}

async function withCredentials(services: readonly StackServiceBody[]): Promise<StackServiceBody[]> {
  return Promise.all(
    services.map(async (service) => {
      const auth = await registryAuthFor(imageOf(service));
      return auth === undefined ? service : { ...service, RegistryAuth: auth };
    }),
  );
}
