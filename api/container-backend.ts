/**
 * What the container routes are given, out of what the daemon holds. Pure.
 */
import { NotFoundError } from "../base/errors/errors.js";
import type { ContainerSize } from "./convert/container-out.js";
import { pruneEvent } from "./docker-events.js";
import type { EngineImage } from "./engine-ports.js";
import type { EventJournal } from "./event-journal.js";
import { pathExists } from "./fs-path-exists.js";
import { seccompProfile } from "./fs-seccomp-profile.js";
import type { EngineBackend } from "./ports.js";
import type { ContainerLifeOptions } from "./routes/container-life-routes.js";
import type { ContainerRoutesOptions } from "./routes/container-routes.js";

type Images = Pick<EngineBackend["images"], "find" | "list">;

/** The image and all that were made of it: by their parents, or because their layers begin with its layers. */
export function withDescendants(images: Images, reference: string): ReadonlySet<string> {
  const root = images.find(reference);
  if (root === undefined) return new Set();
  const ids = new Set([root.id]);
  const others = images.list().filter(({ id }) => id !== root.id);
  for (const image of others) if (beginsWith(image.diffIds, root.diffIds)) ids.add(image.id);
  for (let before = 0; before < ids.size; ) {
    before = ids.size;
    for (const { id, parentId = "" } of others as readonly (EngineImage & { parentId?: string })[])
      if (ids.has(parentId)) ids.add(id);
  }
  return ids;
}

/** With more after it: two images of the same layers are not made of each other. */
function beginsWith(layers: readonly string[], beginning: readonly string[]): boolean {
  return (
    beginning.length > 0 &&
    layers.length > beginning.length &&
    beginning.every((layer, at) => layers[at] === layer)
  );
}

export function containerRouteOptions(
  backend: EngineBackend,
  journal: EventJournal,
): ContainerRoutesOptions & ContainerLifeOptions {
  const { containers, images, facts, clock } = backend;
  /** undefined, too, for one that was removed while others were walked. */
  const sizeOf = async (id: string): Promise<ContainerSize | undefined> => {
    try {
      return await backend.files?.size(id);
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  };
  return {
    containers,
    findImage: (reference) => images.find(reference),
    withDescendants: (reference) => withDescendants(images, reference),
    networksOfTask: (taskId) => (taskId === "" ? [] : backend.networksOfTask(taskId)),
    portsOfTask: (taskId) => (taskId === "" ? [] : (backend.portsOfTask?.(taskId) ?? [])),
    networkId: (name) => backend.localNetworks?.find(name)?.id,
    volumesOf: (id) => containers.volumesOf(id),
    findVolume: (name) => containers.volumes.find(name),
    execIds: (id) =>
      (backend.streaming?.streams.execsOf(id) ?? []).filter(({ running }) => running).map((exec) => exec.id),
    sizeOf,
    nowMs: () => clock.nowMs(),
    world: () => {
      const defaults = backend.settings().container;
      return {
        cgroupVersion: facts.cgroupVersion,
        cpus: facts.cpus,
        runtime: facts.runtime,
        defaults,
        defaultSeccomp: seccompProfile(defaults.seccompProfile),
        pathExists,
      };
    },
    architecture: facts.architecture,
    writableBytes: async (id) => (await sizeOf(id))?.writableBytes ?? 0,
    onPruned: (reclaimedBytes) => journal.add(pruneEvent("container", reclaimedBytes, clock.nowMs())),
    hostPaths: ({ id }) => ({
      ...containers.hostPathsOf?.(id),
      layers: images.rootfsLayers?.(id),
    }),
  };
}
