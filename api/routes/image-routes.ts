/**
 * /images and /distribution. Edge: to the node's image store. Progress is streamed as JSON lines, errors
 * inside the stream included.
 */
import {
  codeOf,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
  NotImplementedError,
} from "../../base/errors/errors.js";
import { type JsonObject, omitEmpty, timeText } from "../convert/shape.js";
import type { ContainerBackend, EngineImage, EngineProgress, ImageBackend } from "../engine-ports.js";
import { labelFilters, parseFilters, refuseFilters } from "../filters.js";
import type { Exchange } from "../http-exchange.js";
import { registryAuthIn } from "../registry-auth.js";
import type { Route } from "./route.js";

const FILTER_KEYS = ["before", "dangling", "label", "reference", "since", "until"];
/** A lookup of a remote digest holds up `service create`; the client goes on without it. */
const DESCRIBE_TIMEOUT_MS = 3_000;

/** Docker shows names without the default registry. */
export function familiarName(reference: string): string {
  return reference.replace(/^docker\.io\/(library\/)?/, "");
}

/** With a filter by reference, only the names that match it are shown, as in Docker. */
function summary(image: EngineImage, references: readonly string[] | undefined): JsonObject {
  const wanted = (name: string): boolean =>
    references === undefined || references.some((pattern) => matchesReference(name, pattern));
  return {
    Id: image.id,
    ParentId: "",
    RepoTags: image.repoTags.map(familiarName).filter(wanted),
    RepoDigests: image.repoDigests.map(familiarName),
    Created: Math.floor(image.createdMs / 1000),
    Size: image.sizeBytes,
    SharedSize: -1,
    Labels: image.config.labels,
    Containers: -1,
  };
}

function details(image: EngineImage): JsonObject {
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: image.repoTags.map(familiarName),
    RepoDigests: image.repoDigests.map(familiarName),
    Parent: "",
    Comment: image.comment,
    Created: timeText(image.createdMs),
    DockerVersion: "",
    Author: image.author,
    Architecture: image.architecture,
    Os: image.os,
    Size: image.sizeBytes,
    Config: omitEmpty({
      User: config.user,
      Env: config.env,
      Entrypoint: config.entrypoint,
      Cmd: config.cmd,
      WorkingDir: config.workingDir,
      Labels: config.labels,
      ExposedPorts: Object.fromEntries(config.exposedPorts.map((port) => [port, {}])),
      Volumes: Object.fromEntries(config.volumes.map((volume) => [volume, {}])),
      StopSignal: config.stopSignal,
    }),
    GraphDriver: { Name: "overlay2", Data: null },
    RootFS: { Type: "layers", Layers: image.diffIds },
    Metadata: { LastTagTime: timeText(0) },
  };
}

function progressLine(progress: EngineProgress): string {
  const detail =
    progress.totalBytes === undefined
      ? {}
      : { current: progress.currentBytes ?? 0, total: progress.totalBytes };
  const id = progress.id === undefined ? {} : { id: progress.id };
  return `${JSON.stringify({ status: progress.status, progressDetail: detail, ...id })}\r\n`;
}

/** Lines not yet taken by a slow client; past that, progress (not results) is left out. */
const PROGRESS_BYTES_MAX = 256 * 1024;

async function streamed(
  exchange: Exchange,
  work: (report: (progress: EngineProgress) => void, signal: AbortSignal) => Promise<readonly string[]>,
): Promise<undefined> {
  const signal = exchange.gone();
  let begun = false;
  const begin = (): void => {
    if (!begun) exchange.startStream("application/json");
    begun = true;
  };
  const report = (progress: EngineProgress): void => {
    begin();
    if (exchange.response.writableLength < PROGRESS_BYTES_MAX && !signal.aborted)
      exchange.response.write(progressLine(progress));
  };
  try {
    const lines = await work(report, signal);
    begin();
    for (const line of lines) await exchange.write(line);
  } catch (error) {
    if (!begun) throw error;
    const message = messageOf(error);
    await exchange.write(
      `${JSON.stringify({ errorDetail: { message, code: codeOf(error) }, error: message })}\r\n`,
    );
  }
  exchange.response.end();
  return undefined;
}

function referenceOf(exchange: Exchange): string {
  const name = exchange.query.get("fromImage") ?? "";
  const tag = exchange.query.get("tag") ?? "";
  if (tag === "") return name;
  return tag.startsWith("sha256:") ? `${name}@${tag}` : `${name}:${tag}`;
}

/** "linux", "linux/amd64", "linux/arm64/v8": only what this node runs. @throws {NotImplementedError} */
function refusePlatform(platform: string, architecture: string): void {
  const [os = "", wanted = architecture] = platform.split("/");
  if (platform === "" || (os === "linux" && wanted === architecture)) return;
  throw new NotImplementedError(
    `platform ${platform} is not supported: this node runs linux/${architecture}`,
  );
}

