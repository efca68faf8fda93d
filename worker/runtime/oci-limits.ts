/**
 * Limits of the first process and kernel settings of the container's namespaces, checked. Pure.
 * Sources: getrlimit(2), sysctl(8); which settings a namespace holds: the OCI runtimes.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { OciSpec } from "./oci-types.js";

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

/** Nearest below 2^63 that JSON and a double carry exactly; the kernel treats it as more than there is. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** -1 is no limit. @throws {InvalidArgumentError} an unknown name, soft above hard. */
export function rlimit(limit: {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}): OciSpec["process"]["rlimits"][number] {
  const name = limit.name.toLowerCase();
  if (!RLIMITS.has(name)) throw new InvalidArgumentError(`invalid ulimit type: ${limit.name}`);
  const soft = limit.soft < 0 ? UNLIMITED : limit.soft;
  const hard = limit.hard < 0 ? UNLIMITED : limit.hard;
  if (soft > hard) {
    throw new InvalidArgumentError(
      `ulimit soft limit must be less than or equal to hard limit: ${limit.soft} > ${limit.hard}`,
    );
  }
  return { type: `RLIMIT_${name.toUpperCase()}`, soft, hard };
}

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

/** Ports below 1024 and ping without privileges: harmless in a network namespace of one's own. */
const OPEN_NETWORK = {
  "net.ipv4.ip_unprivileged_port_start": "0",
  "net.ipv4.ping_group_range": "0 2147483647",
};

export interface SysctlInput {
  readonly sysctls: Readonly<Record<string, string>>;
  readonly domainname: string;
  /** The container's own, made for it: its defaults are set there. */
  readonly ownNetwork: boolean;
  readonly hostNetwork: boolean;
  readonly hostIpc: boolean;
  readonly hostUts: boolean;
}

/**
 * Only what a namespace of the container holds: anything else would change the host.
 * @throws {InvalidArgumentError} naming the setting.
 */
export function ociSysctls(input: SysctlInput): Readonly<Record<string, string>> {
  for (const name of Object.keys(input.sysctls)) {
    const ipc = IPC_SYSCTLS.includes(name) || name.startsWith("fs.mqueue.");
    const net = name.startsWith("net.");
    const uts = name === "kernel.domainname";
    if (!ipc && !net && !uts)
      throw new InvalidArgumentError(`sysctl "${name}" is not in a separate kernel namespace`);
    if (net && input.hostNetwork)
      throw new InvalidArgumentError(`sysctl '${name}' not allowed in host network namespace`);
    if (ipc && input.hostIpc)
      throw new InvalidArgumentError(`sysctl '${name}' not allowed in host ipc namespace`);
    if (uts && input.hostUts)
      throw new InvalidArgumentError(`sysctl '${name}' not allowed in host uts namespace`);
  }
  const domain = input.domainname !== "" && !input.hostUts;
  return {
    ...(input.ownNetwork ? OPEN_NETWORK : {}),
    ...(domain ? { "kernel.domainname": input.domainname } : {}),
    ...input.sysctls,
  };
}
