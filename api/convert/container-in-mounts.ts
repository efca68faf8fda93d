/**
 * What is mounted in a container: Binds, Mounts, Tmpfs, Volumes and VolumesFrom of a create request. Pure.
 * Refused is what dockerd refuses, in its words. Source: Docker Engine API 1.51, Mount and HostConfig.
 */
import { posix } from "node:path";
import { InvalidArgumentError, NotImplementedError } from "../../base/errors/errors.js";
import type { ContainerMount } from "../../proto/engine/containers.js";
import { tmpfsOptionWords, wrongTmpfsOption } from "../../proto/engine/tmpfs-options.js";
import { bindIn, checkMode, cleanTarget, PROPAGATIONS } from "./container-in-binds.js";
import type { Fields } from "./fields.js";

export interface MountWorld {
  /** Is there such a path on the host? */
  readonly pathExists: (path: string) => boolean;
  readonly containerExists: (idOrName: string) => boolean;
  /** Minor number of the API version asked for. */
  readonly apiMinor: number;
}

export interface MountsIn {
  readonly mounts: readonly ContainerMount[];
  readonly volumesFrom: readonly string[];
}

/** @param volumes targets of Config.Volumes */
export function mountsIn(host: Fields, volumes: readonly string[], world: MountWorld): MountsIn {
  const driver = host.string("VolumeDriver");
  const mounts: ContainerMount[] = [];
  const taken = new Set<string>();
  const add = (mount: ContainerMount): void => {
    if (taken.has(mount.target)) throw new InvalidArgumentError(`Duplicate mount point: ${mount.target}`);
    taken.add(mount.target);
    mounts.push(mount);
  };
  for (const bind of host.strings("Binds")) add(bindIn(bind, driver));
  for (const fields of host.objects("Mounts")) add(mountIn(fields, world));
  for (const [target, options] of Object.entries(host.stringMap("Tmpfs"))) add(tmpfsIn(target, options));
  for (const volume of volumes) {
    const target = cleanTarget(posix.join("/", volume));
    if (target === "/") throw new InvalidArgumentError("invalid specification: destination can't be '/'");
    if (!taken.has(target)) add(anonymousVolume(target, driver)); // a mount there takes its place
  }
  return { mounts, volumesFrom: volumesFromIn(host, world) };
}

function volumesFromIn(host: Fields, { containerExists }: MountWorld): string[] {
  return host.strings("VolumesFrom").map((text) => {
    const [name = "", ...modes] = text.split(":");
    if (name === "") throw new InvalidArgumentError(`invalid volumes-from specification: '${text}'`);
    if (modes.length > 0) checkMode(modes.join(":"));
    if (!containerExists(name)) throw new InvalidArgumentError(`No such container: ${name}`);
    return text;
  });
}

function anonymousVolume(target: string, driver: string): ContainerMount {
  return {
    kind: "volume",
    name: "",
    target,
    readOnly: false,
    noCopy: false,
    subpath: "",
    driver,
    driverOptions: {},
    labels: {},
  };
}

function tmpfsIn(target: string, options: string): ContainerMount {
  if (!target.startsWith("/"))
    throw new InvalidArgumentError(`invalid mount path: '${target}' mount path must be absolute`);
  if (posix.normalize(target) === "/")
    throw new InvalidArgumentError("invalid specification: destination can't be '/'");
  const words = tmpfsOptionWords(options);
  const wrong = wrongTmpfsOption(words);
  if (wrong !== undefined) throw new InvalidArgumentError(`invalid tmpfs option [${JSON.stringify(wrong)}]`);
  return { kind: "tmpfs", target: cleanTarget(target), sizeBytes: 0, mode: 0, options: words };
}

const OPTIONS_OF: Readonly<Record<string, string>> = {
  BindOptions: "bind",
  VolumeOptions: "volume",
  TmpfsOptions: "tmpfs",
  ImageOptions: "image",
};

