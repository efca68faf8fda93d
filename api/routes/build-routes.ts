/**
 * /build: the classic builder's protocol, JSON lines as the build goes. Edge: to the node's image builder.
 * Invariant: what is asked for and not done is refused by name; an error before the first line is a status, a
 * later one is a line. Source: Docker Engine API 1.24 to 1.51, ImageBuild, BuildPrune, BuildCancel.
 */
import {
  InternalError,
  InvalidArgumentError,
  messageOf,
  NotImplementedError,
} from "../../base/errors/errors.js";
import type { BuildMessage, BuildRequest, ImageBuilder } from "../../proto/engine/build.js";
import type { RegistryAuth } from "../../proto/engine/images.js";
import { Fields } from "../convert/fields.js";
import { parseGoDuration } from "../convert/prune-filters.js";
import { parseTime } from "../convert/shape.js";
import { type Filters, parseFilters } from "../filters.js";
import type { Exchange } from "../http-exchange.js";
import type { Route } from "./route.js";

export interface BuildRoutesOptions {
  readonly builder: ImageBuilder;
  readonly nowMs: () => number;
  readonly onPruned?: (reclaimedBytes: number) => void;
}

/** Builds that can be cancelled by their id. */
const NAMED_BUILDS_MAX = 1_024;
/** `system prune` sends the labels it was given, which no record of the cache has. */
const PRUNE_FILTERS = [
  ...["until", "id", "parent", "type", "description", "inuse", "shared", "private"],
  ...["label", "label!"],
];

export function buildRoutes({ builder, nowMs, onPruned }: BuildRoutesOptions): Route[] {
  const named = new Map<string, AbortController>();
  return [
    {
      method: "POST",
      path: "/build",
      handle: async (exchange) => {
        const abort = new AbortController();
        const gone = exchange.gone();
        if (gone.aborted) abort.abort();
        gone.addEventListener("abort", () => abort.abort(), { once: true });
        const id = exchange.query.get("buildid") ?? "";
        if (id !== "" && named.size < NAMED_BUILDS_MAX) named.set(id, abort);
        try {
          await tell(exchange, builder.build(buildIn(exchange, abort.signal)));
        } finally {
          named.delete(id);
        }
        return undefined;
      },
    },
    {
      method: "POST",
      path: "/build/cancel",
      handle: async (exchange) => {
        const id = exchange.query.get("id") ?? "";
        if (id === "") throw new InternalError("build ID not provided");
        named.get(id)?.abort();
        return { status: 200 };
      },
    },
    {
      method: "POST",
      path: "/build/prune",
      handle: async (exchange) => {
        const filters = parseFilters(exchange.query.get("filters"), PRUNE_FILTERS);
        const [until] = filters.get("until") ?? [];
        const ago = until === undefined ? undefined : parseGoDuration(until);
        const untilMs =
          until === undefined ? undefined : ago === undefined ? parseTime(until) : nowMs() - ago;
        const keep = ["reserved-space", "keep-storage"].map((name) => wholeNumber(exchange, name));
        const ids = builder
          .cacheUsage()
          .filter((record) => matchesAll(record, filters))
          .map(({ id }) => id);
        const { deleted, reclaimedBytes } =
          ids.length === 0
            ? { deleted: [], reclaimedBytes: 0 }
            : await builder.pruneCache({
                all: exchange.flag("all"),
                keepBytes: Math.max(0, ...keep),
                untilMs,
                ids,
              });
        onPruned?.(reclaimedBytes);
        // Go's nil, where nothing was deleted
        const json = { CachesDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: reclaimedBytes };
        return { status: 200, json };
      },
    },
  ];
}

type CacheRecord = ReturnType<ImageBuilder["cacheUsage"]>[number];

