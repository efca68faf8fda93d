/**
 * What is decided about a container before it exists: is the request one that can be honoured,
 * and what will its record be.
 * Pure. Everything that can be refused without a root file system is refused here, by name.
 */
import { posix } from "node:path";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ImageRecord } from "../images/image-store.js";
import { blockDevicePaths } from "../runtime/oci-resources.js";
import { buildOciSpec } from "../runtime/oci-spec.js";
import type { BundleMaker } from "./container-bundle.js";
import type { ContainerMount, ContainerRecord, ContainerSpecification } from "./container-manager.js";
import { containerProcess } from "./container-process.js";
import { planIsolation } from "./isolation-plan.js";
import { admitLogOptions } from "./logdrivers/log-options.js";
import { signalNumber } from "./signals.js";

export type KeptSpecification = Omit<ContainerSpecification, "files">;
type VolumeMount = Extract<ContainerMount, { kind: "volume" }>;

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;

/** @throws {InvalidArgumentError} {NotImplementedError} naming what cannot be honoured. */
export function admitContainer(
  id: string,
  specification: KeptSpecification,
  image: ImageRecord,
  maker: Pick<BundleMaker, "seccomp" | "kernel" | "cgroupParent">,
): void {
  if (!NAME.test(specification.name)) {
    throw new InvalidArgumentError(
      `invalid container name ${JSON.stringify(specification.name)}: must match ${NAME.source}`,
    );
  }
  admitLogOptions(specification.log.driver, specification.log.options ?? {});
  const planned = containerProcess(id, specification, image.config);
  signalNumber(planned.stopSignal);
  const plan = planIsolation(id, specification, maker);
  const { bpf, json } = maker.seccomp(plan.seccomp, plan.capabilities, plan.runtime);
  // Built once with stand-ins for what is known only at the start: it checks limits, sysctls,
  // targets and paths.
  const { isolation: _planned, ...plain } = specification;
  const blockDevices = new Map(
    blockDevicePaths(specification.resources).map((path) => [path, { major: 0, minor: 0 }]),
  );
  buildOciSpec({
    ...plain,
    network: ownNetwork(specification),
    rootfs: "/",
    args: planned.args,
    env: planned.env,
    cwd: planned.cwd,
    user: { uid: 0, gid: 0, additionalGids: [] },
    hostname: planned.hostname,
    capabilities: plan.capabilities,
    cgroupPath: plan.cgroupPath,
    mounts: specification.mounts.map(({ target, kind }) => ({
      destination: target,
      type: kind,
      source: "",
      options: [],
    })),
    seccompBpf: bpf,
    seccomp: json,
    isolation: {
      ipc: plan.ipc === "host" ? "host" : "own",
      uts: plan.uts,
      domainname: specification.domainname ?? "",
      blockDevices,
    },
  });
}

/** What the OCI configuration can name by itself; the others are given a namespace's path before the start. */
export function ownNetwork({
  network,
}: Pick<KeptSpecification, "network">): Exclude<
  KeptSpecification["network"],
  { kind: "container" | "networks" }
> {
  return network.kind === "container" || network.kind === "networks" ? { kind: "none" } : network;
}

/** Volumes asked for, and an anonymous one for each volume of the image that nothing is mounted on. */
export function wantedVolumes(specification: KeptSpecification, image: ImageRecord): readonly VolumeMount[] {
  const asked = specification.mounts.flatMap((mount) => (mount.kind === "volume" ? [mount] : []));
  const taken = new Set(specification.mounts.map((mount) => plainPath(mount.target)));
  const ofImage = [...new Set(image.config.volumes.map(plainPath))]
    .filter((target) => !taken.has(target))
    .map(
      (target): VolumeMount => ({
        kind: "volume",
        name: "",
        target,
        readOnly: false,
        noCopy: false,
        subpath: "",
        driver: "",
        driverOptions: {},
        labels: {},
      }),
    );
  return [...asked, ...ofImage];
}

/** Images write /data/ as well as /data, and relative ones are meant from the root. */
function plainPath(path: string): string {
  return posix.join("/", path).replace(/(.)\/$/, "$1");
}

export function newRecord(options: {
  id: string;
  specification: KeptSpecification;
  imageId: string;
  createdMs: number;
}): ContainerRecord {
  const { id, specification, imageId, createdMs } = options;
  return {
    id,
    name: specification.name,
    imageId,
    specification,
    createdMs,
    state: "created",
    pid: 0,
    startedMs: 0,
    finishedMs: 0,
    exitCode: 0,
    oomKilled: false,
    error: "",
    health: "",
  };
}
