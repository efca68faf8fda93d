/**
 * The Linux port by system calls. Edge: to the kernel, by koffi.
 * Source: mount(2), mknod(2), lsetxattr(2), socket(2), ip(7), unix(7).
 */
import { closeSync, constants, openSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { isIPv4, isIPv6 } from "node:net";
import { InternalError } from "../errors/errors.js";
import {
  cBind,
  cCloseRange,
  cConnect,
  cFcntl,
  cListen,
  cLsetxattr,
  cMallopt,
  cMount,
  cPipe2,
  cSetsockopt,
  cSocket,
  cString,
  lastErrno,
  mknod,
  mountErrno,
  openat2,
  refusal,
  refusalOf,
  umountErrno,
} from "./linux-koffi-calls.js";
import { openNetlink } from "./linux-koffi-netlink.js";
import { joinNetlinkGroups } from "./linux-koffi-netlink-groups.js";
import { createNetns, deleteNetns, inNetns } from "./linux-koffi-netns.js";
import { openNft } from "./linux-koffi-nft.js";
import { readXattrs } from "./linux-koffi-xattrs.js";
import type { Linux, MountOptions, SocketTrait } from "./linux-ports.js";
import { sysctlPath } from "./sysctl-path.js";

const CLOSE_RANGE_CLOEXEC = 4;
const MNT_DETACH = 2;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_IPV6 = 41;
const IPPROTO_SCTP = 132;
const IPV6_V6ONLY = 26;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_NO_CHECK = 11;
const SO_RCVBUFFORCE = 33;
/** 2 MiB, doubled by the kernel, which counts 768 bytes for a small datagram: five thousand of them. */
const DEEP_QUEUE_BYTES = Buffer.from([0, 0, 0x20, 0]);
const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_PROBE = 3;
/** Also of IPv6 sockets, by the name of the older family. */
const IP_FREEBIND = 15;
/** Connections not yet accepted; the kernel drops further ones, whose clients try again. */
const LISTEN_BACKLOG = 64;

const MS_REC = 16384;
const MOUNT_FLAGS: Readonly<Record<string, number>> = {
  ro: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  remount: 32,
  noatime: 1024,
  bind: 4096,
  rbind: 4096 | MS_REC,
  private: 1 << 18,
  rprivate: (1 << 18) | MS_REC,
  slave: 1 << 19,
  rslave: (1 << 19) | MS_REC,
  shared: 1 << 20,
  rshared: (1 << 20) | MS_REC,
};

function mountFlags(names: readonly string[]): number {
  let flags = 0;
  for (const name of names) {
    const flag = MOUNT_FLAGS[name];
    if (flag === undefined)
      throw new InternalError(
        `mount flag must be one of ${Object.keys(MOUNT_FLAGS).join(", ")}, got ${name}`,
      );
    flags |= flag;
  }
  return flags;
}

function mountArguments(options: MountOptions): Parameters<typeof cMount> {
  const source = cString(options.source, "mount source");
  const target = cString(options.target, "mount target");
  const type = options.type === "" ? null : cString(options.type, "mount type");
  const data = options.data === undefined ? null : cString(options.data, "mount data");
  return [source, target, type, mountFlags(options.flags ?? []), data];
}

function mount(options: MountOptions): void {
  const args = mountArguments(options);
  if (cMount(...args) !== 0) throw mountRefusal(lastErrno(), options);
}

async function mountAside(options: MountOptions): Promise<void> {
  const errno = await mountErrno(...mountArguments(options));
  if (errno !== 0) throw mountRefusal(errno, options);
}

function mountRefusal(errno: number, { source, target, type }: MountOptions): InternalError {
  return refusal(errno, "mount", `${target} (${type || "bind"} of ${source})`);
}

async function unmount(target: string, options: { detach?: boolean } = {}): Promise<void> {
  const errno = await umountErrno(cString(target, "path"), options.detach ? MNT_DETACH : 0);
  if (errno !== 0) throw refusal(errno, "umount", target);
}

/** struct sockaddr_in or sockaddr_in6 */
function inetAddress(address: string, port: number): Buffer {
  if (isIPv6(address)) {
    const bytes = Buffer.alloc(28);
    bytes.writeUInt16LE(AF_INET6, 0);
    bytes.writeUInt16BE(port, 2);
    bytes.set(ipv6Bytes(address), 8);
    return bytes;
  }
  if (!isIPv4(address)) throw new InternalError(`address must be IPv4 or IPv6, got ${address}`);
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address.split(".").map(Number), 4);
  return bytes;
}