/** Records are folders of RUN --mount=type=cache: Docker's type exec.cachemount, private, without parents. */
function matchesAll(record: CacheRecord, filters: Filters): boolean {
  const facts: Readonly<Record<string, string>> = {
    id: record.id,
    parent: record.parentId,
    type: "exec.cachemount",
    description: record.description,
    inuse: String(record.inUse),
    shared: String(record.shared),
    private: String(!record.shared),
  };
  return Object.entries(facts).every(([key, fact]) => {
    const wanted = filters.get(key);
    return wanted === undefined || wanted.includes(fact);
  });
}

async function tell(exchange: Exchange, messages: AsyncIterable<BuildMessage>): Promise<void> {
  let begun = false;
  const begin = (): void => {
    if (!begun) exchange.startStream("application/json");
    begun = true;
  };
  try {
    for await (const message of messages) {
      begin();
      if (!(await exchange.write(lineOf(message)))) break;
    }
    begin();
  } catch (error) {
    if (!begun) throw error;
    const text = messageOf(error);
    const code = Number(/returned a non-zero code: (\d+)$/.exec(text)?.[1] ?? 0);
    const detail = code === 0 ? { message: text } : { code, message: text };
    await exchange.write(`${JSON.stringify({ errorDetail: detail, error: text })}\r\n`);
  }
  exchange.response.end();
}

function lineOf(message: BuildMessage): string {
  switch (message.kind) {
    case "stream":
      return `${JSON.stringify({ stream: message.text })}\r\n`;
    case "built":
      return `${JSON.stringify({ aux: { ID: message.imageId } })}\r\n`;
    case "progress": {
      const { status, id, currentBytes, totalBytes } = message;
      const progressDetail =
        totalBytes === undefined ? {} : { current: currentBytes ?? 0, total: totalBytes };
      return `${JSON.stringify({ status, progressDetail, ...(id === undefined ? {} : { id }) })}\r\n`;
    }
  }
}

/** @throws {InvalidArgumentError} {NotImplementedError} */
function buildIn(exchange: Exchange, signal: AbortSignal): BuildRequest {
  const { query } = exchange;
  const text = (name: string): string => query.get(name) ?? "";
  const version = text("version");
  if (version !== "" && version !== "1")
    throw new NotImplementedError(
      `builder version ${version} (BuildKit) is not served by Skein: use the classic builder (DOCKER_BUILDKIT=0)`,
    );
  if (!["", "[]", "null"].includes(text("outputs")))
    throw new NotImplementedError("outputs of a build are not supported by Skein: they need BuildKit");
  if (!["", "default", "process"].includes(text("isolation")))
    throw new InvalidArgumentError(`Unsupported isolation: ${JSON.stringify(text("isolation"))}`);
  if (text("securityopt") !== "" && strings(text("securityopt"), "securityopt").length > 0)
    throw new InvalidArgumentError(
      "the daemon on this platform does not support setting security options on build",
    );
  const swap = wholeNumber(exchange, "memswap");
  const forceRemove = exchange.flag("forcerm");
  return {
    context: exchange.bytes(),
    dockerfile: text("dockerfile"),
    remote: text("remote") === "client-session" ? refuseSession() : text("remote"),
    tags: query.getAll("t").filter((tag) => tag !== ""),
    buildArgs: args(text("buildargs")),
    labels: labels(text("labels")),
    target: text("target"),
    platform: text("platform"),
    noCache: exchange.flag("nocache"),
    cacheFrom: text("cachefrom") === "" ? [] : strings(text("cachefrom"), "cachefrom"),
    pull: exchange.flag("pull"),
    remove: forceRemove || text("rm") === "" || exchange.flag("rm"),
    forceRemove,
    quiet: exchange.flag("q"),
    squash: exchange.flag("squash"),
    networkMode: text("networkmode"),
    extraHosts: query.getAll("extrahosts").flatMap((hosts) => (hosts === "" ? [] : hostsIn(hosts))),
    resources: {
      memoryBytes: wholeNumber(exchange, "memory"),
      swapBytes: swap === 0 ? undefined : swap,
      cpuShares: wholeNumber(exchange, "cpushares"),
      cpuPeriod: wholeNumber(exchange, "cpuperiod"),
      cpuQuota: wholeNumber(exchange, "cpuquota"),
      cpusetCpus: text("cpusetcpus"),
      cpusetMems: text("cpusetmems"),
      cgroupParent: text("cgroupparent"),
      shmSizeBytes: sharedMemory(wholeNumber(exchange, "shmsize")),
      ulimits: ulimits(text("ulimits")),
    },
    auths: authsIn(exchange.header("x-registry-config")),
    signal,
  };
}

