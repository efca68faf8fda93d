/**
 * What happens to containers, images, volumes and local networks as Docker's events. Pure.
 * Source: Docker Engine API 1.51, SystemEvents.
 */
import type { ContainerEvent } from "../proto/engine/containers.js";
import type { ImageEvent } from "../proto/engine/images.js";
import type { LocalNetworkEvent } from "../proto/engine/networks.js";
import type { VolumeEvent } from "../proto/engine/volumes.js";
import type { MountedVolume } from "./convert/container-mounts-out.js";
import { familiarName } from "./convert/image-names.js";
import type { EngineEvent } from "./event-journal.js";

/** "exec_create: sh -c date": what is run stands in the action. */
function actionOf({ kind, container, attributes = {} }: ContainerEvent): string {
  switch (kind) {
    case "health":
    case "health_status":
      return `health_status: ${container.health}`;
    case "exec_create":
    case "exec_start":
      return `${kind}: ${attributes["command"] ?? ""}`;
    default:
      return kind;
  }
}

export function containerEvent(event: ContainerEvent): EngineEvent {
  const { container, timeMs } = event;
  const { command: _inTheAction, ...attributes } = event.attributes ?? {};
  const { imageRef } = attributes;
  return {
    type: "container",
    action: actionOf(event),
    id: container.id,
    attributes: {
      ...container.specification.labels,
      image: familiarName(container.specification.image),
      name: container.name,
      ...(event.kind === "die" ? { exitCode: String(container.exitCode) } : {}),
      ...attributes,
      ...(imageRef === undefined ? {} : { imageRef: familiarName(imageRef) }),
    },
    scope: "local",
    timeMs,
  };
}

/** undefined: Docker tells of a commit at the container. */
export function imageEvent({
  kind,
  reference,
  imageId,
  labels,
  timeMs,
}: ImageEvent): EngineEvent | undefined {
  if (kind === "commit") return undefined;
  const full = familiarName(reference);
  // Docker names what was pulled or pushed by its name, and all else by its id.
  const isTransfer = kind === "pull" || kind === "push";
  const name = isTransfer ? withoutTag(full) : full;
  const attributes = { ...labels, name };
  return { type: "image", action: kind, id: isTransfer ? full : imageId, attributes, scope: "local", timeMs };
}

function withoutTag(name: string): string {
  const [bare = ""] = name.split("@", 1);
  const colon = bare.lastIndexOf(":");
  return colon > bare.lastIndexOf("/") ? bare.slice(0, colon) : bare;
}

/** @param mounted where the container of the event has it, when it has */
export function volumeEvent(
  { kind, name, driver, containerId, timeMs }: VolumeEvent,
  mounted?: MountedVolume,
): EngineEvent {
  const where: Record<string, string> =
    kind !== "mount" || mounted === undefined
      ? {}
      : { destination: mounted.target, "read/write": String(!mounted.readOnly), propagation: "" };
  return {
    type: "volume",
    action: kind,
    id: name,
    attributes: { driver, ...(containerId === undefined ? {} : { container: containerId }), ...where },
    scope: "local",
    timeMs,
  };
}

export function networkEvent({ kind, network, containerId, timeMs }: LocalNetworkEvent): EngineEvent {
  return {
    type: "network",
    action: kind,
    id: network.id,
    attributes: {
      ...(containerId === undefined ? {} : { container: containerId }),
      name: network.name,
      type: network.driver,
    },
    scope: "local",
    timeMs,
  };
}

/** Told once for each prune, also when nothing was to be removed. */
export function pruneEvent(type: string, reclaimedBytes: number, timeMs: number): EngineEvent {
  const attributes = { reclaimed: String(reclaimedBytes) };
  return { type, action: "prune", id: "", attributes, scope: "local", timeMs };
}
