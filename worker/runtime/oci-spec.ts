/**
 * The OCI configuration of a container, from what was already resolved (user, capabilities, mounts, seccomp).
 * Pure. Invariant: equal input gives equal JSON. Sources: OCI runtime-spec 1.0.2; Docker's defaults for
 * masked and read-only paths.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { ociSysctls, rlimit } from "./oci-limits.js";
import { ociMounts } from "./oci-mounts.js";
import { type NamespaceChoice, type Namespaces, ociNamespaces } from "./oci-namespaces.js";
import { absolutePath } from "./oci-path.js";
import { type BlockDevices, ociResources, type ResourceLimits } from "./oci-resources.js";
import type {
  OciDevice,
  OciDeviceRule,
  OciHooks,
  OciMount,
  OciSeccomp,
  OciSpec,
  OciUser,
} from "./oci-types.js";

/** What of the machine it sees and touches. Each absent field: Docker's default. */
export interface OciIsolation {
  readonly privileged?: boolean;
  readonly pid?: NamespaceChoice;
  readonly ipc?: NamespaceChoice;
  readonly uts?: Namespaces["uts"];
  readonly cgroup?: Namespaces["cgroup"];
  /** The container's own /dev/shm; 0: 64 MiB. "other": a mount of another origin, or none. */
  readonly shm?: number | "other";
  readonly domainname?: string;
  readonly devices?: readonly OciDevice[];
  /** Beyond the default ones. */
  readonly deviceRules?: readonly OciDeviceRule[];
  readonly maskedPaths?: readonly string[];
  readonly readonlyPaths?: readonly string[];
  readonly apparmorProfile?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly hooks?: OciHooks;
  /** Numbers of the devices that `resources` names by path. */
  readonly blockDevices?: BlockDevices;
  /** Of the root, where a mount asks that changes go from or to the host. */
  readonly rootfsPropagation?: string;
}

export interface OciSpecInput {
  readonly rootfs: string;
  readonly readOnly: boolean;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: OciUser;
  readonly tty: boolean;
  readonly hostname: string;
  readonly capabilities: readonly string[];
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj: number;
  readonly resources: ResourceLimits;
  readonly cgroupPath: string;
  readonly network: /** shared: of another container, whose settings stay as they are. */
    | { readonly kind: "netns"; readonly path: string; readonly shared?: boolean }
    | { readonly kind: "host" }
    | { readonly kind: "none" };
  /** Added to the defaults; a mount at a default's place replaces it. */
  readonly mounts: readonly OciMount[];
  /** Base64 of a sock_filter array, for crun. */
  readonly seccompBpf: string | undefined;
  /** The profile as OCI JSON, for runc and for profiles we do not compile. */
  readonly seccomp: OciSeccomp | undefined;
  readonly isolation?: OciIsolation;
}

const MASKED_PATHS = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];
const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
const OOM_SCORE_MAX = 1000;

/** @throws {InvalidArgumentError} naming what cannot be honoured. */
export function buildOciSpec(input: OciSpecInput): OciSpec {
  const { isolation = {}, network } = input;
  const privileged = isolation.privileged === true;
  if (input.args.length === 0)
    throw new InvalidArgumentError("no command: neither the image nor the request names one");
  if (Math.abs(input.oomScoreAdj) > OOM_SCORE_MAX) {
    throw new InvalidArgumentError(
      `Invalid value ${input.oomScoreAdj}, range for oom score adj is [-1000, 1000]`,
    );
  }
  const { pid = "own", ipc = "own", uts = "own", cgroup = "own" } = isolation;
  const net: NamespaceChoice =
    network.kind === "host" ? "host" : network.kind === "none" ? "own" : { path: network.path };
  return {
    ociVersion: "1.0.2",
    process: processOf(input, isolation),
    root: { path: input.rootfs, readonly: input.readOnly },
    ...(uts === "host" ? {} : { hostname: input.hostname }),
    mounts: ociMounts({
      privileged,
      readOnly: input.readOnly,
      shmSizeBytes: isolation.shm === "other" ? undefined : (isolation.shm ?? 0),
      mounts: input.mounts,
    }),
    annotations: {
      ...isolation.annotations,
      ...(input.seccompBpf === undefined ? {} : { "run.oci.seccomp_bpf_data": input.seccompBpf }),
    },
    ...(isolation.hooks === undefined ? {} : { hooks: isolation.hooks }),
    linux: {
      namespaces: ociNamespaces({ network: net, pid, ipc, uts, cgroup }),
      cgroupsPath: input.cgroupPath,
      ...(isolation.devices === undefined ? {} : { devices: isolation.devices }),
      resources: ociResources(input.resources, {
        privileged,
        rules: isolation.deviceRules ?? [],
        ...(isolation.blockDevices === undefined ? {} : { blockDevices: isolation.blockDevices }),
      }),
      sysctl: ociSysctls({
        sysctls: input.sysctls,
        domainname: isolation.domainname ?? "",
        ownNetwork: network.kind === "none" || (network.kind === "netns" && network.shared !== true),
        hostNetwork: network.kind === "host",
        hostIpc: ipc === "host",
        hostUts: uts === "host",
      }),
      maskedPaths: isolation.maskedPaths ?? (privileged ? [] : MASKED_PATHS),
      readonlyPaths: isolation.readonlyPaths ?? (privileged ? [] : READONLY_PATHS),
      ...(isolation.rootfsPropagation === undefined
        ? {}
        : { rootfsPropagation: isolation.rootfsPropagation }),
      ...(input.seccomp === undefined ? {} : { seccomp: input.seccomp }),
    },
  };
}

function processOf(input: OciSpecInput, isolation: OciIsolation): OciSpec["process"] {
  const { user } = input;
  return {
    terminal: input.tty,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: input.args,
    env: input.env,
    cwd: absolutePath(input.cwd === "" ? "/" : input.cwd, "working directory"),
    // Ambient and inheritable stay empty: a non-root user gets none by exec.
    capabilities: processCapabilities(user.uid, input.capabilities),
    rlimits: input.ulimits.map(rlimit),
    noNewPrivileges: input.noNewPrivileges,
    oomScoreAdj: input.oomScoreAdj,
    ...(isolation.apparmorProfile ? { apparmorProfile: isolation.apparmorProfile } : {}),
  };
}

function processCapabilities(uid: number, names: readonly string[]): OciSpec["process"]["capabilities"] {
  const held = uid === 0 ? names : [];
  return { bounding: names, effective: held, permitted: held };
}
