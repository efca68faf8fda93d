/**
 * A request laid over the image's configuration: what the record keeps and inspect shows.
 * Pure. Rules are Docker's: an entrypoint of the request drops the image's command; environment, labels,
 * ports and the parts of a health check are taken from the image where the request has none. Merging twice
 * changes nothing. An image cannot say that a container is a task: labels of the swarm's own are not taken
 * from it.
 */
import { posix } from "node:path";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ImageConfig } from "../images/image-store.js";
import type { KeptSpecification } from "./container-admission.js";
import type { ContainerMount, HealthCheck } from "./container-manager.js";

const RESERVED_LABELS = "com.docker.swarm.";
const HOSTNAME_LENGTH = 12;

/** @throws {InvalidArgumentError} nothing says what to run. */
export function mergedSpecification(
  id: string,
  request: KeptSpecification,
  image: ImageConfig,
  host: { readonly hostname: string },
): KeptSpecification {
  const { healthcheck: _requested, ...rest } = request;
  const command = mergedCommand(request, image);
  const shared = request.network.kind === "host" || request.isolation?.utsMode === "host";
  return {
    ...rest,
    ...command,
    env: mergedEnv(request.env, image.env),
    workingDir: request.workingDir || image.workingDir,
    user: request.user === "" ? image.user : request.user,
    stopSignal: request.stopSignal || image.stopSignal,
    hostname: request.hostname || (shared ? host.hostname : id.slice(0, HOSTNAME_LENGTH)),
    labels: { ...imageLabels(image), ...request.labels },
    healthcheck: mergedHealthcheck(request.healthcheck, image.healthcheck),
    ...(request.networking === undefined
      ? {}
      : {
          networking: {
            ...request.networking,
            exposedPorts: [...new Set([...request.networking.exposedPorts, ...image.exposedPorts])],
          },
        }),
  };
}

function mergedCommand(
  request: KeptSpecification,
  image: ImageConfig,
): Pick<KeptSpecification, "entrypoint" | "args"> {
  const own = request.entrypoint.filter((word, at) => word !== "" || at > 0);
  if (own.length > 0) return { entrypoint: own, args: request.args };
  const cleared = request.entrypointCleared === true || request.entrypoint.length > 0;
  const entrypoint = cleared ? [] : image.entrypoint;
  const args = request.args.length > 0 || cleared ? request.args : image.cmd;
  if (entrypoint.length + args.length === 0) throw new InvalidArgumentError("No command specified");
  return { entrypoint, args };
}

/** The request's in their order, then those of the image that it does not name. */
function mergedEnv(request: readonly string[], image: readonly string[]): readonly string[] {
  const named = new Set(request.map(nameOf));
  return [...request, ...image.filter((entry) => !named.has(nameOf(entry)))];
}

function nameOf(entry: string): string {
  const at = entry.indexOf("=");
  return at < 0 ? entry : entry.slice(0, at);
}

function imageLabels(image: ImageConfig): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(image.labels).filter(([name]) => !name.startsWith(RESERVED_LABELS)),
  );
}

function mergedHealthcheck(
  request: HealthCheck | undefined,
  image: HealthCheck | undefined,
): HealthCheck | undefined {
  if (request === undefined || image === undefined) return request ?? image;
  return {
    test: request.test.length > 0 ? request.test : image.test,
    intervalMs: request.intervalMs || image.intervalMs,
    timeoutMs: request.timeoutMs || image.timeoutMs,
    startPeriodMs: request.startPeriodMs || image.startPeriodMs,
    startIntervalMs: request.startIntervalMs || image.startIntervalMs,
    retries: request.retries || image.retries,
  };
}

/** What is left of an image's configuration once the record has the rest. */
export function alreadyMerged(config: Pick<ImageConfig, "shell"> | undefined): ImageConfig {
  return {
    user: "",
    env: [],
    entrypoint: [],
    cmd: [],
    workingDir: "",
    labels: {},
    exposedPorts: [],
    volumes: [],
    stopSignal: "",
    shell: config?.shell ?? [],
    healthcheck: undefined,
  };
}

/** Binds and volumes of another container, as they come to one that asks for `NAME[:ro|rw]`. */
export interface VolumesFrom {
  readonly mounts: readonly ContainerMount[];
  readonly volumes: readonly { readonly target: string; readonly name: string; readonly readOnly: boolean }[];
}

/** @param find the container of that name or id. @throws {InvalidArgumentError} an unknown mode. */
export function withVolumesFrom(
  specification: KeptSpecification,
  find: (name: string) => VolumesFrom,
): KeptSpecification {
  const asked = specification.volumesFrom ?? [];
  if (asked.length === 0) return specification;
  const mounts = [...specification.mounts];
  const taken = new Set(mounts.map(({ target }) => posix.normalize(target)));
  const add = (mount: ContainerMount): void => {
    if (taken.has(posix.normalize(mount.target))) return;
    taken.add(posix.normalize(mount.target));
    mounts.push(mount);
  };
  for (const from of asked) {
    const { name, readOnly } = parseVolumesFrom(from);
    const other = find(name);
    for (const mount of other.mounts) {
      if (mount.kind === "bind") add({ ...mount, readOnly: mount.readOnly || readOnly });
    }
    for (const volume of other.volumes) add(volumeMount(volume, readOnly));
  }
  return { ...specification, mounts };
}

function volumeMount(volume: VolumesFrom["volumes"][number], readOnly: boolean): ContainerMount {
  return {
    kind: "volume",
    name: volume.name,
    target: volume.target,
    readOnly: volume.readOnly || readOnly,
    noCopy: true,
    subpath: "",
    driver: "",
    driverOptions: {},
    labels: {},
  };
}

function parseVolumesFrom(text: string): { readonly name: string; readonly readOnly: boolean } {
  const [name = "", mode = "rw", ...more] = text.split(":");
  if (name === "") throw new InvalidArgumentError(`volumes-from must name a container, got ${text}`);
  const options = mode.split(",");
  const known = ["rw", "ro", "z", "Z", "nocopy"];
  if (more.length > 0 || options.some((option) => !known.includes(option))) {
    throw new InvalidArgumentError(`invalid mode: ${mode}`);
  }
  return { name, readOnly: options.includes("ro") };
}
