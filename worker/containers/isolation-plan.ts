/**
 * How a container is set apart from its node, as far as its request alone and the kernel decide it.
 * Pure. Invariant: what cannot be honoured is refused by name; nothing is passed over in silence.
 * Source: Docker's run reference; words as users and scripts know them.
 */
import {
  FailedPreconditionError,
  InvalidArgumentError,
  NotImplementedError,
} from "../../base/errors/errors.js";
import type { RuntimeName } from "../../proto/engine/runtimes.js";
import { capabilitySet } from "../runtime/capabilities.js";
import { devicePermissions, deviceRule } from "../runtime/device-rules.js";
import type { KernelFacts } from "../runtime/kernel-facts.js";
import {
  cgroupnsMode,
  checkUsernsMode,
  type IpcMode,
  ipcMode,
  pidMode,
  utsMode,
} from "../runtime/oci-namespaces.js";
import { absolutePath } from "../runtime/oci-path.js";
import type { OciDeviceRule } from "../runtime/oci-types.js";
import type { SeccompRequest } from "../runtime/seccomp-filter.js";
import type { ContainerSpecification } from "./container-manager.js";

export interface IsolationPlan {
  readonly privileged: boolean;
  /** With CAP_, in kernel order. */
  readonly capabilities: readonly string[];
  readonly seccomp: SeccompRequest;
  readonly ipc: IpcMode;
  readonly pid: "own" | "host" | { readonly container: string };
  readonly uts: "own" | "host";
  readonly cgroup: "own" | "host";
  readonly deviceRules: readonly OciDeviceRule[];
  /** "" : none. */
  readonly apparmorProfile: string;
  /** undefined: the default list. */
  readonly maskedPaths: readonly string[] | undefined;
  readonly readonlyPaths: readonly string[] | undefined;
  /** undefined: the daemon's. */
  readonly runtime: "crun" | "runc" | undefined;
  readonly cgroupPath: string;
}

type Request = Pick<ContainerSpecification, "capAdd" | "capDrop" | "seccomp" | "isolation">;

/** Profile that distributions load for containers. */
const APPARMOR_DEFAULT = "docker-default";
const RUNTIMES: Readonly<Record<RuntimeName | "", "crun" | "runc" | undefined>> = {
  "": undefined,
  "io.containerd.runc.v2": undefined,
  crun: "crun",
  runc: "runc",
};

/** @throws {InvalidArgumentError} {NotImplementedError} {FailedPreconditionError} naming what cannot be. */
export function planIsolation(
  id: string,
  request: Request,
  node: { readonly kernel: KernelFacts; readonly cgroupParent: string },
): IsolationPlan {
  const { isolation = {}, seccomp } = request;
  const { kernel } = node;
  const privileged = isolation.privileged === true;
  checkUsernsMode(isolation.usernsMode ?? "");
  checkStorage(isolation.storageOptions ?? {});
  checkSelinux(isolation.selinuxLabels ?? []);
  for (const device of isolation.devices ?? []) devicePermissions(device.permissions);
  const open = isolation.systemPathsUnconfined === true;
  const change = { add: privileged ? ["ALL"] : request.capAdd, drop: privileged ? [] : request.capDrop };
  // Checked also where they change nothing.
  if (privileged) capabilitySet({ add: request.capAdd, drop: request.capDrop }, kernel.capabilities);
  return {
    privileged,
    capabilities: capabilitySet(change, kernel.capabilities),
    seccomp: privileged && seccomp.kind === "default" ? { kind: "unconfined" } : seccomp,
    ipc: ipcMode(isolation.ipcMode ?? ""),
    pid: pidMode(isolation.pidMode ?? ""),
    uts: utsMode(isolation.utsMode ?? ""),
    cgroup: cgroupnsMode(isolation.cgroupnsMode ?? "", kernel.cgroupVersion),
    deviceRules: (isolation.deviceCgroupRules ?? []).map(deviceRule),
    apparmorProfile: apparmor(isolation.apparmorProfile ?? "", privileged, kernel),
    maskedPaths: open ? [] : privileged ? [] : isolation.maskedPaths,
    readonlyPaths: open ? [] : privileged ? [] : isolation.readonlyPaths,
    runtime: runtimeOf(isolation.runtime ?? ""),
    cgroupPath: `${cgroupParentPath(isolation.cgroupParent || node.cgroupParent)}/${id}`,
  };
}

function runtimeOf(name: string): "crun" | "runc" | undefined {
  if (!Object.hasOwn(RUNTIMES, name))
    throw new InvalidArgumentError(`unknown or invalid runtime name: ${name}`);
  return RUNTIMES[name as RuntimeName]; // hasOwn has just said so
}

/**
 * Where a parent lies in the tree. "a-b.slice" is systemd's way to name /a.slice/a-b.slice.
 * @throws {InvalidArgumentError} a slice's name that systemd would not know, a path with a NUL.
 */
export function cgroupParentPath(parent: string): string {
  if (!parent.endsWith(".slice") || parent.includes("/")) return absolutePath(`/${parent}`, "cgroup parent");
  const words = parent.slice(0, -".slice".length).split("-");
  if (words.some((word) => word === "" || word.includes("\0")))
    throw new InvalidArgumentError(`invalid slice name ${parent}`);
  return words.map((_, at) => `/${words.slice(0, at + 1).join("-")}.slice`).join("");
}

function apparmor(profile: string, privileged: boolean, kernel: KernelFacts): string {
  if (profile === "unconfined") return kernel.apparmor ? "unconfined" : "";
  if (profile === "") {
    return kernel.apparmor && !privileged && kernel.apparmorProfiles.includes(APPARMOR_DEFAULT)
      ? APPARMOR_DEFAULT
      : "";
  }
  if (!kernel.apparmor) {
    throw new FailedPreconditionError(`AppArmor profile ${profile}: the kernel of this node has no AppArmor`);
  }
  if (!kernel.apparmorProfiles.includes(profile))
    throw new FailedPreconditionError(`AppArmor profile ${profile} is not loaded on this node`);
  return profile;
}

function checkSelinux(labels: readonly string[]): void {
  const refused = labels.find((label) => label !== "disable");
  if (refused !== undefined)
    throw new NotImplementedError(`SELinux label "${refused}" is not supported: only disable`);
}

function checkStorage(options: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(options)) {
    if (name !== "size") throw new InvalidArgumentError(`Unknown option ${name}`);
    throw new InvalidArgumentError(
      "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    );
  }
}
