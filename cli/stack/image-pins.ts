/**
 * Which digest each image of a stack is pinned to: what the registry says now, or what the service has
 * already. Pure.
 * Invariant: a service whose image is written as before never loses its digest because a registry is away,
 * so nothing restarts for that. Source: Docker's `--resolve-image`, and how its client pins.
 */
import type { StackServiceBody } from "../../proto/stack-api.js";
import { IMAGE_LABEL } from "../compose/naming.js";
import { inner, textOf } from "../context.js";
import type { Row } from "../output/table.js";
import type { Json } from "../service/flag-values.js";

export const RESOLVE_WORDS = ["always", "changed", "never"] as const;
export type ResolveWhen = (typeof RESOLVE_WORDS)[number];

/** What the registry answers about a name. */
export interface RemoteImage {
  readonly digest: string;
  /** As Placement.Platforms has them. */
  readonly platforms: readonly Json[];
}

/** An image, or why nothing is known of it. */
export type Lookup = RemoteImage | { readonly failure: string };

const container = (spec: Json | Row): Row => inner(spec, "TaskTemplate", "ContainerSpec");
export const imageOf = (service: StackServiceBody): string => textOf(container(service.Spec)["Image"]);

const isPinned = (image: string): boolean => /@sha256:/.test(image);

/** "name:tag" and its digest; a name without a tag has latest. */
export function pinned(image: string, digest: string): string {
  const last = image.slice(image.lastIndexOf("/") + 1);
  return `${image}${last.includes(":") ? "" : ":latest"}@${digest}`;
}

/** Of a container whose image was built and not pushed: another build is another specification. */
export const BUILT_LABEL = "skein.image.id";

/** What the cluster's service of that name was made from, when its image is written the same. */
function sameBefore(service: StackServiceBody, existing: ReadonlyMap<string, Row>): Row | undefined {
  const before = inner(existing.get(textOf(service.Spec["Name"])), "Spec");
  const text = textOf(inner(before, "Labels")[IMAGE_LABEL]) || textOf(container(before)["Image"]);
  return text === imageOf(service) ? before : undefined;
}

const isKept = (before: Row | undefined): before is Row =>
  before !== undefined && isPinned(textOf(container(before)["Image"]));

export interface PinOptions {
  readonly when: ResolveWhen;
  /** Services the stack has now, as the API lists them. */
  readonly existing: readonly Row[];
  /** Ids, by name, of images that no registry is asked for: they were built here and not pushed. */
  readonly local: ReadonlyMap<string, string>;
  /** Images whose names come from `build` alone: no registry has them. @default none */
  readonly unlisted?: ReadonlySet<string>;
}

const byName = (existing: readonly Row[]): ReadonlyMap<string, Row> =>
  new Map(existing.map((service) => [textOf(inner(service, "Spec")["Name"]), service]));

/** Images to ask a registry about, each once, in the order of the services. */
export function imagesToLookUp(services: readonly StackServiceBody[], options: PinOptions): string[] {
  if (options.when === "never") return [];
  const existing = byName(options.existing);
  const wanted = services.filter((service) => {
    const image = imageOf(service);
    if (image === "" || isPinned(image) || options.local.has(image)) return false;
    if (options.unlisted?.has(image) === true) return false;
    return options.when === "always" || !isKept(sameBefore(service, existing));
  });
  return [...new Set(wanted.map(imageOf))];
}

export interface Pinned {
  readonly services: readonly StackServiceBody[];
  readonly warnings: readonly string[];
}

export function pinImages(
  services: readonly StackServiceBody[],
  looked: ReadonlyMap<string, Lookup>,
  options: PinOptions,
): Pinned {
  const existing = byName(options.existing);
  const unpinned = new Map<string, string>();
  const kept = new Map<string, string>();
  const out = services.map((service) => {
    const image = imageOf(service);
    if (image === "" || isPinned(image)) return service;
    const builtId = options.local.get(image);
    if (builtId !== undefined) return withBuiltId(service, builtId);
    const before = sameBefore(service, existing);
    const sameBuild = (): StackServiceBody =>
      withBuiltId(service, textOf(inner(container(before ?? {}), "Labels")[BUILT_LABEL]));
    if (options.when === "never") return sameBuild();
    const found = looked.get(image);
    if (found !== undefined && "digest" in found)
      return withImage(service, pinned(image, found.digest), found.platforms);
    if (!isKept(before)) {
      if (found !== undefined) unpinned.set(image, found.failure);
      return sameBuild();
    }
    if (found !== undefined) kept.set(image, found.failure);
    const platforms = inner(before, "TaskTemplate", "Placement")["Platforms"];
    return withImage(
      service,
      textOf(container(before)["Image"]),
      Array.isArray(platforms) ? (platforms as Json[]) : [], // the API's own list
    );
  });
  return {
    services: out,
    warnings: [
      ...warningsOf(kept, "stays on the digest it has"),
      ...warningsOf(unpinned, "is not pinned to a digest: nodes may run different versions of it"),
    ],
  };
}

/** One line for images that failed alike. */
function warningsOf(images: ReadonlyMap<string, string>, what: string): string[] {
  const byReason = new Map<string, string[]>();
  for (const [image, reason] of images) byReason.set(reason, [...(byReason.get(reason) ?? []), image]);
  return [...byReason].map(([reason, names]) => `${names.join(", ")} ${what} (${reason})`);
}

/** @param id "": it is not known that it was built here. */
function withBuiltId(service: StackServiceBody, id: string): StackServiceBody {
  if (id === "") return service;
  const task = inner(service.Spec, "TaskTemplate");
  const { Labels, ...rest } = container(service.Spec);
  const labels = { ...(Labels as Row | undefined), [BUILT_LABEL]: id }; // a map of the API's body
  return {
    ...service,
    Spec: { ...service.Spec, TaskTemplate: { ...task, ContainerSpec: { ...rest, Labels: labels } } },
  };
}

function withImage(service: StackServiceBody, image: string, platforms: readonly Json[]): StackServiceBody {
  const task = inner(service.Spec, "TaskTemplate");
  const placement = inner(task, "Placement");
  const own = placement["Platforms"];
  const addPlatforms = platforms.length > 0 && !(Array.isArray(own) && own.length > 0);
  return {
    ...service,
    Spec: {
      ...service.Spec,
      TaskTemplate: {
        ...task,
        ContainerSpec: { ...container(service.Spec), Image: image },
        ...(addPlatforms ? { Placement: { ...placement, Platforms: platforms } } : {}),
      },
    },
  };
}
