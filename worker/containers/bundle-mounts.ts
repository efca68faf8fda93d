/**
 * Mounts a container asked for, as its runtime is told of them.
 * Edge: to volumes, images and the host's folders. Targets are resolved in the root by the runtime, without
 * leaving it; what lies inside a volume is opened by handle here.
 */
import { access, constants, mkdir, realpath, stat } from "node:fs/promises";
import { release } from "node:os";
import {
  FailedPreconditionError,
  InternalError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
} from "../../base/errors/errors.js";
import { assertNever } from "../../base/errors/invariant.js";
import type { ImageStore } from "../images/image-store.js";
import { resolveInRoot } from "../runtime/fs-rootfs.js";
import { isLinuxFrom } from "../runtime/kernel-release.js";
import { mountOfPath } from "../runtime/linux-mountinfo.js";
import { endsWith, type PrivateMounts } from "../runtime/linux-private-mounts.js";
import { isErrno } from "../runtime/linux-process.js";
import type { OciMount } from "../runtime/oci-types.js";
import type { VolumeStore } from "../volumes/volume-store.js";
import type { ContainerMount } from "./container-manager.js";
import type { StoredContainer } from "./stored-container.js";

export interface MountMaker {
  readonly volumes: VolumeStore;
  readonly images: Pick<ImageStore, "find" | "mountRootfs" | "removeRootfs">;
  readonly privateMounts: PrivateMounts;
}

const PROPAGATIONS = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];
/** Of a volume's own mount: the runtime binds it without them otherwise. */
const KEPT_FLAGS = ["nosuid", "nodev", "noexec"];
const KERNEL_SETS_BELOW = isLinuxFrom(release(), 5, 12);
type Of<K extends ContainerMount["kind"]> = Extract<ContainerMount, { kind: K }>;

/** All of a container, its image's volumes included. */
export async function bundleMounts(
  maker: MountMaker,
  container: StoredContainer,
  rootfs: string,
): Promise<readonly OciMount[]> {
  const { mounts } = container.record.specification;
  const made: OciMount[] = [];
  for (const [at, mount] of mounts.entries()) made.push(await mountOf(maker, container, mount, at, rootfs));
  for (const volume of container.volumes) {
    if (!mounts.some((mount) => mount.target === volume.target))
      made.push(await volumeMount(maker, container.record.id, volume, rootfs));
  }
  return made;
}

/** What the mounts of a run hold on to. None is fine; also after a restart of the daemon. */
export async function releaseMounts(maker: MountMaker, container: StoredContainer): Promise<void> {
  const { id, specification } = container.record;
  await maker.privateMounts.release(id);
  for (const [at, mount] of specification.mounts.entries())
    if (mount.kind === "image") await maker.images.removeRootfs(imageMountId(id, at));
  for (const { name } of container.volumes)
    if (maker.volumes.find(name) !== undefined) await maker.volumes.unmount(name, id);
}

/** Where the root is, which way mounts and unmounts pass between it and the host. */
export function rootfsPropagation(mounts: readonly ContainerMount[]): string | undefined {
  const asked = mounts.flatMap((mount) => (mount.kind === "bind" ? [mount.propagation] : []));
  if (asked.some((word) => word === "shared" || word === "rshared")) return "shared";
  return asked.some((word) => word === "slave" || word === "rslave") ? "slave" : undefined;
}

async function mountOf(
  maker: MountMaker,
  container: StoredContainer,
  mount: ContainerMount,
  at: number,
  rootfs: string,
): Promise<OciMount> {
  const { id } = container.record;
  switch (mount.kind) {
    case "bind":
      return bindMount(mount);
    case "tmpfs":
      return tmpfsMount(mount);
    case "volume": {
      const volume = container.volumes.find((candidate) => candidate.target === mount.target);
      if (volume === undefined) throw new NotFoundError(`volume for ${mount.target} is not recorded`);
      return volumeMount(maker, id, volume, rootfs);
    }
    case "image":
      return imageMount(maker, id, mount, at);
    default:
      return assertNever(mount, "mount");
  }
}

/** Later words win over the defaults they contradict. */
function tmpfsMount(mount: Of<"tmpfs">): OciMount {
  const size = mount.sizeBytes > 0 ? [`size=${mount.sizeBytes}`] : [];
  const mode = mount.mode > 0 ? [`mode=${mount.mode.toString(8)}`] : [];
  const opposites: Readonly<Record<string, string>> = { exec: "noexec", suid: "nosuid", dev: "nodev" };
  const dropped = mount.options.map((option) => opposites[option]);
  const defaults = ["noexec", "nosuid", "nodev"].filter((option) => !dropped.includes(option));
  const options = [...new Set([...defaults, ...size, ...mode, ...mount.options])];
  return { destination: mount.target, type: "tmpfs", source: "tmpfs", options };
}

