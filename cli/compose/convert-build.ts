/**
 * What a service's `build` asks of the engine: a call of POST /build. Pure.
 * The names are those of the Engine API's query; what the engine's builder cannot do is refused by name.
 */
import { given } from "../service/flag-values.js";
import { bytesOf, nonEmpty } from "./convert-values.js";
import type { BuildDoc, Environment, ServiceDoc } from "./model.js";

export interface StackBuild {
  /** Key of the service. */
  readonly service: string;
  /** The name under which the service's image is wanted. */
  readonly image: string;
  /** A folder, or an address that the engine fetches; "": that of the file that asks for it. */
  readonly context: string;
  readonly remote: boolean;
  /** Text of the Dockerfile, instead of a file of the context. */
  readonly dockerfileInline?: string;
  /** Of POST /build. */
  readonly query: Readonly<Record<string, string | readonly string[]>>;
}

const json = (value: object | undefined): string | undefined =>
  value === undefined ? undefined : JSON.stringify(value);

/** Arguments without value are those of the builder's own environment: the caller's, when it has them. */
const argumentsOf = (args: Environment | undefined): Environment | undefined => nonEmpty(args);

function ulimits(limits: BuildDoc["ulimits"]): object | undefined {
  const list = Object.entries(limits ?? {}).map(([Name, limit]) =>
    typeof limit === "number"
      ? { Name, Soft: limit, Hard: limit }
      : { Name, Soft: limit.soft, Hard: limit.hard },
  );
  return nonEmpty(list);
}

/** A context that is no path of this machine. */
export const isRemote = (context: string): boolean =>
  /^(https?:\/\/|git(@|:\/\/)|ssh:\/\/|github\.com\/)/.test(context);

/** @throws {InvalidArgumentError} */
export function buildOf(key: string, service: ServiceDoc, image: string): StackBuild | undefined {
  const { build } = service;
  if (build === undefined) return undefined;
  const context = build.context ?? "";
  const query = given({
    t: [image, ...(build.tags ?? [])],
    dockerfile: build.dockerfile_inline === undefined ? build.dockerfile : undefined,
    buildargs: json(argumentsOf(build.args)),
    labels: json(nonEmpty(build.labels)),
    cachefrom: json(nonEmpty(build.cache_from)),
    nocache: build.no_cache === true ? "1" : undefined,
    pull: build.pull === true ? "1" : undefined,
    networkmode: build.network,
    target: build.target,
    shmsize: bytesOf(build.shm_size, "shm_size")?.toString(),
    extrahosts: nonEmpty(build.extra_hosts),
    isolation: build.isolation,
    ulimits: json(ulimits(build.ulimits)),
    platform: build.platforms?.[0] ?? service.platform,
  });
  return {
    service: key,
    image,
    context,
    remote: isRemote(context),
    ...(build.dockerfile_inline === undefined ? {} : { dockerfileInline: build.dockerfile_inline }),
    // `given` dropped what is absent; the values above are texts and lists of texts
    query: query as Readonly<Record<string, string | readonly string[]>>,
  };
}
