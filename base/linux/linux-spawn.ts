/**
 * The Linux port by commands, for machines where the system-call module cannot be loaded. Edge: to child
 * processes: mount, umount, unshare, nsenter, nft, setfattr, mknod. Some milliseconds per call, and the event
 * loop waits for most. What only a system call of this very process can do is refused, never imitated: so
 * containers run, networks do not.
 * Sources: mount(8), umount(8), unshare(1), nsenter(1), nft(8), setfattr(1), mknod(1).
 */
import { closeSync, openSync, unlinkSync, writeFileSync } from "node:fs";
import { InternalError, messageOf, NotImplementedError } from "../errors/errors.js";
import type { Linux, MountOptions, NftContext } from "./linux-ports.js";
import { run, runAside, runToEnd } from "./process-command.js";
import { sysctlPath } from "./sysctl-path.js";

/** What mount(8) wants as --make-… */
const PROPAGATIONS = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];
const BINDS = ["bind", "rbind"];
const OPTIONS = ["ro", "nosuid", "nodev", "noexec", "remount", "noatime"];

function refused(call: string): NotImplementedError {
  return new NotImplementedError(
    `${call} needs system calls from this process, which linux-spawn cannot make: ` +
      "install a koffi that loads here and unset SKEIN_LINUX or set it to koffi",
  );
}

function enter(
  netnsPath: string | undefined,
  argv: readonly [string, ...string[]],
): readonly [string, ...string[]] {
  return netnsPath === undefined ? argv : ["nsenter", `--net=${netnsPath}`, "--", ...argv];
}

function mount(options: MountOptions): void {
  const { source, target, type, data } = options;
  const flags = options.flags ?? [];
  const unknown = flags.find((flag) => ![...PROPAGATIONS, ...BINDS, ...OPTIONS].includes(flag));
  if (unknown !== undefined) {
    const known = [...OPTIONS, ...BINDS, ...PROPAGATIONS].join(", ");
    throw new InternalError(`mount flag must be one of ${known}, got ${unknown}`);
  }
  const attempt = { call: "mount", target: `${target} (${type || "bind"} of ${source})` };
  const propagation = flags.filter((flag) => PROPAGATIONS.includes(flag));
  if (propagation.length > 0 && propagation.length === flags.length) {
    run(attempt, ["mount", "-n", ...propagation.map((flag) => `--make-${flag}`), "--", target]);
    return;
  }
  const words = [...flags, ...(data === undefined || data === "" ? [] : [data])].join(",");
  const typed = type === "" ? [] : ["-t", type];
  // -i: no helper programs; -n: no mtab
  run(attempt, ["mount", "-i", "-n", ...typed, ...(words === "" ? [] : ["-o", words]), "--", source, target]);
}

async function unmount(target: string, options: { detach?: boolean } = {}): Promise<void> {
  await runAside({ call: "umount", target }, [
    "umount",
    "-i",
    "-n",
    ...(options.detach ? ["-l"] : []),
    "--",
    target,
  ]);
}

function codeOfNode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : messageOf(error);
}

function createNetns(path: string): void {
  const attempt = { call: "creating a network namespace", target: path };
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    throw new InternalError(`${attempt.call} of ${path} failed: ${codeOfNode(error)}`, { cause: error });
  }
  try {
    run(attempt, ["unshare", `--net=${path}`, "--", "true"]);
  } catch (error) {
    unlinkSync(path);
    throw error;
  }
}

async function deleteNetns(path: string): Promise<void> {
  try {
    await unmount(path, { detach: true });
  } catch (error) {
    // not a mount point, e.g. after a reboot; or gone
    if (!/ (EINVAL|ENOENT)$/.test(messageOf(error))) throw error;
  }
  try {
    unlinkSync(path);
  } catch (error) {
    const code = codeOfNode(error);
    if (code !== "ENOENT") throw new InternalError(`unlink of ${path} failed: ${code}`, { cause: error });
  }
}