export function imageRoutes(options: {
  images: ImageBackend;
  containers: ContainerBackend;
  architecture: string;
}): Route[] {
  const { images, containers, architecture } = options;
  const find = (reference: string): EngineImage => {
    const image = images.find(reference);
    if (image === undefined) throw new NotFoundError(`No such image: ${reference}`);
    return image;
  };
  const usedBy = (imageId: string): string | undefined =>
    containers.list().find((container) => container.imageId === imageId)?.id;
  return [
    {
      method: "GET",
      path: "/images/json",
      handle: async ({ query }) => {
        const filters = parseFilters(query.get("filters"), FILTER_KEYS);
        refuseFilters(filters, ["before", "since", "until"]);
        const { labels, keys } = labelFilters(filters.get("label"));
        const references = filters.get("reference");
        const dangling = filters.get("dangling")?.[0];
        const list = images.list().filter((image) => {
          const names = image.repoTags.map(familiarName);
          const own = image.config.labels;
          return (
            Object.entries(labels).every(([key, value]) => own[key] === value) &&
            keys.every((key) => Object.hasOwn(own, key)) &&
            (references === undefined ||
              references.some((pattern) => names.some((name) => matchesReference(name, pattern)))) &&
            (dangling === undefined || ["true", "1"].includes(dangling) === (image.repoTags.length === 0))
          );
        });
        return {
          status: 200,
          json: [...list]
            .sort((a, b) => b.createdMs - a.createdMs)
            .map((image) => summary(image, references)),
        };
      },
    },
    {
      method: "POST",
      path: "/images/create",
      handle: async (exchange) => {
        const source = exchange.query.get("fromSrc");
        if (source !== null) {
          if (source !== "-")
            throw new InvalidArgumentError('fromSrc must be "-": the tar is read from the body');
          const repo = exchange.query.get("repo") ?? "";
          const tag = exchange.query.get("tag") ?? "";
          return streamed(exchange, async (_report, signal) => {
            const image = await images.importRootfs(exchange.request, {
              ...(repo === "" ? {} : { reference: tag === "" ? repo : `${repo}:${tag}` }),
              message: exchange.query.get("message") ?? "",
              changes: exchange.query.getAll("changes"),
              signal,
            });
            return [progressLine({ status: image.id })];
          });
        }
        refusePlatform(exchange.query.get("platform") ?? "", architecture);
        const auth = registryAuthIn(exchange.header("x-registry-auth"));
        return streamed(exchange, async (report, signal) => {
          await images.pull(referenceOf(exchange), {
            ...(auth === undefined ? {} : { auth }),
            signal,
            onProgress: report,
          });
          return [];
        });
      },
    },
    {
      method: "POST",
      path: "/images/load",
      handle: (exchange) =>
        streamed(exchange, async (report, signal) => {
          const quiet = exchange.flag("quiet");
          // The store tells of each loaded image as well; the client prints the lines at the end.
          const onProgress = (progress: EngineProgress): void => {
            if (!progress.status.startsWith("Loaded image")) report(progress);
          };
          const loaded = await images.load(exchange.request, { signal, ...(quiet ? {} : { onProgress }) });
          return loaded.flatMap((image) => {
            const names = image.repoTags.map(familiarName);
            const words =
              names.length > 0
                ? names.map((name) => `Loaded image: ${name}\n`)
                : [`Loaded image ID: ${image.id}\n`];
            return words.map((stream) => `${JSON.stringify({ stream })}\r\n`);
          });
        }),
    },
    {
      method: "POST",
      path: "/images/:name/tag",
      handle: async (exchange) => {
        const repo = exchange.query.get("repo") ?? "";
        const tag = exchange.query.get("tag") ?? "";
        await images.tag(exchange.param("name"), tag === "" ? repo : `${repo}:${tag}`);
        return { status: 201 };
      },
    },
    {
      method: "GET",
      path: "/images/:name/json",
      handle: async (exchange) => ({ status: 200, json: details(find(exchange.param("name"))) }),
    },
    {
      method: "DELETE",
      path: "/images/:name",
      handle: async (exchange) => {
        const removed = await images.remove(exchange.param("name"), {
          force: exchange.flag("force"),
          usedBy,
        });
        return {
          status: 200,
          json: removed.map(({ untagged, deleted }) =>
            omitEmpty({
              Untagged: untagged === undefined ? undefined : familiarName(untagged),
              Deleted: deleted,
            }),
          ),
        };
      },
    },
    {
      method: "GET",
      path: "/distribution/:name/json",
      handle: async (exchange) => {
        const auth = registryAuthIn(exchange.header("x-registry-auth"));
        const signal = exchange.gone({ withinMs: DESCRIBE_TIMEOUT_MS });
        const remote = await images.describeRemote(exchange.param("name"), {
          ...(auth === undefined ? {} : { auth }),
          signal,
        });
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

/** "web*" or "web" against "web:latest". */
function matchesReference(name: string, pattern: string): boolean {
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]");
  return new RegExp(`^${escaped}(:[^/]*)?$`).test(name);
}
