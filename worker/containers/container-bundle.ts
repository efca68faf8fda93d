/**
 * Makes the OCI configuration of one container just before it starts.
 * Edge: to the container's root file system, volumes and the host's devices. Everything that can be refused
 * without the root file system was refused at create.
 */
import { FailedPreconditionError, InvalidArgumentError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { ImageRecord } from "../images/image-store.js";
import type { DeviceInjection } from "../runtime/fs-cdi-registry.js";
import { makeFolderInRoot, readTextInRoot } from "../runtime/fs-rootfs.js";
import type { KernelFacts } from "../runtime/kernel-facts.js";
import { allDevices, blockDeviceNumbers, mappedDevices } from "../runtime/linux-devices.js";
import type { NamespaceChoice } from "../runtime/oci-namespaces.js";
import { blockDevicePaths } from "../runtime/oci-resources.js";
import { buildOciSpec, type OciIsolation } from "../runtime/oci-spec.js";
import type { OciDevice, OciDeviceRule, OciMount, OciSpec } from "../runtime/oci-types.js";
import { type ResolvedUser, resolveUser } from "../runtime/oci-user.js";
import { findProgram } from "../runtime/process-run.js";
import type { SeccompChoice, SeccompRequest } from "../runtime/seccomp-filter.js";
import { bundleMounts, type MountMaker, releaseMounts, rootfsPropagation } from "./bundle-mounts.js";
import { ownNetwork } from "./container-admission.js";
import type { ContainerRecord } from "./container-manager.js";
import { type ContainerProcess, containerProcess } from "./container-process.js";
import type { ContainerFiles } from "./fs-container-files.js";
import { type IsolationPlan, planIsolation } from "./isolation-plan.js";
import type { StoredContainer } from "./stored-container.js";

export interface BundleMaker extends MountMaker {
  readonly files: ContainerFiles;
  readonly cgroupParent: string;
  readonly kernel: KernelFacts;
  readonly log: Logger;
  /** @param runtime undefined: the daemon's. */
  seccomp(
    request: SeccompRequest,
    capabilities: readonly string[],
    runtime: "crun" | "runc" | undefined,
  ): SeccompChoice;
}

export interface Bundle {
  readonly spec: OciSpec;
  readonly process: ContainerProcess;
  readonly user: ResolvedUser;
  /** undefined: the daemon's. */
  readonly runtime: "crun" | "runc" | undefined;
}

/** Another container, whose namespace is joined. @throws {NotFoundError} */
export type Peers = (idOrName: string) => ContainerRecord;

const INIT_TARGET = "/sbin/docker-init";
const INIT_FOLDERS = ["/usr/libexec/podman", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
/** Those that need no library of the image come first. */
const INIT_NAMES = ["docker-init", "tini-static", "catatonit", "tini"];
/** Files that every container is given. */
const ETC_FILES = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
const SHM_BYTES = 64 * 1024 * 1024;

export async function makeBundle(
  maker: BundleMaker,
  container: StoredContainer,
  image: Pick<ImageRecord, "config">,
  rootfs: string,
  peers: Peers,
): Promise<Bundle> {
  const { id, specification } = container.record;
  const plan = planIsolation(id, specification, maker);
  const process = containerProcess(id, specification, image.config);
  const [passwd, group] = await Promise.all([
    readTextInRoot(rootfs, "/etc/passwd"),
    readTextInRoot(rootfs, "/etc/group"),
  ]);
  const user = resolveUser({ user: process.user, groups: specification.groups }, { passwd, group });
  const injection = await injected(maker, specification.isolation?.deviceRequests ?? []);
  const seccomp = maker.seccomp(plan.seccomp, plan.capabilities, plan.runtime);
  const shared = await sharedNamespaces(maker, container, plan, peers);
  const asked = [...(await bundleMounts(maker, container, rootfs)), ...injection.mounts];
  const mounts: OciMount[] = [...(await maker.files.mounts(container, process.hostname)), ...asked];
  if (shared.shm !== undefined && !mounts.some(({ destination }) => destination === "/dev/shm"))
    mounts.push(shmMount(shared.shm));
  if (specification.init) mounts.push(initMount());
  const inMount = ({ destination }: OciMount): boolean =>
    process.cwd === destination || process.cwd.startsWith(`${destination}/`);
  if (ETC_FILES.some((path) => process.cwd === path || process.cwd.startsWith(`${path}/`)))
    throw new InvalidArgumentError(`Cannot mkdir: ${process.cwd} is not a directory`);
  if (!asked.some(inMount)) await makeFolderInRoot(rootfs, process.cwd);
  const home = process.env.some((entry) => entry.startsWith("HOME=")) ? [] : [`HOME=${user.home}`];
  const spec = buildOciSpec({
    rootfs,
    readOnly: specification.readOnly,
    args: specification.init ? [INIT_TARGET, "--", ...process.args] : process.args,
    env: [...process.env, ...home, ...injection.env],
    cwd: process.cwd,
    user: withGids(user, injection.additionalGids),
    tty: specification.tty,
    hostname: process.hostname,
    capabilities: plan.capabilities,
    ulimits: specification.ulimits,
    sysctls: specification.sysctls,
    noNewPrivileges: specification.noNewPrivileges,
    oomScoreAdj: specification.oomScoreAdj,
    resources: specification.resources,
    cgroupPath: plan.cgroupPath,
    network: ownNetwork(specification),
    mounts,
    seccompBpf: seccomp.bpf,
    seccomp: seccomp.json,
    isolation: {
      ...(await deviceIsolation(container, plan, injection)),
      ...isolationFields(container, plan, injection),
      pid: shared.pid,
      ipc: shared.ipc,
      ...(plan.ipc === "private" ? {} : { shm: "other" }),
    },
  });
  return { spec, process, user, runtime: plan.runtime };
}

/** The flags are said again: the runtime sets those of what it binds anew. */
function shmMount(source: string): OciMount {
  const flags = source === "/dev/shm" ? [] : ["nosuid", "nodev", "noexec"];
  return { destination: "/dev/shm", type: "bind", source, options: ["rbind", "rprivate", ...flags] };
}

/** What a run held on to beyond its root. None is fine. */
export async function releaseBundle(maker: BundleMaker, container: StoredContainer): Promise<void> {
  await maker.files.release(container.record.id);
  await releaseMounts(maker, container);
}

function isolationFields(
  container: StoredContainer,
  plan: IsolationPlan,
  injection: DeviceInjection,
): OciIsolation {
  const { isolation = {}, domainname = "", mounts } = container.record.specification;
  const propagation = rootfsPropagation(mounts);
  return {
    privileged: plan.privileged,
    uts: plan.uts,
    cgroup: plan.cgroup,
    shm: isolation.shmSizeBytes ?? 0,
    domainname,
    apparmorProfile: plan.apparmorProfile,
    annotations: isolation.annotations ?? {},
    ...(plan.maskedPaths === undefined ? {} : { maskedPaths: plan.maskedPaths }),
    ...(plan.readonlyPaths === undefined ? {} : { readonlyPaths: plan.readonlyPaths }),
    ...(Object.keys(injection.hooks).length === 0 ? {} : { hooks: injection.hooks }),
    ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
  };
}

async function deviceIsolation(
  container: StoredContainer,
  plan: IsolationPlan,
  injection: DeviceInjection,
): Promise<Pick<OciIsolation, "devices" | "deviceRules" | "blockDevices">> {
  const { isolation = {}, resources } = container.record.specification;
  const devices = new Map<string, OciDevice>();
  const rules: OciDeviceRule[] = [];
  const add = (device: OciDevice): void => void devices.set(device.path, device);
  if (plan.privileged) for (const device of await allDevices()) add(device);
  for (const mapping of isolation.devices ?? []) {
    const mapped = await mappedDevices(mapping);
    mapped.devices.forEach(add);
    if (!plan.privileged) rules.push(...mapped.rules);
  }
  injection.devices.forEach(add);
  if (!plan.privileged) rules.push(...injection.rules, ...plan.deviceRules);
  const paths = blockDevicePaths(resources);
  return {
    ...(devices.size === 0 ? {} : { devices: [...devices.values()] }),
    deviceRules: rules,
    ...(paths.length === 0 ? {} : { blockDevices: await blockDeviceNumbers(paths) }),
  };
}

interface Shared {
  readonly ipc: NamespaceChoice;
  readonly pid: NamespaceChoice;
  /** Where its /dev/shm comes from; undefined: its own, or none. */
  readonly shm?: string;
}

/** @throws {FailedPreconditionError} (409) the other does not run; {InvalidArgumentError} does not share. */
async function sharedNamespaces(
  maker: BundleMaker,
  container: StoredContainer,
  plan: IsolationPlan,
  peers: Peers,
): Promise<Shared> {
  const { id, specification } = container.record;
  const pid = typeof plan.pid === "string" ? plan.pid : ofPeer(peers(plan.pid.container), "pid");
  switch (plan.ipc) {
    case "private":
    case "none":
      return { ipc: "own", pid };
    case "host":
      return { ipc: "host", pid, shm: "/dev/shm" };
    case "shareable": {
      const size = specification.isolation?.shmSizeBytes || SHM_BYTES;
      return { ipc: "own", pid, shm: await maker.privateMounts.mountSharedMemory(id, size) };
    }
    default: {
      const peer = peers(plan.ipc.container);
      const ipc = ofPeer(peer, "ipc");
      const mode = peer.specification.isolation?.ipcMode ?? "";
      if (mode !== "shareable") {
        throw new InvalidArgumentError(
          `can't join IPC of container ${peer.id}: non-shareable IPC ` +
            "(hint: use IpcMode:shareable for the donor container)",
        );
      }
      return { ipc, pid, shm: maker.privateMounts.sharedMemoryPath(peer.id) };
    }
  }
}

function ofPeer(peer: ContainerRecord, kind: "pid" | "ipc"): NamespaceChoice {
  if (peer.pid > 0 && (peer.state === "running" || peer.state === "paused"))
    return { path: `/proc/${peer.pid}/ns/${kind}` };
  const words = `container ${peer.id} is not running`;
  throw new FailedPreconditionError(
    kind === "ipc" ? `can't join IPC of container ${peer.id}: ${words}` : words,
  );
}

const NOTHING_INJECTED: DeviceInjection = {
  env: [],
  mounts: [],
  devices: [],
  rules: [],
  hooks: {},
  additionalGids: [],
};

async function injected(
  maker: BundleMaker,
  requests: Parameters<typeof import("../runtime/fs-cdi-registry.js").injectDevices>[0],
): Promise<DeviceInjection> {
  if (requests.length === 0) return NOTHING_INJECTED;
  const { injectDevices } = await import("../runtime/fs-cdi-registry.js"); // rarely needed
  return injectDevices(requests, { log: maker.log });
}

function withGids(user: ResolvedUser, gids: readonly number[]): ResolvedUser {
  if (gids.length === 0) return user;
  return { ...user, additionalGids: [...new Set([...user.additionalGids, ...gids])] };
}

/** Its path on the host. @throws {FailedPreconditionError} naming what to install. */
function initMount(): OciMount {
  const path = INIT_NAMES.map((name) => findProgram(name, INIT_FOLDERS)).find((found) => found !== undefined);
  if (path === undefined) {
    throw new FailedPreconditionError(
      "init was asked for, but this node has none: install the package tini (docker-init) or catatonit",
    );
  }
  return { destination: INIT_TARGET, type: "bind", source: path, options: ["bind", "ro"] };
}
