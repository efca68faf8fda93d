/**
 * HostConfig of a container as inspect shows it: what was kept at its creation, with what has changed since;
 * of a task, which was asked for in other words, what its specification says.
 * Pure.
 */
import type { ContainerIsolation, ContainerRecord } from "../../proto/engine/containers.js";
import { MASKED_PATHS, READONLY_PATHS } from "./container-in-host-config.js";
import { networkModeOut } from "./container-network-out.js";
import { HOST_CONFIG } from "./container-shapes.js";
import { laidOut } from "./go-shape.js";
import type { JsonObject } from "./shape.js";

const SHM_BYTES = 64 * 1024 * 1024;

export function hostConfigOut(container: ContainerRecord, apiMinor: number): JsonObject {
  const { specification } = container;
  // laid out at create
  const kept = (specification.hostConfig as JsonObject | undefined) ?? ofTask(container);
  const policy = specification.restartPolicy ?? { name: "no", maximumRetryCount: 0 };
  return {
    ...kept,
    RestartPolicy: { Name: policy.name, MaximumRetryCount: policy.maximumRetryCount },
    Links: linksOut(container),
    // gone from the newer versions; older clients look for them
    ...(apiMinor < 42 ? { KernelMemory: 0, KernelMemoryTCP: 0 } : {}),
  };
}

/** "/target:/own/alias", as Docker keeps them. */
function linksOut({ name, specification }: ContainerRecord): readonly string[] | null {
  const links = specification.networking?.links ?? [];
  if (links.length === 0) return null;
  return links.map((link) => {
    const [target = "", alias = target] = link.split(":");
    return `/${target.replace(/^\//, "")}:/${name}/${alias}`;
  });
}

function ofTask(container: ContainerRecord): JsonObject {
  const { resources, mounts, log, ...specification } = container.specification;
  const some = <T>(list: readonly T[]): readonly T[] | null => (list.length === 0 ? null : list);
  const tmpfs = mounts.filter((mount) => mount.kind === "tmpfs");
  return laidOut(HOST_CONFIG, {
    LogConfig: { Type: log.driver || "json-file", Config: log.options ?? {} },
    NetworkMode: networkModeOut(container),
    PortBindings: {},
    Memory: resources.memoryBytes,
    MemorySwap: resources.swapBytes ?? 0,
    MemorySwappiness: resources.memorySwappiness ?? null,
    MemoryReservation: resources.memoryReservationBytes ?? 0,
    NanoCpus: resources.nanoCpus,
    PidsLimit: resources.pidsLimit === 0 ? null : resources.pidsLimit,
    ReadonlyRootfs: specification.readOnly,
    Init: specification.init,
    CapAdd: some(specification.capAdd),
    CapDrop: some(specification.capDrop),
    Sysctls: specification.sysctls,
    Ulimits: specification.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    OomScoreAdj: specification.oomScoreAdj,
    GroupAdd: some(specification.groups),
    ...ofIsolation(specification.isolation ?? {}),
    CpuShares: resources.cpuShares ?? 0,
    CpuPeriod: resources.cpuPeriod ?? 0,
    CpuQuota: resources.cpuQuota ?? 0,
    CpusetCpus: resources.cpusetCpus ?? "",
    CpusetMems: resources.cpusetMems ?? "",
    BlkioWeight: resources.blkioWeight ?? 0,
    Tmpfs: Object.fromEntries(tmpfs.map(({ target, options }) => [target, options.join()])),
  });
}

/** Docker's defaults where the task asked for nothing. */
function ofIsolation(isolation: ContainerIsolation): JsonObject {
  const open = isolation.privileged === true || isolation.systemPathsUnconfined === true;
  const { devices, deviceCgroupRules, runtime, annotations } = isolation;
  return {
    Privileged: isolation.privileged ?? false,
    ...(devices === undefined
      ? {}
      : {
          Devices: devices.map(({ pathOnHost, pathInContainer, permissions }) => ({
            PathOnHost: pathOnHost,
            PathInContainer: pathInContainer,
            CgroupPermissions: permissions,
          })),
        }),
    ...(deviceCgroupRules === undefined ? {} : { DeviceCgroupRules: deviceCgroupRules }),
    CgroupParent: isolation.cgroupParent ?? "",
    CgroupnsMode: isolation.cgroupnsMode ?? "",
    IpcMode: isolation.ipcMode ?? "private",
    PidMode: isolation.pidMode ?? "",
    UTSMode: isolation.utsMode ?? "",
    UsernsMode: isolation.usernsMode ?? "",
    ShmSize: isolation.shmSizeBytes ?? SHM_BYTES,
    ...(runtime === undefined ? {} : { Runtime: runtime }),
    ...(annotations === undefined ? {} : { Annotations: annotations }),
    MaskedPaths: open ? null : MASKED_PATHS,
    ReadonlyPaths: open ? null : READONLY_PATHS,
  };
}
