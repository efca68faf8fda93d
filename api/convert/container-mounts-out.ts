/**
 * What is mounted in a container, as Docker's list and inspect tell it. Pure.
 */
import type { ContainerMount, ContainerRecord } from "../../proto/engine/containers.js";
import type { VolumeRecord } from "../../proto/engine/volumes.js";
import { modesOfBinds } from "./container-in-binds.js";
import type { JsonObject } from "./shape.js";

/** A volume as it is mounted: an anonymous one has its name here. */
export interface MountedVolume {
  readonly target: string;
  readonly name: string;
  readonly readOnly: boolean;
}

export interface MountsOutParts {
  readonly volumesOf: (containerId: string) => readonly MountedVolume[];
  readonly findVolume: (name: string) => Pick<VolumeRecord, "driver" | "mountpoint"> | undefined;
}

type Kept = Readonly<Record<string, unknown>>;

export function mountsOut(container: ContainerRecord, parts: MountsOutParts): JsonObject[] {
  const host: Kept = container.specification.hostConfig ?? {};
  const binds = Array.isArray(host["Binds"]) ? host["Binds"].map(String) : [];
  const modes = modesOfBinds(binds);
  const ofMounts = targetsOf(host["Mounts"]);
  const tmpfsMap = new Set(Object.keys((host["Tmpfs"] ?? {}) as Kept)); // a map or absent: its shape
  const volumes = new Map(parts.volumesOf(container.id).map((volume) => [volume.target, volume]));
  const rows: JsonObject[] = [];
  const addVolume = (volume: MountedVolume | undefined): void => {
    if (volume === undefined) return;
    volumes.delete(volume.target);
    const { target, name, readOnly } = volume;
    const found = parts.findVolume(name);
    rows.push({
      Type: "volume",
      Name: name,
      Source: found?.mountpoint ?? "",
      Destination: target,
      Driver: found?.driver ?? "local",
      Mode: modes.get(target) || (modes.has(target) || ofMounts.has(target) ? "z" : ""),
      RW: !readOnly,
      Propagation: "",
    });
  };
  for (const mount of container.specification.mounts) {
    if (mount.kind === "volume") addVolume(volumes.get(mount.target));
    else if (mount.kind !== "tmpfs" || !tmpfsMap.has(mount.target)) rows.push(mountOut(mount, modes));
  }
  for (const volume of [...volumes.values()]) addVolume(volume); // the image's, and other containers'
  return rows;
}

function targetsOf(mounts: unknown): Set<string> {
  const list = Array.isArray(mounts) ? (mounts as Kept[]) : []; // as it was laid out
  return new Set(list.map(({ Target }) => String(Target)));
}

function mountOut(
  mount: Exclude<ContainerMount, { kind: "volume" }>,
  modes: ReadonlyMap<string, string>,
): JsonObject {
  const row = (Type: string, Source: string, rest: { RW: boolean; Propagation: string }): JsonObject => ({
    Type,
    Source,
    Destination: mount.target,
    Mode: modes.get(mount.target) ?? "",
    ...rest,
  });
  switch (mount.kind) {
    case "bind":
      return row("bind", mount.source, { RW: !mount.readOnly, Propagation: mount.propagation || "rprivate" });
    case "tmpfs":
      return row("tmpfs", "", { RW: !mount.options.includes("ro"), Propagation: "" });
    case "image":
      return row("image", mount.image, { RW: false, Propagation: "" });
  }
}
