/**
 * For tests: a container manager on real crun and conmon with a busybox image of its own,
 * all in a temporary folder.
 * Edge: to the file system and the kernel. Clears up containers, mounts and groups also after a failed test.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../base/clock/system-clock.js";
import { NotImplementedError } from "../../base/errors/errors.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { systemRandom } from "../../base/random/system-random.js";
import type { ContainerNetworks } from "../../proto/engine/networks.js";
import type { ImageConfig, ImageRecord, ImageStore } from "../images/image-store.js";
import type { ContainerSpecification } from "./container-manager.js";
import { LocalContainerFileAccess } from "./files/container-file-access.js";
import { holdRoots } from "./files/rootfs-holds.js";
import { type LocalContainerManager, openContainerManager } from "./open-container-manager.js";

export interface ContainerLab {
  readonly dir: string;
  readonly runDir: string;
  readonly cgroupParent: string;
  readonly log: MemoryLogger;
  manager: LocalContainerManager;
  /** Files, changes and counters of the manager's containers. */
  fileAccess(): LocalContainerFileAccess;
  /** The daemon goes away and comes back. */
  reopen(): Promise<void>;
  /** A specification with everything at its default. */
  spec(changes?: Partial<ContainerSpecification>): ContainerSpecification;
  readonly cgroupVersion: 1 | 2;
  cgroupFile(id: string, controller: string, file: string): string;
  /** Mounts and groups that hold the lab's name. */
  traces(): { mounts: string[]; cgroups: string[] };
  close(): Promise<void>;
}

const IMAGE_CONFIG: ImageConfig = {
  user: "",
  env: ["FROM_IMAGE=1"],
  entrypoint: [],
  cmd: ["/bin/sh"],
  workingDir: "",
  labels: {},
  exposedPorts: [],
  volumes: [],
  stopSignal: "",
  shell: [],
  healthcheck: undefined,
};

export async function openContainerLab(
  options: {
    runtime?: "crun" | "runc";
    imageConfig?: Partial<ImageConfig>;
    safetyPollMs?: number;
    networks?: ContainerNetworks;
  } = {},
): Promise<ContainerLab> {
  const base = await mkdtemp("/tmp/skc-");
  const cgroupParent = `/${base.slice("/tmp/".length)}`;
  const linux = await openKoffiLinux();
  const overlays = new OverlayImages(base, linux, { ...IMAGE_CONFIG, ...options.imageConfig });
  await overlays.build();
  const { images, holds } = holdRoots(overlays);
  const log = new MemoryLogger();
  const dir = join(base, "d");
  const runDir = join(base, "r");
  const open = async (): Promise<LocalContainerManager> => {
    const manager = await openContainerManager({
      dir,
      runDir,
      cgroupParent,
      images,
      linux,
      clock: systemClock,
      random: systemRandom,
      log,
      ...(options.safetyPollMs === undefined ? {} : { safetyPollMs: options.safetyPollMs }),
      ...(options.runtime === undefined ? {} : { runtime: options.runtime }),
      ...(options.networks === undefined ? {} : { networks: options.networks }),
    });
    manager.startByPolicy();
    return manager;
  };
  let count = 0;
  const lab: ContainerLab = {
    dir,
    runDir,
    cgroupParent,
    log,
    manager: await open(),
    async reopen() {
      await lab.manager.close();
      lab.manager = await open();
    },
    fileAccess: () =>
      new LocalContainerFileAccess({
        containers: lab.manager,
        volumes: lab.manager.volumes,
        images,
        holds,
        clock: systemClock,
        log,
      }),
    spec: (changes = {}) => ({ ...defaultSpecification(`c${count++}`), ...changes }),
    cgroupVersion: existsSync("/sys/fs/cgroup/cgroup.controllers") ? 2 : 1,
    cgroupFile(id, controller, file) {
      const tree = existsSync("/sys/fs/cgroup/cgroup.controllers") ? "" : controller;
      return readFileSync(join("/sys/fs/cgroup", tree, cgroupParent, id, file), "latin1").trim();
    },
    traces() {
      const mounts = readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .filter((line) => line.includes(base));
      const roots = ["", ...readdirSync("/sys/fs/cgroup")].map((tree) =>
        join("/sys/fs/cgroup", tree, cgroupParent),
      );
      return { mounts, cgroups: roots.filter((path) => existsSync(path)) };
    },
    async close() {
      for (const record of lab.manager.list()) await lab.manager.remove(record.id, { force: true });
      await lab.manager.close();
      for (const line of lab.traces().mounts.reverse())
        execFileSync("umount", ["-l", line.split(" ")[4] ?? ""]);
      await rm(base, { recursive: true, force: true });
    },
  };
  return lab;
}