function nft(netnsPath: string | undefined): NftContext {
  const attempt = { call: "nft", target: netnsPath ?? "this network namespace" };
  run(attempt, enter(netnsPath, ["nft", "--version"])); // the namespace and the command are there
  let open = true;
  const transact = (args: readonly string[], input = ""): string => {
    if (!open) throw new InternalError("nft context is closed");
    const done = runToEnd(attempt, enter(netnsPath, ["nft", ...args]), input);
    if (done.status !== 0) throw new InternalError(`nft refused: ${done.stderr.trim()}`);
    return done.stdout;
  };
  return {
    run: (text) => void transact(["-f", "-"], `${text}\n`),
    // as an argument: with -j, nft would open /dev/stdin, which cannot be done with a socket
    list: (text, options = {}) => transact([...(options.json ? ["-j"] : []), text]),
    close(): void {
      open = false;
    },
  };
}

/** Reads pairs of path and value from its arguments; `tee` says why the kernel refused. */
const WRITE_SETTINGS =
  'while [ $# -gt 0 ]; do printf %s "$2" | tee -- "$1" >/dev/null || exit 1; shift 2; done';

function setSysctls(netnsPath: string | undefined, values: Readonly<Record<string, string>>): void {
  const pairs = Object.entries(values).map(([name, value]) => [sysctlPath(name), value] as const);
  if (netnsPath !== undefined) {
    const attempt = { call: "writing settings", target: Object.keys(values).join(", ") };
    run(attempt, enter(netnsPath, ["sh", "-c", WRITE_SETTINGS, "sh", ...pairs.flat()]));
    return;
  }
  for (const [path, value] of pairs) {
    try {
      writeFileSync(path, value);
    } catch (error) {
      throw new InternalError(`writing ${value} of ${path} failed: ${codeOfNode(error)}`, { cause: error });
    }
  }
}

function setXattr(path: string, name: string, value: Uint8Array): void {
  const text = value.length === 0 ? [] : ["-v", `0x${Buffer.from(value).toString("hex")}`];
  run({ call: `setxattr ${name}`, target: path }, ["setfattr", "-h", "-n", name, ...text, "--", path]);
}

const NODE_KINDS = { char: "c", block: "b", fifo: "p" } as const;

const makeNode: Linux["makeNode"] = ({ path, kind, mode, major, minor }) => {
  if ((major & 0xfff) !== major || (minor & 0xf_ffff) !== minor) {
    throw new InternalError(`device numbers of ${path} must be at most 4095:1048575, got ${major}:${minor}`);
  }
  // mknod(1) would set them whatever the umask says
  const bits = (mode & 0o7777 & ~process.umask()).toString(8);
  const numbers = kind === "fifo" ? [] : [String(major), String(minor)];
  run({ call: "mknod", target: path }, ["mknod", "-m", bits, "--", path, NODE_KINDS[kind], ...numbers]);
};

export function openSpawnLinux(): Linux {
  return {
    mount,
    unmount,
    createNetns,
    deleteNetns,
    inNetns: (path) => {
      throw refused(`inNetns of ${path}`);
    },
    nft,
    netlink: (netnsPath, protocol = "route") => {
      throw refused(`netlink ${protocol} of ${netnsPath ?? "this network namespace"}`);
    },
    bindSocket: ({ netnsPath, kind, address, port }) => {
      throw refused(`bindSocket of ${kind} ${address}:${port} in ${netnsPath}`);
    },
    setSysctls,
    setXattr,
    readXattrs: (path) => {
      throw refused(`readXattrs of ${path}`);
    },
    makeNode,
    openInRoot: ({ root, path }) => {
      throw refused(`openInRoot of ${path} in ${root}`);
    },
    connectSeqPacket: (path) => {
      throw refused(`connectSeqPacket of ${path}`);
    },
    connectDatagram: (path) => {
      throw refused(`connectDatagram of ${path}`);
    },
    duplicate: (fd) => {
      throw refused(`duplicate of descriptor ${fd}`);
    },
    pipe: (ours) => {
      throw refused(`pipe for ${ours}`);
    },
    keepDescriptors: () => undefined,
  };
}