/** @param address one that isIPv6 accepts, without zone. */
function ipv6Bytes(address: string): number[] {
  const dotted = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((part) => part.toString(16)).join(":"),
  );
  const [head = "", tail] = dotted.split("::");
  const parse = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((part) => Number.parseInt(part, 16));
  const [first, last] = [parse(head), parse(tail ?? "")];
  const groups = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
  return groups.flatMap((group) => [group >> 8, group & 255]);
}

function bindSocket(options: {
  netnsPath: string | undefined;
  kind: "udp" | "tcp" | "sctp";
  address: string;
  port: number;
  traits?: readonly SocketTrait[];
}): number {
  const { netnsPath, kind, address, port, traits = [] } = options;
  const target = `${kind} ${address}:${port} in ${netnsPath ?? "the own namespace"}`;
  const bytes = inetAddress(address, port);
  const type = kind === "udp" ? SOCK_DGRAM : SOCK_STREAM;
  const family = isIPv6(address) ? AF_INET6 : AF_INET;
  return inNetns(netnsPath, () => {
    const fd = cSocket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, kind === "sctp" ? IPPROTO_SCTP : 0);
    if (fd < 0) throw refusal(lastErrno(), "socket", target);
    const closing = (call: string): InternalError => {
      const error = refusal(lastErrno(), call, target);
      closeSync(fd);
      return error;
    };
    const yes = Buffer.from([1, 0, 0, 0]);
    if (family === AF_INET6 && cSetsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, yes, yes.length) !== 0)
      throw closing("setsockopt");
    if (kind === "tcp") {
      // connections of a closed listener linger for a minute; they must not keep its port
      if (cSetsockopt(fd, SOL_SOCKET, SO_REUSEADDR, yes, yes.length) !== 0) throw closing("setsockopt");
    }
    if (traits.includes("no-checksum") && cSetsockopt(fd, SOL_SOCKET, SO_NO_CHECK, yes, yes.length) !== 0)
      throw closing("setsockopt");
    if (traits.includes("deep-queue")) {
      // where it is refused (no CAP_NET_ADMIN there), the usual length must do
      cSetsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, DEEP_QUEUE_BYTES, DEEP_QUEUE_BYTES.length);
    }
    if (traits.includes("free-bind") && cSetsockopt(fd, IPPROTO_IP, IP_FREEBIND, yes, yes.length) !== 0)
      throw closing("setsockopt");
    if (traits.includes("probe-mtu")) {
      const probe = Buffer.from([IP_PMTUDISC_PROBE, 0, 0, 0]);
      if (cSetsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, probe, probe.length) !== 0)
        throw closing("setsockopt");
    }
    if (cBind(fd, bytes, bytes.length) !== 0) throw closing("bind");
    if (kind !== "udp" && !traits.includes("unlistened") && cListen(fd, LISTEN_BACKLOG) !== 0)
      throw closing("listen");
    return fd;
  });
}

function setSysctls(netnsPath: string | undefined, values: Readonly<Record<string, string>>): void {
  inNetns(netnsPath, () => {
    for (const [key, value] of Object.entries(values)) {
      const path = sysctlPath(key);
      try {
        writeFileSync(path, value);
      } catch (error) {
        throw refusalOf(error, `writing ${value}`, path);
      }
    }
  });
}

function setXattr(path: string, name: string, value: Uint8Array): void {
  if (
    cLsetxattr(cString(path, "path"), cString(name, "attribute"), Buffer.from(value), value.length, 0) !== 0
  ) {
    throw refusal(lastErrno(), `setxattr ${name}`, path);
  }
}

const NODE_KINDS = { char: 0o020000, block: 0o060000, fifo: 0o010000 } as const;

const makeNode: Linux["makeNode"] = ({ path, kind, mode, major, minor }) => {
  // the kernel's own widths: a wider number would name another device
  if ((major & 0xfff) !== major || (minor & 0xf_ffff) !== minor) {
    throw new InternalError(`device numbers of ${path} must be at most 4095:1048575, got ${major}:${minor}`);
  }
  const device = (BigInt(major) << 8n) | BigInt(minor & 0xff) | (BigInt(minor & ~0xff) << 12n);
  if (mknod(cString(path, "path"), NODE_KINDS[kind] | (mode & 0o7777), device) !== 0) {
    throw refusal(lastErrno(), "mknod", path);
  }
};

