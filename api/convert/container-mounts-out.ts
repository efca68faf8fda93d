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
  const rows = container.specification.mounts.flatMap((mount) =>
    mount.kind === "tmpfs" && tmpfsMap.has(mount.target) ? [] : mountOut(mount, modes),
  );
  const volumes = parts.volumesOf(container.id).map(({ target, name, readOnly }) => {
    const volume = parts.findVolume(name);
    return {
      Type: "volume",
      Name: name,
      Source: volume?.mountpoint ?? "",
      Destination: target,
      Driver: volume?.driver ?? "local",
      Mode: modes.get(target) || (modes.has(target) || ofMounts.has(target) ? "z" : ""),
      RW: !readOnly,
      Propagation: "",
    };
  });
  return [...rows, ...volumes];
}

function targetsOf(mounts: unknown): Set<string> {
  const list = Array.isArray(mounts) ? (mounts as Kept[]) : []; // as it was laid out
  return new Set(list.map(({ Target }) => String(Target)));
}

/** Nothing for a volume: those are told from what was made of them. */
function mountOut(mount: ContainerMount, modes: ReadonlyMap<string, string>): JsonObject[] {
  const row = (Type: string, Source: string, rest: { RW: boolean; Propagation: string }): JsonObject[] => [
    { Type, Source, Destination: mount.target, Mode: modes.get(mount.target) ?? "", ...rest },
  ];
  switch (mount.kind) {
    case "bind":
      return row("bind", mount.source, { RW: !mount.readOnly, Propagation: mount.propagation || "rprivate" });
    case "tmpfs":
      return row("tmpfs", "", { RW: !mount.options.includes("ro"), Propagation: "" });
    case "image":
      return row("image", mount.image, { RW: false, Propagation: "" });
    case "volume":
      return [];
  }
}
