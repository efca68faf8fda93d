/**
 * POST /commit: a container's files and configuration become an image. Edge: to the node's containers and
 * images. Source: Docker Engine API 1.24 to 1.51, ImageCommit.
 */
import { FailedPreconditionError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { ImageBuilder } from "../../proto/engine/build.js";
import type { ContainerManager, ContainerRecord } from "../../proto/engine/containers.js";
import type { ImageDocument, ImageWorkshop } from "../../proto/engine/images.js";
import type { Fields } from "../convert/fields.js";
import type { JsonObject, JsonValue } from "../convert/shape.js";
import type { Route } from "./route.js";

export interface CommitRoutesOptions {
  readonly containers: Pick<ContainerManager, "get" | "pause" | "unpause" | "emit">;
  readonly images: Pick<ImageWorkshop, "commit" | "document">;
  readonly applyChanges: NonNullable<ImageBuilder["applyChanges"]>;
}

type Config = Readonly<Record<string, unknown>>;

const NS_PER_MS = 1_000_000;
/** Of the body's configuration: what an image can hold. */
const BODY_KEYS = [
  "User",
  "ExposedPorts",
  "Env",
  "Entrypoint",
  "Cmd",
  "Volumes",
  "WorkingDir",
  "Labels",
  "StopSignal",
  "Healthcheck",
  "OnBuild",
  "Shell",
];

export function commitRoutes({ containers, images, applyChanges }: CommitRoutesOptions): Route[] {
  return [
    {
      method: "POST",
      path: "/commit",
      handle: async (exchange) => {
        const { query } = exchange;
        const wanted = query.get("container") ?? "";
        if (wanted === "") throw new InvalidArgumentError('invalid name or ID supplied: ""');
        const container = containers.get(wanted);
        const body = await exchange.body();
        const document = await documentOf(images, container.imageId);
        const config = await applyChanges(
          overlaid(configOf(container, document), body),
          query.getAll("changes").filter((change) => change !== ""),
        );
        const name = nameOf(query.get("repo") ?? "", query.get("tag") ?? "");
        const comment = query.get("comment") ?? "";
        const pauses = (query.get("pause") ?? "") === "" || exchange.flag("pause");
        const paused = pauses && container.state === "running";
        if (paused) await containers.pause(container.id);
        try {
          const image = await images.commit({
            parentImageId: document === undefined ? undefined : container.imageId,
            rootfsId: container.id,
            config,
            createdBy: container.specification.args.join(" "),
            comment,
            author: query.get("author") ?? "",
            names: name === "" ? [] : [name],
            signal: exchange.gone(),
          });
          containers.emit(container.id, "commit", { comment, imageID: image.id, imageRef: name });
          return { status: 201, json: { Id: image.id } };
        } finally {
          if (paused) await resume(containers, container.id);
        }
      },
    },
  ];
}

/** One that was killed or removed meanwhile is paused no more: the commit is made all the same. */
async function resume(containers: CommitRoutesOptions["containers"], id: string): Promise<void> {
  try {
    await containers.unpause(id);
  } catch (error) {
    if (!(error instanceof NotFoundError || error instanceof FailedPreconditionError)) throw error;
  }
}

function nameOf(repository: string, tag: string): string {
  return repository === "" || tag === "" ? repository : `${repository}:${tag}`;
}

/** undefined: its image was removed by force. */
async function documentOf(
  images: CommitRoutesOptions["images"],
  id: string,
): Promise<ImageDocument | undefined> {
  try {
    return await images.document(id);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** The container's own configuration over its image's. */
function configOf(container: ContainerRecord, document: ImageDocument | undefined): Config {
  const { specification } = container;
  const image = (document?.["config"] ?? {}) as Config; // a configuration blob, parsed when it was stored
  const ports = specification.networking?.exposedPorts ?? [];
  const asked = specification.config?.["Volumes"] ?? {}; // of the container, beside the image's
  const volumes = Object.keys({ ...(image["Volumes"] as JsonObject | undefined), ...(asked as JsonObject) });
  const check = specification.healthcheck;
  return {
    ...image,
    User: specification.user,
    Env: specification.env,
    Cmd: specification.args,
    Entrypoint: specification.entrypoint,
    WorkingDir: specification.workingDir,
    Labels: specification.labels,
    StopSignal: specification.stopSignal,
    ExposedPorts: Object.fromEntries(ports.map((port) => [port, {}])),
    ...(volumes.length === 0 ? {} : { Volumes: Object.fromEntries(volumes.map((path) => [path, {}])) }),
    ...(check === undefined
      ? {}
      : {
          Healthcheck: {
            Test: check.test,
            Interval: check.intervalMs * NS_PER_MS,
            Timeout: check.timeoutMs * NS_PER_MS,
            StartPeriod: check.startPeriodMs * NS_PER_MS,
            StartInterval: check.startIntervalMs * NS_PER_MS,
            Retries: check.retries,
          },
        }),
  };
}

/** What the body says goes before; maps and the environment are joined. */
function overlaid(config: Config, body: Fields): Config {
  const next: Record<string, unknown> = { ...config };
  for (const key of BODY_KEYS) {
    const value = body.raw(key) as JsonValue | undefined; // out of JSON
    if (value === undefined || value === null || value === "") continue;
    if (Array.isArray(value)) {
      if (value.length > 0) next[key] = key === "Env" ? joinedEnv(config["Env"], value) : value;
    } else if (typeof value === "object" && key !== "Healthcheck") {
      const below = (config[key] ?? {}) as JsonObject; // a map in Docker's configuration, as the value is
      next[key] = { ...below, ...value };
    } else next[key] = value;
  }
  return next;
}

function joinedEnv(below: unknown, above: readonly unknown[]): readonly unknown[] {
  const nameIn = (entry: unknown): string => String(entry).split("=", 1)[0] ?? "";
  const names = new Set(above.map(nameIn));
  return [...above, ...(Array.isArray(below) ? below : []).filter((entry) => !names.has(nameIn(entry)))];
}