async function bindMount(mount: Of<"bind">): Promise<OciMount> {
  if (!mount.source.startsWith("/"))
    throw new InvalidArgumentError(
      `invalid mount config for type "bind": invalid mount path: '${mount.source}' ` +
        "mount path must be absolute",
    );
  const propagation = mount.propagation === "" ? "rprivate" : mount.propagation;
  if (!PROPAGATIONS.includes(propagation))
    throw new InvalidArgumentError(`invalid propagation mode: ${mount.propagation}`);
  try {
    await stat(mount.source);
  } catch (error) {
    if (!isErrno(error, "ENOENT") || !mount.createSource) {
      const why = isErrno(error, "ENOENT") ? "" : ` (${messageOf(error)})`;
      throw new InvalidArgumentError(
        `invalid mount config for type "bind": bind source path does not exist: ${mount.source}${why}`,
        { cause: error },
      );
    }
    await mkdir(mount.source, { recursive: true, mode: 0o755 });
  }
  await checkPropagation(mount.source, propagation);
  return {
    destination: mount.target,
    type: "bind",
    source: mount.source,
    options: [
      mount.recursive ? "rbind" : "bind",
      propagation,
      ...(mount.readOnly ? readOnlyOptions(mount) : (await isReadOnlyHere(mount.source)) ? ["ro"] : []),
    ],
  };
}

/** What a mount does not pass on cannot come through a bind of it. @throws {InvalidArgumentError} */
async function checkPropagation(source: string, propagation: string): Promise<void> {
  if (propagation.endsWith("private")) return;
  const { point, propagation: fields } = mountOfPath(await realpath(source));
  const has = (word: string): boolean => fields.some((field) => field.startsWith(`${word}:`));
  const shared = propagation.endsWith("shared");
  if (has("shared") || (!shared && has("master"))) return;
  throw new InvalidArgumentError(
    `path ${source} is mounted on ${point} but it is not a shared ${shared ? "" : "or slave "}mount`,
  );
}

/** The runtime sets the flags of what it binds anew: what is read-only here must not be writable there. */
async function isReadOnlyHere(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    return false;
  } catch (error) {
    return isErrno(error, "EROFS");
  }
}

/**
 * "ro" is of the top mount alone; "rro" goes below it, from Linux 5.12 on.
 * @throws {FailedPreconditionError} it must, and this kernel cannot.
 */
function readOnlyOptions(mount: Of<"bind">): readonly string[] {
  const { recursive, readOnlyRecursive = "default" } = mount;
  if (readOnlyRecursive === "disabled" || !recursive) return ["ro"];
  if (KERNEL_SETS_BELOW) return ["ro", "rro"];
  if (readOnlyRecursive === "default") return ["ro"];
  throw new FailedPreconditionError(
    `${mount.target}: recursively read-only mounts need Linux 5.12, this is ${release()}`,
  );
}

async function volumeMount(
  maker: MountMaker,
  containerId: string,
  volume: StoredContainer["volumes"][number],
  rootfs: string,
): Promise<OciMount> {
  const mountpoint = await maker.volumes.mount(volume.name, containerId);
  if (!volume.noCopy) await maker.volumes.copyUp(volume.name, await resolveInRoot(rootfs, volume.target));
  const name = `v${Buffer.from(volume.target).toString("hex").slice(0, 200)}`;
  const source =
    volume.subpath === ""
      ? mountpoint
      : await bindSubpath(maker, containerId, {
          name,
          root: mountpoint,
          path: volume.subpath,
          of: `volume ${volume.name}`,
        });
  const options = maker.volumes.find(volume.name)?.options["o"]?.split(",") ?? [];
  const kept = options.filter((word) => KEPT_FLAGS.includes(word));
  const readOnly = volume.readOnly || (await isReadOnlyHere(source)) ? ["ro"] : [];
  return {
    destination: volume.target,
    type: "bind",
    source,
    options: [...new Set(["rbind", "rprivate", ...readOnly, ...kept])],
  };
}

async function imageMount(
  maker: MountMaker,
  containerId: string,
  mount: Of<"image">,
  at: number,
): Promise<OciMount> {
  const image = maker.images.find(mount.image);
  if (image === undefined) throw new NotFoundError(`No such image: ${mount.image}`);
  const root = await maker.images.mountRootfs(image.id, imageMountId(containerId, at));
  const source =
    mount.subpath === ""
      ? root
      : await bindSubpath(maker, containerId, {
          name: `i${at}`,
          root,
          path: mount.subpath,
          of: `image ${mount.image}`,
        });
  return { destination: mount.target, type: "bind", source, options: ["rbind", "rprivate", "ro"] };
}

function imageMountId(containerId: string, at: number): string {
  return `${containerId}.image-${at}`;
}

async function bindSubpath(
  maker: MountMaker,
  containerId: string,
  place: { name: string; root: string; path: string; of: string },
): Promise<string> {
  try {
    return await maker.privateMounts.bindBelow(containerId, place.name, place);
  } catch (error) {
    if (!(error instanceof InternalError)) throw error;
    if (endsWith(error, "ENOENT", "ENOTDIR")) {
      throw new InvalidArgumentError(`subpath ${place.path} does not exist in ${place.of}`, { cause: error });
    }
    if (endsWith(error, "EXDEV", "ELOOP")) {
      throw new InvalidArgumentError(`subpath ${place.path} leads out of ${place.of}`, { cause: error });
    }
    throw error;
  }
}
