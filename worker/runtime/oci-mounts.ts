/**
 * Mounts every container has, joined with those asked for. Pure.
 * Invariant: parents come before children, so that nothing is hidden by a later mount above it.
 * Source: Docker's default mounts.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { absolutePath } from "./oci-path.js";
import type { OciMount } from "./oci-types.js";

const SHM_BYTES = 64 * 1024 * 1024;
const KERNEL_FILES = ["nosuid", "noexec", "nodev"];

export interface MountInput {
  readonly privileged: boolean;
  readonly readOnly: boolean;
  /** Size of the container's own /dev/shm; 0: 64 MiB. undefined: it gets none of its own. */
  readonly shmSizeBytes: number | undefined;
  /** Added to the defaults; a mount at a default's place replaces it. */
  readonly mounts: readonly OciMount[];
}

function defaultMounts(input: MountInput): readonly OciMount[] {
  // A privileged container may write to both; a read-only one still may not write to the first.
  const sysfs = input.privileged && !input.readOnly ? [] : ["ro"];
  const cgroup = input.privileged ? [] : ["ro"];
  const shm: OciMount = {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    options: [...KERNEL_FILES, "mode=1777", `size=${input.shmSizeBytes || SHM_BYTES}`],
  };
  return [
    { destination: "/proc", type: "proc", source: "proc", options: KERNEL_FILES },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...KERNEL_FILES, ...sysfs] },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: [...cgroup, ...KERNEL_FILES],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: KERNEL_FILES },
    ...(input.shmSizeBytes === undefined ? [] : [shm]),
  ];
}

/** @throws {InvalidArgumentError} a target that is relative, the root, or there twice. */
export function ociMounts(input: MountInput): readonly OciMount[] {
  const added = new Map<string, OciMount>();
  for (const mount of input.mounts) {
    const destination = absolutePath(mount.destination, "mount target");
    if (destination === "/")
      throw new InvalidArgumentError("invalid mount config: invalid specification: destination can't be '/'");
    if (added.has(destination)) throw new InvalidArgumentError(`Duplicate mount point: ${destination}`);
    added.set(destination, { ...mount, destination });
  }
  const kept = defaultMounts(input).filter((mount) => !added.has(mount.destination));
  const depth = (mount: OciMount): number => mount.destination.split("/").length;
  const sorted = [...added.values()].sort(
    (a, b) => depth(a) - depth(b) || (a.destination < b.destination ? -1 : 1),
  );
  // One asked for above a default (/dev, /sys) comes before what is below it.
  const above = sorted.filter((mount) =>
    kept.some((other) => other.destination.startsWith(`${mount.destination}/`)),
  );
  return [...above, ...kept, ...sorted.filter((mount) => !above.includes(mount))];
}
