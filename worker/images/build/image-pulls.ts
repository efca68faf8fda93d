/**
 * The image a FROM or --from names: here already, or pulled with its progress told.
 * Edge: to the node's images.
 * Source: Docker Engine API, POST /build (pull, platform, X-Registry-Config).
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { BoundedQueue } from "../../../base/loop/bounded-queue.js";
import type { BuildMessage, BuildRequest } from "../../../proto/engine/build.js";
import { parseReference } from "../image-reference.js";
import type { ImageProgress, ImageRecord, ImageStore, RegistryAuth } from "../image-store.js";
import type { Platform } from "./build-arguments.js";

export interface PullParts {
  readonly images: Pick<ImageStore, "find" | "pull">;
  readonly platform: Platform;
  readonly signal: AbortSignal;
}

/** Progress lines that wait for a slow client; beyond, lines are dropped. */
const PROGRESS_WAITING_MAX = 1_024;

/** @throws what pull throws; {InvalidArgumentError} a platform that is none. */
export async function* pullForBuild(
  name: string,
  platformText: string,
  request: BuildRequest,
  parts: PullParts,
): AsyncGenerator<BuildMessage, ImageRecord> {
  const asked = platformText || request.platform;
  const platform = asked === "" ? undefined : platformIn(asked);
  const present = request.pull ? undefined : parts.images.find(name);
  if (present !== undefined && (platform === undefined || fits(present, platform))) return present;
  const lines = new BoundedQueue<ImageProgress>({ capacityMax: PROGRESS_WAITING_MAX });
  const auth = authFor(name, request.auths);
  const pulled = parts.images
    .pull(name, {
      ...(auth === undefined ? {} : { auth }),
      ...(platform === undefined ? {} : { platform }),
      signal: parts.signal,
      onProgress: (line) => void lines.push(line),
    })
    .then(
      (image) => ({ image }),
      (error: unknown) => ({ error }),
    )
    .finally(() => lines.end());
  for await (const { status, id, currentBytes, totalBytes } of lines) {
    yield {
      kind: "progress",
      status,
      ...(id === undefined ? {} : { id }),
      ...(currentBytes === undefined ? {} : { currentBytes }),
      ...(totalBytes === undefined ? {} : { totalBytes }),
    };
  }
  const outcome = await pulled;
  if ("error" in outcome) throw outcome.error;
  return outcome.image;
}

/** "linux/arm64", "linux/arm/v7", "arm64". @throws {InvalidArgumentError} */
export function platformIn(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || !parts.every((part) => /^[a-z0-9_.-]+$/.test(part)))
    throw new InvalidArgumentError(
      `${JSON.stringify(text)}: cannot parse platform specifier: invalid argument`,
    );
  const [first = "", second, third] = parts;
  if (second === undefined)
    return first === "linux" ? { os: first, architecture: "" } : { os: "linux", architecture: first };
  return { os: first, architecture: second, ...(third === undefined ? {} : { variant: third }) };
}

function fits(image: ImageRecord, wanted: Platform): boolean {
  return (
    image.os === wanted.os &&
    (wanted.architecture === "" || image.architecture === wanted.architecture) &&
    (wanted.variant === undefined || image.variant === undefined || image.variant === wanted.variant)
  );
}

const HUB_KEYS = ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"];

/** Credentials by the registry of a name, as the client's configuration writes it. */
function authFor(name: string, auths: BuildRequest["auths"]): RegistryAuth | undefined {
  const { domain } = parseReference(name);
  const keys = domain === "docker.io" ? HUB_KEYS : [domain, `https://${domain}`, `http://${domain}`];
  const found = keys.find((key) => Object.hasOwn(auths, key));
  return found === undefined ? undefined : auths[found];
}