function mountIn(fields: Fields, world: MountWorld): ContainerMount {
  const type = fields.string("Type");
  const refuse = (why: string): never => {
    throw new InvalidArgumentError(`invalid mount config for type "${type}": ${why}`);
  };
  const source = fields.string("Source");
  const target = fields.string("Target");
  const readOnly = fields.bool("ReadOnly");
  fields.string("Consistency"); // of Docker Desktop alone: Linux has one kind
  if (type === "cluster")
    throw new NotImplementedError("mounts of type cluster are for services: not of a plain container");
  if (!Object.values(OPTIONS_OF).includes(type)) refuse("mount type unknown");
  if (target === "") refuse("field Target must not be empty");
  for (const [key, owner] of Object.entries(OPTIONS_OF))
    if (owner !== type && fields.has(key)) refuse(`field ${key} must not be specified`);
  if (posix.normalize(target) === "/") refuse("invalid specification: destination can't be '/'");
  if (!target.startsWith("/")) refuse(`invalid mount path: '${target}' mount path must be absolute`);
  const place = { target: cleanTarget(target), readOnly };
  switch (type) {
    case "bind":
      return bindMountIn(fields, { ...place, source }, refuse, world);
    case "volume":
      return volumeMountIn(fields, { ...place, source }, refuse);
    case "tmpfs":
      if (source !== "") refuse("field Source must not be specified");
      return tmpfsMountIn(fields, place.target, readOnly, refuse);
    default:
      if (source === "") refuse("field Source must not be empty");
      if (world.apiMinor < 48) refuse("mount type image needs API version 1.48 or newer");
      return {
        kind: "image",
        image: source,
        target: place.target,
        subpath: fields.object("ImageOptions")?.string("Subpath") ?? "",
      };
  }
}

type Refuse = (why: string) => never;
interface Placed {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

function bindMountIn(fields: Fields, placed: Placed, refuse: Refuse, world: MountWorld): ContainerMount {
  const { source, target, readOnly } = placed;
  const options = fields.object("BindOptions");
  const propagation = options?.string("Propagation") ?? "";
  const createSource = options?.bool("CreateMountpoint") ?? false;
  const disabled = options?.bool("ReadOnlyNonRecursive") ?? false;
  const forced = options?.bool("ReadOnlyForceRecursive") ?? false;
  if (source === "") refuse("field Source must not be empty");
  if (propagation !== "" && !PROPAGATIONS.includes(propagation))
    refuse(`invalid propagation mode: ${propagation}`);
  if (!source.startsWith("/")) refuse(`invalid mount path: '${source}' mount path must be absolute`);
  if (disabled && forced) refuse("ReadOnlyNonRecursive and ReadOnlyForceRecursive are mutually exclusive");
  if ((disabled || forced) && !readOnly)
    refuse("ReadOnlyNonRecursive and ReadOnlyForceRecursive need ReadOnly");
  if (!createSource && !world.pathExists(source)) refuse(`bind source path does not exist: ${source}`);
  return {
    kind: "bind",
    source: posix.normalize(source),
    target,
    readOnly,
    propagation,
    recursive: !(options?.bool("NonRecursive") ?? false),
    createSource,
    ...(disabled ? { readOnlyRecursive: "disabled" } : {}),
    ...(forced ? { readOnlyRecursive: "forced" } : {}),
  };
}

function volumeMountIn(fields: Fields, placed: Placed, refuse: Refuse): ContainerMount {
  const { source, target, readOnly } = placed;
  const options = fields.object("VolumeOptions");
  const driver = options?.object("DriverConfig");
  const subpath = options?.string("Subpath") ?? "";
  if (source === "" && subpath !== "") refuse("field Subpath must not be set with anonymous volumes");
  if (subpath !== "" && (posix.isAbsolute(subpath) || posix.normalize(subpath).startsWith("..")))
    refuse("subpath must be a relative path within the volume");
  return {
    kind: "volume",
    name: source,
    target,
    readOnly,
    noCopy: options?.bool("NoCopy") ?? false,
    subpath,
    driver: driver?.string("Name") ?? "",
    driverOptions: driver?.stringMap("Options") ?? {},
    labels: options?.stringMap("Labels") ?? {},
  };
}

function tmpfsMountIn(fields: Fields, target: string, readOnly: boolean, refuse: Refuse): ContainerMount {
  const tmpfs = fields.object("TmpfsOptions");
  const sizeBytes = tmpfs?.integer("SizeBytes", { min: Number.MIN_SAFE_INTEGER }) ?? 0;
  if (sizeBytes < 0) refuse("the size of a tmpfs must not be negative");
  const given = tmpfs?.raw("Options");
  const options = Array.isArray(given)
    ? given.map((option) => (Array.isArray(option) ? option.map(String).join("=") : String(option)))
    : [];
  return {
    kind: "tmpfs",
    target,
    sizeBytes,
    mode: tmpfs?.integer("Mode") ?? 0,
    options: readOnly ? ["ro", ...options] : options,
  };
}