function refuseSession(): never {
  throw new NotImplementedError("sessions (BuildKit) are not served by Skein: use the classic builder");
}

function sharedMemory(bytes: number): number {
  if (bytes < 0) throw new InvalidArgumentError("SHM size can not be less than 0");
  return bytes;
}

function wholeNumber(exchange: Exchange, name: string): number {
  const text = exchange.query.get(name) ?? "";
  return /^[+-]?\d{1,15}$/.test(text) ? Number(text) : 0; // Docker reads what is none as 0
}

function parsed(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InvalidArgumentError(`error reading ${what}: it must be JSON`);
  }
}

function strings(text: string, what: string): readonly string[] {
  const value = parsed(text, what);
  if (value === null) return [];
  if (!Array.isArray(value) || !value.every((one): one is string => typeof one === "string"))
    throw new InvalidArgumentError(`error reading ${what}: it must be a list of texts`);
  return value;
}

function hostsIn(text: string): readonly string[] {
  return text.startsWith("[") ? strings(text, "extrahosts") : text.split(",");
}

/** Values that are null stand for arguments without a value. */
function args(text: string): Readonly<Record<string, string | undefined>> {
  const value = text === "" ? {} : (parsed(text, "build args") ?? {});
  if (typeof value !== "object" || Array.isArray(value))
    throw new InvalidArgumentError("error reading build args: it must be an object");
  return Object.fromEntries(
    Object.entries(value as Readonly<Record<string, unknown>>).map(([name, one]) => {
      if (one !== null && typeof one !== "string")
        throw new InvalidArgumentError(`error reading build args: ${name} must be a text`);
      return [name, one ?? undefined];
    }),
  );
}

function labels(text: string): Readonly<Record<string, string>> {
  const value = text === "" ? {} : (parsed(text, "labels") ?? {});
  if (typeof value !== "object" || Array.isArray(value))
    throw new InvalidArgumentError("error reading labels: it must be an object");
  return Object.fromEntries(
    Object.entries(value as Readonly<Record<string, unknown>>).map(([name, one]) => [
      name,
      String(one ?? ""),
    ]),
  );
}

function ulimits(text: string): BuildRequest["resources"]["ulimits"] {
  const value = text === "" ? [] : (parsed(text, "ulimits") ?? []);
  if (!Array.isArray(value)) throw new InvalidArgumentError("error reading ulimits: it must be a list");
  return value.map((one) => {
    const fields = Fields.of(one, "ulimits");
    return {
      name: fields.string("Name"),
      soft: fields.integer("Soft", { min: -1 }),
      hard: fields.integer("Hard", { min: -1 }),
    };
  });
}

/** X-Registry-Config: base64 of credentials by registry. Its content is a secret. */
function authsIn(header: string): Readonly<Record<string, RegistryAuth>> {
  if (header === "") return {};
  try {
    const json: unknown = JSON.parse(
      Buffer.from(header.replaceAll("-", "+").replaceAll("_", "/"), "base64").toString("utf8"),
    );
    return Object.fromEntries(
      Object.entries(json as Readonly<Record<string, unknown>>).map(([registry, one]) => {
        const fields = Fields.of(one, "X-Registry-Config");
        const auth: RegistryAuth = {
          username: fields.string("username"),
          password: fields.string("password"),
          identityToken: fields.string("identitytoken"),
          registryToken: fields.string("registrytoken"),
          serverAddress: fields.string("serveraddress"),
        };
        return [registry, auth];
      }),
    );
  } catch {
    return {}; // as Docker: pulls then go without; the cause would quote the header
  }
}
