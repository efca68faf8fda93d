/**
 * The small files a container gets from its node: hosts, hostname, resolv.conf, secrets and configs.
 * Edge: to the file system.
 * Invariant: secret data is written only below the tmpfs at <runDir>/s; it never reaches a disk of the node.
 */
import { chmod, chown, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, posix } from "node:path";
import { FailedPreconditionError, InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { resolverOutsideNetworks, splitExtraHost } from "../../net-overlay/local/sandbox-files.js";
import { isErrno } from "../runtime/linux-process.js";
import type { OciMount } from "../runtime/oci-types.js";
import type { FileToPlace } from "./container-manager.js";
import type { PlacedFile, StoredContainer } from "./stored-container.js";

const SECRETS_FOLDER = "/run/secrets";
/** Where it lies among the files of a container on the tmpfs. */
const SECRETS_TREE = "run-secrets";
/** All secrets and configs of a node together; each is at most 1 MiB. */
const TMPFS_DATA = "size=256m,mode=0700";

export type EtcFile = "hosts" | "hostname" | "resolv.conf";

export interface ContainerFiles {
  /** Writes the files of a container; all or nothing. */
  place(id: string, files: readonly FileToPlace[]): Promise<readonly PlacedFile[]>;
  /**
   * Writes hosts, hostname and resolv.conf, and says how everything is mounted.
   * @throws when placed files were lost by a reboot.
   */
  mounts(container: StoredContainer, hostname: string): Promise<readonly OciMount[]>;
  /** Where hosts, hostname and resolv.conf of a running container are on the host. */
  etcPath(id: string, file: EtcFile): string;
  /** New content for files of a running container, in place: a bind mount keeps the file it was given. */
  rewrite(id: string, contents: Readonly<Partial<Record<EtcFile, string>>>): Promise<void>;
  /** hosts, hostname and resolv.conf go; placed files stay for the next start. */
  release(id: string): Promise<void>;
  remove(id: string): Promise<void>;
  /** Files of containers that are not in the set go. */
  sweep(known: ReadonlySet<string>): Promise<void>;
  /** Unmounts the tmpfs; only when no container is left. */
  unmount(): Promise<void>;
}

export async function openContainerFiles(init: {
  runDir: string;
  linux: Linux;
  log: Logger;
}): Promise<ContainerFiles> {
  const secrets = join(init.runDir, "s");
  await mkdir(secrets, { recursive: true, mode: 0o700 });
  await mkdir(join(init.runDir, "e"), { recursive: true, mode: 0o700 });
  if (!(await isMounted(secrets))) mountSecrets(secrets, init);
  return new NodeFiles(init.runDir, init.linux);
}

function mountSecrets(target: string, init: { linux: Linux; log: Logger }): void {
  const mount = { source: "tmpfs", target, type: "tmpfs", flags: ["nosuid", "nodev"] };
  try {
    init.linux.mount({ ...mount, data: `${TMPFS_DATA},noswap` });
  } catch (error) {
    // Kernels before 6.4 have no noswap; there secrets can reach the swap space, as with any orchestrator.
    init.log.warn("tmpfs for secrets cannot be kept out of swap", { error: messageOf(error) });
    init.linux.mount({ ...mount, data: TMPFS_DATA });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

async function isMounted(path: string): Promise<boolean> {
  const [own, above] = await Promise.all([stat(path), stat(dirname(path))]);
  return own.dev !== above.dev;
}

class NodeFiles implements ContainerFiles {
  readonly #runDir: string;
  readonly #linux: Linux;

  constructor(runDir: string, linux: Linux) {
    this.#runDir = runDir;
    this.#linux = linux;
  }

  #secretDir(id: string): string {
    return join(this.#runDir, "s", id);
  }

  #etcDir(id: string): string {
    return join(this.#runDir, "e", id.slice(0, 16));
  }

  async place(id: string, files: readonly FileToPlace[]): Promise<readonly PlacedFile[]> {
    if (files.length === 0) return [];
    const folder = this.#secretDir(id);
    await mkdir(join(folder, SECRETS_TREE), { recursive: true, mode: 0o755 });
    const placed: PlacedFile[] = [];
    for (const [index, file] of files.entries()) {
      if (!file.target.startsWith("/") || file.target.split("/").includes("..")) {
        throw new InvalidArgumentError(
          `file target must be an absolute path without "..", got ${JSON.stringify(file.target)}`,
        );
      }
      const below = posix.relative(SECRETS_FOLDER, file.target);
      // All below the folder come by one mount: within a read-only one no further place could be made.
      const name = below === "" || below.startsWith("..") ? String(index) : join(SECRETS_TREE, below);
      const path = join(folder, name);
      await mkdir(dirname(path), { recursive: true, mode: 0o755 });
      await writeFile(path, file.data, { mode: 0o600 });
      await chown(path, file.uid, file.gid);
      await chmod(path, file.mode);
      placed.push({ target: file.target, file: name });
    }
    return placed;
  }

  async mounts(container: StoredContainer, hostname: string): Promise<readonly OciMount[]> {
    const { id, specification } = container.record;
    const folder = this.#etcDir(id);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const taken = new Set(specification.mounts.map((mount) => mount.target));
    const contents = await etcContents(specification, hostname);
    const own: OciMount[] = [];
    for (const [name, text] of Object.entries(contents)) {
      if (taken.has(`/etc/${name}`)) continue;
      const source = join(folder, name);
      await writeFile(source, text, { mode: 0o644 });
      const options = ["rbind", "rprivate", ...(specification.readOnly ? ["ro"] : [])];
      own.push({ destination: `/etc/${name}`, type: "bind", source, options });
    }
    return [...own, ...(await this.#placedMounts(container))];
  }

  async #placedMounts(container: StoredContainer): Promise<readonly OciMount[]> {
    const folder = this.#secretDir(container.record.id);
    const options = ["rbind", "rprivate", "ro", "nosuid", "nodev"];
    const mounts: OciMount[] = [];
    for (const placed of container.files) {
      if (!(await exists(join(folder, placed.file)))) {
        throw new FailedPreconditionError(
          `${placed.target} of container ${container.record.id} was lost by a reboot: ` +
            "create the container anew",
        );
      }
      if (placed.file.startsWith(`${SECRETS_TREE}/`)) continue;
      mounts.push({ destination: placed.target, type: "bind", source: join(folder, placed.file), options });
    }
    if (mounts.length < container.files.length) {
      mounts.push({
        destination: SECRETS_FOLDER,
        type: "bind",
        source: join(folder, SECRETS_TREE),
        options,
      });
    }
    return mounts;
  }

  etcPath(id: string, file: EtcFile): string {
    return join(this.#etcDir(id), file);
  }

  async rewrite(id: string, contents: Readonly<Partial<Record<EtcFile, string>>>): Promise<void> {
    for (const [name, text] of Object.entries(contents)) {
      await writeFile(join(this.#etcDir(id), name), text, { mode: 0o644 });
    }
  }

  async release(id: string): Promise<void> {
    await rm(this.#etcDir(id), { recursive: true, force: true });
  }

  async remove(id: string): Promise<void> {
    await this.release(id);
    await rm(this.#secretDir(id), { recursive: true, force: true });
  }

  async sweep(known: ReadonlySet<string>): Promise<void> {
    const etc = new Set([...known].map((id) => basename(this.#etcDir(id))));
    for (const [folder, kept] of [["s", known] as const, ["e", etc] as const]) {
      for (const name of await readdir(join(this.#runDir, folder))) {
        if (!kept.has(name)) await rm(join(this.#runDir, folder, name), { recursive: true, force: true });
      }
    }
  }

  async unmount(): Promise<void> {
    const secrets = join(this.#runDir, "s");
    if (await isMounted(secrets)) await this.#linux.unmount(secrets);
  }
}

async function etcContents(
  specification: StoredContainer["record"]["specification"],
  hostname: string,
): Promise<Readonly<Record<EtcFile, string>>> {
  const host = specification.network.kind === "host";
  const hosts = specification.etcHosts ?? (host ? await readHostFile("/etc/hosts") : defaultHosts());
  const { dns = [], dnsSearch = [], dnsOptions = [], extraHosts = [] } = specification.networking ?? {};
  const asked = { dns, dnsSearch, dnsOptions };
  const resolver = await readHostFile("/etc/resolv.conf");
  return {
    hosts: specification.etcHosts === undefined ? withExtraHosts(hosts, extraHosts) : hosts,
    hostname: `${hostname}\n`,
    "resolv.conf": specification.resolvConf ?? resolverOutsideNetworks(resolver, asked),
  };
}

/** "host-gateway" means nothing where the container is on no network of ours. */
function withExtraHosts(hosts: string, extraHosts: readonly string[]): string {
  const lines = extraHosts
    .map(splitExtraHost)
    .filter(({ address }) => address !== "host-gateway")
    .map(({ host, address }) => `${address}\t${host}\n`);
  const end = hosts === "" || hosts.endsWith("\n") ? "" : "\n";
  return lines.length === 0 ? hosts : `${hosts}${end}${lines.join("")}`;
}

/** The address of a network is the network's business: it hands in a whole hosts file. */
function defaultHosts(): string {
  return [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
    "",
  ].join("\n");
}

async function readHostFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return "";
    throw error;
  }
}