const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const RESOLVE = { noMagicLinks: 0x2n, beneath: 0x8n, inRoot: 0x10n } as const;

const openInRoot: Linux["openInRoot"] = ({ root, path, flags = O_PATH, mode = 0, leaving }) => {
  const folder = openSync(cString(root, "root"), constants.O_DIRECTORY | constants.O_RDONLY);
  try {
    const resolve = RESOLVE.noMagicLinks | (leaving === "refused" ? RESOLVE.beneath : RESOLVE.inRoot);
    const how = BigUint64Array.of(BigInt(flags | O_CLOEXEC), BigInt(mode), resolve);
    const fd = openat2(folder, cString(path, "path"), how);
    if (fd < 0) throw refusal(lastErrno(), "openat2", `${path} in ${root}`);
    return fd;
  } finally {
    closeSync(folder);
  }
};

const SOCKET_PATH_BYTES_MAX = 107;

const connectSeqPacket = (path: string): number => connectLocal(path, SOCK_SEQPACKET);

function connectLocal(path: string, type: number): number {
  const length = Buffer.byteLength(cString(path, "path"));
  if (length > SOCKET_PATH_BYTES_MAX) {
    throw new InternalError(
      `socket path must have at most ${SOCKET_PATH_BYTES_MAX} bytes, got ${length}: ${path}`,
    );
  }
  const bytes = Buffer.alloc(2 + length + 1); // struct sockaddr_un up to the NUL
  bytes.writeUInt16LE(AF_UNIX, 0);
  bytes.write(path, 2);
  // not blocking: where the listener's backlog is full, EAGAIN, and not the event loop waiting for it
  const fd = cSocket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw refusal(lastErrno(), "socket", path);
  if (cConnect(fd, bytes, bytes.length) !== 0) {
    const error = refusal(lastErrno(), "connect", path);
    closeSync(fd);
    throw error;
  }
  return fd;
}

const F_DUPFD_CLOEXEC = 1030;
const F_SETFL = 4;

function duplicate(fd: number): number {
  const copy = cFcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) throw refusal(lastErrno(), "fcntl(F_DUPFD_CLOEXEC)", `descriptor ${fd}`);
  return copy;
}

function pipe(ours: "read" | "write"): { readFd: number; writeFd: number } {
  const ends = new Int32Array(2);
  // O_CLOEXEC and O_NONBLOCK are the same bits
  if (cPipe2(ends, SOCK_CLOEXEC) !== 0) throw refusal(lastErrno(), "pipe2", "a pipe");
  const [readFd = -1, writeFd = -1] = ends;
  const access = ours === "read" ? 0 : 1;
  cFcntl(ours === "read" ? readFd : writeFd, F_SETFL, SOCK_NONBLOCK | access);
  return { readFd, writeFd };
}

const M_TRIM_THRESHOLD = -1;
const FREE_BYTES_MAX = 128 * 1024;

/**
 * Free memory goes back to the kernel. On its own glibc keeps up to twice the largest block it ever freed, in
 * each arena: 5 MB after one worker thread, for the life of the process.
 */
function giveFreeMemoryBack(): void {
  cMallopt?.(M_TRIM_THRESHOLD, FREE_BYTES_MAX);
}

/**
 * Opens the system-call module. Forces Node's thread pool into being first, so that its threads live in the
 * home namespace.
 */
export async function openKoffiLinux(): Promise<Linux> {
  await stat("/");
  giveFreeMemoryBack();
  return {
    mount,
    mountAside,
    unmount,
    createNetns,
    deleteNetns,
    inNetns,
    nft: openNft,
    netlink: openNetlink,
    joinNetlinkGroups,
    bindSocket,
    setSysctls,
    setXattr,
    readXattrs,
    makeNode,
    openInRoot,
    connectSeqPacket,
    connectDatagram: (path) => connectLocal(path, SOCK_DGRAM),
    duplicate,
    pipe,
    keepDescriptors: () => void cCloseRange?.(3, 0xffff_ffff, CLOSE_RANGE_CLOEXEC),
  };
}
