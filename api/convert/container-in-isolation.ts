/**
 * What of the machine a container may see and touch: namespaces, devices, security options. Pure.
 * Refused is what dockerd refuses, in its words. Source: Docker Engine API 1.51, HostConfig.
 */
import { InvalidArgumentError, NotImplementedError } from "../../base/errors/errors.js";
import type { ContainerIsolation, ContainerSpecification } from "../../proto/engine/containers.js";
import { parseSecurityOptions } from "../../proto/engine/security-options.js";
import type { Fields } from "./fields.js";

export interface IsolationWorld {
  /** Full id of a container. */
  readonly containerId: (idOrName: string) => string | undefined;
  readonly apiMinor: number;
}

type Changed = { -readonly [Key in keyof ContainerIsolation]?: ContainerIsolation[Key] };

export interface IsolationIn {
  readonly isolation: ContainerIsolation;
  /** undefined: not said. */
  readonly noNewPrivileges: boolean | undefined;
  readonly seccomp: ContainerSpecification["seccomp"] | undefined;
}

export function isolationIn(host: Fields, world: IsolationWorld): IsolationIn {
  const isolation: Changed = {};
  const set = <Key extends keyof ContainerIsolation>(key: Key, value: ContainerIsolation[Key]): void => {
    if (value !== "" && value !== false && value !== 0 && value !== undefined) isolation[key] = value;
  };
  set("privileged", host.bool("Privileged"));
  devicesIn(host, isolation);
  set("maskedPaths", host.has("MaskedPaths") ? host.strings("MaskedPaths") : undefined);
  set("readonlyPaths", host.has("ReadonlyPaths") ? host.strings("ReadonlyPaths") : undefined);
  set("ipcMode", modeIn(host, "IpcMode", IPC, world) || (world.apiMinor < 40 ? "shareable" : ""));
  set("pidMode", modeIn(host, "PidMode", PID, world));
  set("utsMode", modeIn(host, "UTSMode", HOST_ONLY("UTS mode"), world));
  set("usernsMode", modeIn(host, "UsernsMode", HOST_ONLY("userns mode"), world));
  set(
    "cgroupnsMode",
    modeIn(
      host,
      "CgroupnsMode",
      { ...HOST_ONLY("cgroup namespace mode"), words: ["private", "host"] },
      world,
    ),
  );
  const shmSizeBytes = host.integer("ShmSize", { min: Number.MIN_SAFE_INTEGER });
  if (shmSizeBytes < 0) throw new InvalidArgumentError("SHM size can not be less than 0");
  set("shmSizeBytes", shmSizeBytes);
  set("cgroupParent", host.string("CgroupParent"));
  set("runtime", host.string("Runtime"));
  const storageOptions = host.stringMap("StorageOpt");
  if (Object.keys(storageOptions).length > 0) isolation.storageOptions = storageOptions;
  const annotations = host.stringMap("Annotations");
  if ("" in annotations)
    throw new InvalidArgumentError(
      "invalid Annotations: the empty string is not permitted as an annotation key",
    );
  if (Object.keys(annotations).length > 0 && world.apiMinor >= 43) isolation.annotations = annotations;
  const windows = host.string("Isolation");
  if (windows !== "" && windows !== "default")
    throw new InvalidArgumentError(`invalid isolation (${windows}): linux only supports 'default'`);
  const security = securityIn(host.strings("SecurityOpt"), isolation);
  return { isolation, ...security };
}

function devicesIn(host: Fields, isolation: Changed): void {
  const devices = host.objects("Devices").map((one) => {
    const pathOnHost = one.string("PathOnHost");
    return {
      pathOnHost,
      pathInContainer: one.string("PathInContainer") || pathOnHost,
      permissions: one.string("CgroupPermissions") || "rwm",
    };
  });
  if (devices.length > 0) isolation.devices = devices;
  const rules = host.strings("DeviceCgroupRules");
  const bad = rules.find((rule) => !/^[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$/.test(rule));
  if (bad !== undefined) throw new InvalidArgumentError(`invalid device cgroup rule format: '${bad}'`);
  if (rules.length > 0) isolation.deviceCgroupRules = rules;
  const requests = host.objects("DeviceRequests").map((one) => {
    const deviceIds = one.strings("DeviceIDs");
    const count = one.integer("Count", { min: -1 });
    if (count !== 0 && deviceIds.length > 0)
      throw new InvalidArgumentError("cannot set both Count and DeviceIDs on device request");
    return {
      driver: one.string("Driver"),
      count,
      deviceIds,
      capabilities: capabilitiesIn(one.raw("Capabilities")),
      options: one.stringMap("Options"),
    };
  });
  if (requests.length > 0) isolation.deviceRequests = requests;
}

function capabilitiesIn(value: unknown): string[][] {
  const isList = (item: unknown): item is string[] =>
    Array.isArray(item) && item.every((word) => typeof word === "string");
  if (value === undefined) return [];
  if (!Array.isArray(value) || !value.every(isList))
    throw new InvalidArgumentError("DeviceRequests.Capabilities must be a list of lists of strings");
  return value;
}

interface ModeRule {
  readonly words: readonly string[];
  /** "container:X" is one, too. */
  readonly shared: boolean;
  readonly refusal: (mode: string) => string;
}

const refusal =
  (what: string) =>
  (mode: string): string =>
    `invalid ${what}: ${mode}`;
const IPC: ModeRule = {
  words: ["none", "private", "shareable", "host"],
  shared: true,
  refusal: refusal("IPC mode"),
};
const PID: ModeRule = { words: ["host"], shared: true, refusal: refusal("PID mode") };
const HOST_ONLY = (what: string): ModeRule => ({ words: ["host"], shared: false, refusal: refusal(what) });

function modeIn(host: Fields, key: string, rule: ModeRule, world: IsolationWorld): string {
  const mode = host.string(key);
  if (mode === "" || rule.words.includes(mode)) return mode;
  const [kind, name = ""] = mode.split(":");
  if (!rule.shared || kind !== "container" || name === "") throw new InvalidArgumentError(rule.refusal(mode));
  const id = world.containerId(name);
  if (id === undefined) throw new InvalidArgumentError(`No such container: ${name}`);
  return `container:${id}`;
}

function securityIn(
  options: readonly string[],
  isolation: Changed,
): Pick<IsolationIn, "noNewPrivileges" | "seccomp"> {
  const read = parseSecurityOptions(options);
  if ("refusal" in read)
    throw read.foreign ? new NotImplementedError(read.refusal) : new InvalidArgumentError(read.refusal);
  if (read.apparmorProfile !== "") isolation.apparmorProfile = read.apparmorProfile;
  if (read.systemPathsUnconfined) isolation.systemPathsUnconfined = true;
  if (read.selinuxLabels.length > 0) isolation.selinuxLabels = read.selinuxLabels;
  return { noNewPrivileges: read.noNewPrivileges, seccomp: read.seccomp };
}
