/**
 * Makes the OCI configuration of one container just before it starts.
 * Edge: to the container's root file system and volumes. Everything that can be refused without the root file
 * system was refused at create.
 */
import { mkdir, stat } from "node:fs/promises";
import {
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
  NotImplementedError,
} from "../../base/errors/errors.js";
import { assertNever } from "../../base/errors/invariant.js";
import type { ImageRecord } from "../images/image-store.js";
import { capabilitySet } from "../runtime/capabilities.js";
import { makeFolderInRoot, readTextInRoot, resolveInRoot } from "../runtime/fs-rootfs.js";
import { buildOciSpec } from "../runtime/oci-spec.js";
import type { OciMount, OciSpec } from "../runtime/oci-types.js";
import { type ResolvedUser, resolveUser } from "../runtime/oci-user.js";
import { findProgram } from "../runtime/process-run.js";
import type { SeccompChoice } from "../runtime/seccomp-filter.js";
import type { VolumeStore } from "../volumes/volume-store.js";
import { ownNetwork } from "./container-admission.js";
import type { ContainerMount, ContainerSpecification } from "./container-manager.js";
import { type ContainerProcess, containerProcess } from "./container-process.js";
import type { ContainerFiles } from "./fs-container-files.js";
import type { StoredContainer } from "./stored-container.js";

export interface BundleMaker {
  readonly files: ContainerFiles;
  readonly volumes: VolumeStore;
  readonly cgroupParent: string;
  readonly lastCapability: number;
  seccomp(
    specification: Pick<ContainerSpecification, "seccomp">,
    capabilities: readonly string[],
  ): SeccompChoice;
}

export interface Bundle {
  readonly spec: OciSpec;
  readonly process: ContainerProcess;
  readonly user: ResolvedUser;
}

