/**
 * What this kernel can do for containers. Pure (types only); linux-kernel-facts.ts reads them.
 */
export interface KernelFacts {
  readonly cgroupVersion: 1 | 2;
  readonly cpus: number;
  /** "0-3": what containers may be bound to. */
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly memoryLimit: boolean;
  readonly memoryReservation: boolean;
  readonly swapLimit: boolean;
  readonly memorySwappiness: boolean;
  readonly oomKillDisable: boolean;
  readonly cpuShares: boolean;
  readonly cpuQuota: boolean;
  readonly cpuRealtime: boolean;
  readonly cpuset: boolean;
  readonly pidsLimit: boolean;
  readonly blkioWeight: boolean;
  readonly blkioWeightDevice: boolean;
  readonly blkioRates: boolean;
  readonly apparmor: boolean;
  /** Names of AppArmor profiles in force. */
  readonly apparmorProfiles: readonly string[];
  readonly selinux: boolean;
  readonly seccomp: boolean;
  /** With CAP_, in kernel order: those the daemon itself may hand on. */
  readonly capabilities: readonly string[];
}
