/**
 * Opens the container manager of a node: finds the runtime, the records and volumes,
 * and meets the containers that ran on.
 * Edge: composition of the edges below it.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock/clock.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { ContainerNetworks } from "../../proto/engine/networks.js";
import type { ImageStore } from "../images/image-store.js";
import { readKernelFacts } from "../runtime/linux-kernel-facts.js";
import { PrivateMounts } from "../runtime/linux-private-mounts.js";
import { readBootId } from "../runtime/linux-process.js";
import { openConmonRuntime } from "../runtime/process-conmon-runtime.js";
import { SeccompFilters } from "../runtime/seccomp-filter.js";
import { openVolumeStore } from "../volumes/fs-volume-store.js";
import type { VolumeStore } from "../volumes/volume-store.js";
import type { BundleMaker } from "./container-bundle.js";
import type { ContainerManager } from "./container-manager.js";
import type { StartListener } from "./container-runs.js";
import { openContainerFiles } from "./fs-container-files.js";
import type { LogSource } from "./fs-log-reader.js";
import { openLevelContainerState } from "./level-container-state.js";
import { ConmonContainerManager } from "./local-container-manager.js";

export interface ContainerManagerInit {
  /** Records, logs, volumes: survives a reboot. */
  readonly dir: string;
  /** Sockets, fifos, runtime state, secrets' tmpfs: gone with a reboot. At most 80 bytes long. */
  readonly runDir: string;
  /** Absolute path in the cgroup tree, e.g. "/skein"; of this daemon alone. */
  readonly cgroupParent: string;
  readonly images: ImageStore;
  readonly linux: Linux;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** @default crun when installed, else runc */
  readonly runtime?: "crun" | "runc";
  /** Containers being started at the same time; the rest wait. @default 8 */
  readonly parallelStartsMax?: number;
  /** How often exits are looked for that no event told of (the monitor was killed). @default 5_000 */
  readonly safetyPollMs?: number;
  /** For containers of network kind "networks"; absent: such are refused. */
  readonly networks?: ContainerNetworks;
}

/** The manager of containers and, beside it, the volumes they use. */
export interface LocalContainerManager extends ContainerManager {
  readonly volumes: VolumeStore;
  /** Where a container's log is, and when it ends. @throws {NotImplementedError} it keeps none. */
  logSource(id: string): LogSource;
  /**
   * Called when the process of a container exists and waits for its start, which waits for the listener: what
   * it writes first is not missed. A failure ends the start. @returns the way to stop listening.
   */
  onBeforeStart(listener: StartListener): () => void;
  /** Once, when everything containers need is up: starts those that their restart policy wants to run. */
  startByPolicy(): void;
  /** Files of a container on the host; absent: there is no such file now. */
  hostPathsOf(id: string): {
    readonly resolvConf?: string;
    readonly hostname?: string;
    readonly hosts?: string;
    readonly log?: string;
  };
  /** Which volume is mounted where, anonymous ones named; empty for a container that is not there. */
  volumesOf(id: string): readonly {
    readonly target: string;
    readonly name: string;
    readonly readOnly: boolean;
  }[];
}

/** @throws {FailedPreconditionError} when conmon or an OCI runtime is missing. */
export async function openContainerManager(init: ContainerManagerInit): Promise<LocalContainerManager> {
  await mkdir(init.dir, { recursive: true, mode: 0o711 });
  await mkdir(init.runDir, { recursive: true, mode: 0o711 });
  const { clock, log, random, cgroupParent } = init;
  const runtime = await openConmonRuntime({
    runDir: init.runDir,
    cgroupParent,
    linux: init.linux,
    clock,
    log,
    ...(init.runtime === undefined ? {} : { prefer: init.runtime }),
    ...(init.safetyPollMs === undefined ? {} : { safetyPollMs: init.safetyPollMs }),
  });
  const state = await openLevelContainerState(join(init.dir, "state"));
  let manager: LocalContainerManager | undefined;
  const volumes = await openVolumeStore({
    dir: join(init.dir, "volumes"),
    clock,
    random,
    linux: init.linux,
    usersOf: (name) => (manager === undefined ? [] : volumeUsers(manager, name)),
  });
  const files = await openContainerFiles({ runDir: init.runDir, linux: init.linux, log });
  const filters = {
    crun: new SeccompFilters("crun", process.arch),
    runc: new SeccompFilters("runc", process.arch),
  };
  const maker: BundleMaker = {
    files,
    volumes,
    cgroupParent,
    kernel: readKernelFacts(),
    log,
    images: init.images,
    privateMounts: new PrivateMounts(init.runDir, init.linux),
    seccomp: (request, capabilities, name = runtime.name) => filters[name].choose(request, capabilities),
  };
  const opened = new ConmonContainerManager({ init, runtime, state, volumes, maker, bootId: readBootId() });
  manager = opened;
  await opened.recover();
  return opened;
}

/** Running or not; one that is being removed lets go of its own. */
function volumeUsers(manager: LocalContainerManager, volume: string): readonly string[] {
  return manager
    .list()
    .filter(
      ({ id, state }) => state !== "removing" && manager.volumesOf(id).some(({ name }) => name === volume),
    )
    .map(({ id }) => id);
}