const INIT_TARGET = "/sbin/docker-init";
const INIT_FOLDERS = ["/usr/libexec/podman", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

export async function makeBundle(
  maker: BundleMaker,
  container: StoredContainer,
  image: ImageRecord,
  rootfs: string,
): Promise<Bundle> {
  const { id, specification } = container.record;
  const process = containerProcess(id, specification, image.config);
  const [passwd, group] = await Promise.all([
    readTextInRoot(rootfs, "/etc/passwd"),
    readTextInRoot(rootfs, "/etc/group"),
  ]);
  const user = resolveUser({ user: process.user, groups: specification.groups }, { passwd, group });
  const capabilities = capabilitySet(
    { add: specification.capAdd, drop: specification.capDrop },
    maker.lastCapability,
  );
  const seccomp = maker.seccomp(specification, capabilities);
  const mounts: OciMount[] = [...(await maker.files.mounts(container, process.hostname))];
  for (const mount of specification.mounts) mounts.push(await mountOf(maker, container, mount, rootfs));
  for (const volume of container.volumes) {
    if (!specification.mounts.some((mount) => mount.target === volume.target))
      mounts.push(await volumeMount(maker, volume, rootfs));
  }
  const init = specification.init ? initMount() : undefined;
  if (
    !mounts.some(
      (mount) => process.cwd === mount.destination || process.cwd.startsWith(`${mount.destination}/`),
    )
  ) {
    await makeFolderInRoot(rootfs, process.cwd);
  }
  const home = process.env.some((entry) => entry.startsWith("HOME=")) ? [] : [`HOME=${user.home}`];
  const spec = buildOciSpec({
    rootfs,
    readOnly: specification.readOnly,
    args: init === undefined ? process.args : [INIT_TARGET, "--", ...process.args],
    env: [...process.env, ...home],
    cwd: process.cwd,
    user,
    tty: specification.tty,
    hostname: process.hostname,
    capabilities,
    ulimits: specification.ulimits,
    sysctls: specification.sysctls,
    noNewPrivileges: specification.noNewPrivileges,
    oomScoreAdj: specification.oomScoreAdj,
    resources: specification.resources,
    cgroupPath: `${maker.cgroupParent}/${id}`,
    network: ownNetwork(specification),
    mounts: init === undefined ? mounts : [...mounts, init],
    seccompBpf: seccomp.bpf,
    seccomp: seccomp.json,
  });
  return { spec, process, user };
}

function initMount(): OciMount {
  const path = ["catatonit", "tini", "docker-init", "tini-static"]
    .map((name) => findProgram(name, INIT_FOLDERS))
    .find((found) => found !== undefined);
  if (path === undefined)
    throw new FailedPreconditionError(
      "init was asked for, but neither catatonit nor tini is installed on this node",
    );
  return { destination: INIT_TARGET, type: "bind", source: path, options: ["bind", "ro", "rprivate"] };
}

const PROPAGATIONS = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

async function mountOf(
  maker: BundleMaker,
  container: StoredContainer,
  mount: ContainerMount,
  rootfs: string,
): Promise<OciMount> {
  switch (mount.kind) {
    case "bind":
      return bindMount(mount);
    case "tmpfs": {
      const size = mount.sizeBytes > 0 ? [`size=${mount.sizeBytes}`] : [];
      const mode = mount.mode > 0 ? [`mode=${mount.mode.toString(8)}`] : [];
      const options = [
        ...new Set([
          "nosuid",
          "nodev",
          ...(mount.options.includes("exec") ? [] : ["noexec"]),
          ...size,
          ...mode,
          ...mount.options,
        ]),
      ];
      return { destination: mount.target, type: "tmpfs", source: "tmpfs", options };
    }
    case "volume": {
      const volume = container.volumes.find((candidate) => candidate.target === mount.target);
      if (volume === undefined) throw new NotFoundError(`volume for ${mount.target} is not recorded`);
      return volumeMount(maker, volume, rootfs);
    }
    case "image":
      throw new NotImplementedError("image mounts are not supported yet");
    default:
      return assertNever(mount, "mount");
  }
}

async function bindMount(mount: Extract<ContainerMount, { kind: "bind" }>): Promise<OciMount> {
  if (!mount.source.startsWith("/"))
    throw new InvalidArgumentError(
      `bind source must be an absolute path, got ${JSON.stringify(mount.source)}`,
    );
  const propagation = mount.propagation === "" ? "rprivate" : mount.propagation;
  if (!PROPAGATIONS.includes(propagation))
    throw new InvalidArgumentError(`unknown mount propagation ${JSON.stringify(mount.propagation)}`);
  try {
    await stat(mount.source);
  } catch (error) {
    if (!mount.createSource)
      throw new InvalidArgumentError(
        `bind source path does not exist: ${mount.source} (${messageOf(error)})`,
        { cause: error },
      );
    await mkdir(mount.source, { recursive: true, mode: 0o755 });
  }
  const options = [mount.recursive ? "rbind" : "bind", propagation, ...(mount.readOnly ? ["ro"] : [])];
  return { destination: mount.target, type: "bind", source: mount.source, options };
}

async function volumeMount(
  maker: BundleMaker,
  volume: StoredContainer["volumes"][number],
  rootfs: string,
): Promise<OciMount> {
  const record = maker.volumes.find(volume.name);
  if (record === undefined) throw new NotFoundError(`no such volume: ${volume.name}`);
  if (!volume.noCopy) await maker.volumes.copyUp(volume.name, await resolveInRoot(rootfs, volume.target));
  let source = record.mountpoint;
  if (volume.subpath !== "") {
    source = await resolveInRoot(record.mountpoint, volume.subpath);
    try {
      await stat(source);
    } catch (error) {
      throw new InvalidArgumentError(`subpath ${volume.subpath} does not exist in volume ${volume.name}`, {
        cause: error,
      });
    }
  }
  return {
    destination: volume.target,
    type: "bind",
    source,
    options: ["rbind", "rprivate", ...(volume.readOnly ? ["ro"] : [])],
  };
}