export function defaultSpecification(name: string): ContainerSpecification {
  return {
    name,
    image: "busybox",
    entrypoint: [],
    args: [],
    env: [],
    workingDir: "",
    user: "",
    groups: [],
    hostname: "",
    labels: {},
    tty: false,
    openStdin: false,
    readOnly: false,
    init: false,
    mounts: [],
    files: [],
    stopSignal: "",
    stopGracePeriodMs: 10_000,
    healthcheck: undefined,
    resources: { memoryBytes: 0, swapBytes: undefined, nanoCpus: 0, pidsLimit: 0 },
    capAdd: [],
    capDrop: [],
    sysctls: {},
    ulimits: [],
    oomScoreAdj: 0,
    noNewPrivileges: false,
    seccomp: { kind: "default" },
    network: { kind: "none" },
    etcHosts: undefined,
    resolvConf: undefined,
    log: { driver: "", maxSizeBytes: 0, maxFiles: 0 },
  };
}

const APPLETS =
  "sh true false sleep cat echo id ls touch mkdir env hostname kill head tr grep mount umount unshare test stat pwd"
    .concat(" readlink cut wc dd mknod ps ln rm chown chmod")
    .split(" ");

/** One image, an overlay per container; what it cannot do it refuses. */
class OverlayImages implements ImageStore {
  readonly #base: string;
  readonly #linux: Linux;
  readonly #config: ImageConfig;
  readonly #mounted = new Set<string>();

  constructor(base: string, linux: Linux, config: ImageConfig) {
    this.#base = base;
    this.#linux = linux;
    this.#config = config;
  }

  async build(): Promise<void> {
    const lower = join(this.#base, "lower");
    for (const folder of ["bin", "proc", "sys", "dev", "etc", "tmp", "data"])
      await mkdir(join(lower, folder), { recursive: true });
    await copyFile("/bin/busybox", join(lower, "bin/busybox"));
    for (const applet of APPLETS) await symlink("busybox", join(lower, "bin", applet));
    await writeFile(
      join(lower, "etc/passwd"),
      "root:x:0:0:root:/root:/bin/sh\nalice:x:1001:1002:Alice:/home/alice:/bin/sh\n",
    );
    await writeFile(join(lower, "etc/group"), "root:x:0:\nstaff:x:1002:\nwheel:x:1003:alice\n");
    await writeFile(join(lower, "data/seed"), "from the image\n");
  }

  find(reference: string): ImageRecord | undefined {
    const id = `sha256:${"b".repeat(64)}`;
    if (reference !== "busybox" && reference !== id) return undefined;
    return {
      id,
      repoTags: ["docker.io/library/busybox:latest"],
      repoDigests: [],
      createdMs: 0,
      sizeBytes: 1,
      architecture: "amd64",
      os: "linux",
      chainIds: [],
      diffIds: [],
      config: this.#config,
      author: "",
      comment: "",
    };
  }

  list(): readonly ImageRecord[] {
    return [];
  }

  async mountRootfs(_imageId: string, containerId: string): Promise<string> {
    const root = this.#folder(containerId);
    const [upper, work, merged] = [join(root, "u"), join(root, "w"), join(root, "m")];
    if (this.#mounted.has(containerId)) return merged;
    await Promise.all([upper, work, merged].map((path) => mkdir(path, { recursive: true })));
    this.#linux.mount({
      source: "overlay",
      target: merged,
      type: "overlay",
      data: `lowerdir=${join(this.#base, "lower")},upperdir=${upper},workdir=${work}`,
    });
    this.#mounted.add(containerId);
    return merged;
  }

  async unmountRootfs(containerId: string): Promise<void> {
    if (this.#mounted.delete(containerId)) await this.#linux.unmount(join(this.#folder(containerId), "m"));
  }

  rootfsLayers(containerId: string): { upper: string; lowers: readonly string[] } | undefined {
    const upper = join(this.#folder(containerId), "u");
    return existsSync(upper) ? { upper, lowers: [join(this.#base, "lower")] } : undefined;
  }

  async removeRootfs(containerId: string): Promise<void> {
    await this.unmountRootfs(containerId);
    await rm(this.#folder(containerId), { recursive: true, force: true });
  }

  #folder(containerId: string): string {
    return join(this.#base, "o", containerId);
  }

  pull = refused;
  describeRemote = refused;
  load = refused;
  importRootfs = refused;
  tag = refused;
  remove = refused;

  async close(): Promise<void> {}
}

function refused(): Promise<never> {
  return Promise.reject(new NotImplementedError("not part of the lab's image store"));
}
