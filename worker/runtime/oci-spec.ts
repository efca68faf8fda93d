/**
 * The OCI configuration of a container, from what was already resolved (user, capabilities, mounts, seccomp).
 * Pure. Invariant: equal input gives equal JSON. Sources: OCI runtime-spec 1.0.2; Docker's defaults for
 * masked and read-only paths.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { ociResources, type ResourceLimits } from "./oci-resources.js";
import type { OciMount, OciSeccomp, OciSpec, OciUser } from "./oci-types.js";

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
  readonly network:
    | { readonly kind: "netns"; readonly path: string }
    | { readonly kind: "host" }
    | { readonly kind: "none" };
  /** Added to the defaults; a mount at a default's place replaces it. */
  readonly mounts: readonly OciMount[];
  /** Base64 of a sock_filter array, for crun. */
  readonly seccompBpf: string | undefined;
  /** The profile as OCI JSON, for runc and for profiles we do not compile. */
  readonly seccomp: OciSeccomp | undefined;
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

const RLIMITS = new Set([
  "as",
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
]);

const SHM_BYTES = 64 * 1024 * 1024;

/** @throws {InvalidArgumentError} naming what cannot be honoured. */
export function buildOciSpec(input: OciSpecInput): OciSpec {
  if (input.args.length === 0)
    throw new InvalidArgumentError("no command: neither the image nor the request names one");
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: input.tty,
      user: { uid: input.user.uid, gid: input.user.gid, additionalGids: input.user.additionalGids },
      args: input.args,
      env: input.env,
      cwd: absolute(input.cwd === "" ? "/" : input.cwd, "working directory"),
      // Ambient and inheritable stay empty: a non-root user gets none by exec.
      capabilities: processCapabilities(input.user.uid, input.capabilities),
      rlimits: input.ulimits.map(rlimit),
      noNewPrivileges: input.noNewPrivileges,
      oomScoreAdj: input.oomScoreAdj,
    },
    root: { path: input.rootfs, readonly: input.readOnly },
    hostname: input.hostname,
    mounts: mergeMounts(input),
    annotations: input.seccompBpf === undefined ? {} : { "run.oci.seccomp_bpf_data": input.seccompBpf },
    linux: {
      namespaces: namespaces(input.network),
      cgroupsPath: input.cgroupPath,
      resources: ociResources(input.resources),
      sysctl: checkedSysctls(input),
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
      ...(input.seccomp === undefined ? {} : { seccomp: input.seccomp }),
    },
  };
}

function processCapabilities(uid: number, names: readonly string[]): OciSpec["process"]["capabilities"] {
  const held = uid === 0 ? names : [];
  return { bounding: names, effective: held, permitted: held };
}

function namespaces(network: OciSpecInput["network"]): OciSpec["linux"]["namespaces"] {
  const own = [{ type: "pid" }, { type: "ipc" }, { type: "uts" }, { type: "mount" }, { type: "cgroup" }];
  switch (network.kind) {
    case "host":
      return own;
    case "none":
      return [...own, { type: "network" }];
    case "netns":
      return [...own, { type: "network", path: absolute(network.path, "network namespace") }];
  }
}

const DEFAULT_MOUNTS: readonly OciMount[] = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
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
  { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["ro", "nosuid", "noexec", "nodev"],
  },
  { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
  {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    options: ["nosuid", "noexec", "nodev", "mode=1777", `size=${SHM_BYTES}`],
  },
];

/** Parents before children, so that nothing is hidden by a later mount above it. */
function mergeMounts(input: OciSpecInput): readonly OciMount[] {
  const added = new Map<string, OciMount>();
  for (const mount of input.mounts) {
    const destination = absolute(mount.destination, "mount target");
    if (destination === "/") throw new InvalidArgumentError("mount target must not be /");
    if (added.has(destination)) throw new InvalidArgumentError(`duplicate mount point: ${destination}`);
    added.set(destination, { ...mount, destination });
  }
  const kept = DEFAULT_MOUNTS.filter((mount) => !added.has(mount.destination));
  const depth = (mount: OciMount): number => mount.destination.split("/").length;
  const sorted = [...added.values()].sort(
    (a, b) => depth(a) - depth(b) || (a.destination < b.destination ? -1 : 1),
  );
  return [...kept, ...sorted];
}

function rlimit(limit: {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}): OciSpec["process"]["rlimits"][number] {
  const name = limit.name.toLowerCase();
  if (!RLIMITS.has(name)) throw new InvalidArgumentError(`unknown ulimit ${JSON.stringify(limit.name)}`);
  const soft = limit.soft < 0 ? UNLIMITED : limit.soft;
  const hard = limit.hard < 0 ? UNLIMITED : limit.hard;
  if (soft > hard)
    throw new InvalidArgumentError(`ulimit ${name}: soft limit ${soft} must not exceed hard limit ${hard}`);
  return { type: `RLIMIT_${name.toUpperCase()}`, soft, hard };
}

/** Nearest below 2^63 that JSON and a double carry exactly; the kernel treats it as more than there is. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

const IPC_SYSCTLS = [
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
  "kernel.shm_rmid_forced",
];

/** Only what a namespace of the container holds: anything else would change the host. */
function checkedSysctls(input: OciSpecInput): Readonly<Record<string, string>> {
  for (const name of Object.keys(input.sysctls)) {
    const ipc = IPC_SYSCTLS.includes(name) || name.startsWith("fs.mqueue.");
    const net = name.startsWith("net.");
    if (!ipc && !net)
      throw new InvalidArgumentError(`sysctl ${name} is not held by a namespace: it would change the host`);
    if (net && input.network.kind === "host") {
      throw new InvalidArgumentError(
        `sysctl ${name} cannot be set with the host's network: it would change the host`,
      );
    }
  }
  return input.sysctls;
}

function absolute(path: string, what: string): string {
  if (!path.startsWith("/") || path.includes("\0"))
    throw new InvalidArgumentError(`${what} must be an absolute path, got ${JSON.stringify(path)}`);
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}
