/**
 * The one system-call module. Edge: to libc and libnftables by koffi. Every signature stands here and nowhere else, because a wrong one
 * corrupts memory. `setns` and `unshare` act on the calling thread only: they are used synchronously, with the way back in `finally`;
 * a thread that cannot come back ends the process.
 * Sources: mount(2), umount2(2), setns(2), unshare(2), netlink(7), libnftables(3).
 */
import { closeSync, existsSync, openSync, unlinkSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import koffi from "koffi";
import { InternalError, messageOf } from "../errors/errors.js";
import type { Linux, MountOptions, NetlinkSocket, NftContext } from "./linux-ports.js";

const libc = koffi.load("libc.so.6");
const cMount = libc.func("int mount(const char*, const char*, const char*, unsigned long, const char*)");
const cUmount = libc.func("int umount2(const char*, int)");
const cSetns = libc.func("int setns(int, int)");
const cUnshare = libc.func("int unshare(int)");
const cSocket = libc.func("int socket(int, int, int)");
const cBind = libc.func("int bind(int, const uint8_t*, uint)");
const cListen = libc.func("int listen(int, int)");
const cConnect = libc.func("int connect(int, const uint8_t*, uint)");
const cSend = libc.func("long send(int, const uint8_t*, size_t, int)");
const cRecv = libc.func("long recv(int, _Out_ uint8_t*, size_t, int)");
const cSetsockopt = libc.func("int setsockopt(int, int, int, const uint8_t*, uint)");
const cLsetxattr = libc.func("int lsetxattr(const char*, const char*, const uint8_t*, size_t, int)");
const cMknod = libc.func("int mknod(const char*, uint, uint64_t)");

const cCloseRange = findCloseRange();

/** In glibc from 2.34 on. */
function findCloseRange(): ((first: number, last: number, flags: number) => number) | undefined {
  try {
    return libc.func("int close_range(uint, uint, int)") as (first: number, last: number, flags: number) => number;
  } catch (error) {
    if (error instanceof Error) return undefined; // koffi's word for a missing symbol
    throw error;
  }
}

const CLOSE_RANGE_CLOEXEC = 4;
const CLONE_NEWNET = 0x4000_0000;
const MNT_DETACH = 2;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_NETLINK = 16;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const LISTEN_BACKLOG = 64;

const MOUNT_FLAGS: Readonly<Record<string, number>> = {
  ro: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  remount: 32,
  noatime: 1024,
  bind: 4096,
  rbind: 4096 | 16384,
  rec: 16384,
  private: 1 << 18,
  rprivate: (1 << 18) | 16384,
  slave: 1 << 19,
  rslave: (1 << 19) | 16384,
  shared: 1 << 20,
  rshared: (1 << 20) | 16384,
};

const ERRNO_NAMES = new Map(Object.entries(koffi.os.errno).map(([name, value]) => [value as number, name]));

/** The error of a failed call: which call, on what, and the errno's name. */
function failure(call: string, target: string, errno = koffi.errno()): InternalError {
  return new InternalError(`${call} of ${target} failed: ${ERRNO_NAMES.get(errno) ?? `errno ${errno}`}`);
}

function mountFlags(names: readonly string[]): number {
  let flags = 0;
  for (const name of names) {
    const flag = MOUNT_FLAGS[name];
    if (flag === undefined) throw new InternalError(`mount flag must be one of ${Object.keys(MOUNT_FLAGS).join(", ")}, got ${name}`);
    flags |= flag;
  }
  return flags;
}

function mount(options: MountOptions): void {
  const { source, target, type, data } = options;
  if (cMount(source, target, type === "" ? null : type, mountFlags(options.flags ?? []), data ?? null) !== 0) {
    throw failure("mount", `${target} (${type || "bind"} of ${source})`);
  }
}

function unmount(target: string, options: { detach?: boolean } = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    cUmount.async(target, options.detach ? MNT_DETACH : 0, (error: Error | null, result: number) => {
      if (error) reject(new InternalError(`umount of ${target} failed: ${error.message}`, { cause: error }));
      else if (result !== 0) reject(failure("umount", target));
      else resolve();
    });
  });
}

/** Runs `fn` after `enter` moved this thread to another network namespace, and comes back whatever happens. */
function awayFromHome<T>(what: string, enter: () => number, fn: () => T): T {
  const home = openSync("/proc/thread-self/ns/net", "r");
  try {
    if (enter() !== 0) throw failure("entering a network namespace", what);
    try {
      return fn();
    } finally {
      if (cSetns(home, CLONE_NEWNET) !== 0) process.abort();
    }
  } finally {
    closeSync(home);
  }
}

function inNetns<T>(path: string, fn: () => T): T {
  const target = openSync(path, "r");
  try {
    return awayFromHome(path, () => cSetns(target, CLONE_NEWNET), fn);
  } finally {
    closeSync(target);
  }
}

function maybeInNetns<T>(path: string | undefined, fn: () => T): T {
  return path === undefined ? fn() : inNetns(path, fn);
}

function createNetns(path: string): void {
  closeSync(openSync(path, "wx", 0o600));
  try {
    awayFromHome(
      path,
      () => cUnshare(CLONE_NEWNET),
      () => mount({ source: "/proc/thread-self/ns/net", target: path, type: "", flags: ["bind"] }),
    );
  } catch (error) {
    unlinkSync(path);
    throw error;
  }
}

async function deleteNetns(path: string): Promise<void> {
  if (!existsSync(path)) return;
  try {
    await unmount(path, { detach: true });
  } catch (error) {
    if (!messageOf(error).endsWith("EINVAL")) throw error; // EINVAL: not a mount point, e.g. after a reboot
  }
  unlinkSync(path);
}

interface NftLibrary {
  create(flags: number): unknown;
  bufferOutput(context: unknown): number;
  bufferError(context: unknown): number;
  setOutputFlags(context: unknown, flags: number): void;
  run(context: unknown, text: string): number;
  output(context: unknown): string;
  error(context: unknown): string;
  free(context: unknown): void;
}

let nftLibrary: NftLibrary | undefined;

function loadNft(): NftLibrary {
  if (nftLibrary !== undefined) return nftLibrary;
  const library = koffi.load("libnftables.so.1");
  nftLibrary = {
    create: library.func("void* nft_ctx_new(uint32_t)"),
    bufferOutput: library.func("int nft_ctx_buffer_output(void*)"),
    bufferError: library.func("int nft_ctx_buffer_error(void*)"),
    setOutputFlags: library.func("void nft_ctx_output_set_flags(void*, uint)"),
    run: library.func("int nft_run_cmd_from_buffer(void*, const char*)"),
    output: library.func("const char* nft_ctx_get_output_buffer(void*)"),
    error: library.func("const char* nft_ctx_get_error_buffer(void*)"),
    free: library.func("void nft_ctx_free(void*)"),
  };
  return nftLibrary;
}

const NFT_OUTPUT_JSON = 1 << 4;

function nft(netnsPath: string | undefined): NftContext {
  const library = loadNft();
  const context = maybeInNetns(netnsPath, () => library.create(0));
  library.bufferOutput(context);
  library.bufferError(context);
  let open = true;
  const run = (text: string): void => {
    if (!open) throw new InternalError("nft context is closed");
    if (library.run(context, text) !== 0) throw new InternalError(`nft refused: ${library.error(context).trim()}`);
  };
  return {
    run,
    list(text, options = {}): string {
      library.setOutputFlags(context, options.json ? NFT_OUTPUT_JSON : 0);
      run(text);
      return library.output(context);
    },
    close(): void {
      if (open) library.free(context);
      open = false;
    },
  };
}

const NETLINK_PROTOCOLS = { route: 0, netfilter: 12 } as const;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_MULTI = 2;
const NLMSG_HEADER_BYTES = 16;
const RECEIVE_BYTES = 256 * 1024;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_REUSEADDR = 2;

let receiveBuffer: Buffer | undefined;

/** Splits one datagram; returns false when the answer is complete. */
function readAnswers(datagram: Buffer, sequence: number, payloads: Uint8Array[]): boolean {
  let offset = 0;
  while (offset + NLMSG_HEADER_BYTES <= datagram.length) {
    const length = datagram.readUInt32LE(offset);
    const type = datagram.readUInt16LE(offset + 4);
    const flags = datagram.readUInt16LE(offset + 6);
    if (length < NLMSG_HEADER_BYTES) return false;
    if (datagram.readUInt32LE(offset + 8) === sequence) {
      if (type === NLMSG_DONE) return false;
      if (type === NLMSG_ERROR) {
        const errno = -datagram.readInt32LE(offset + NLMSG_HEADER_BYTES);
        if (errno !== 0) throw failure("netlink request", `type ${datagram.readUInt16LE(offset + 24)}`, errno);
        return false;
      }
      payloads.push(new Uint8Array(datagram.subarray(offset + NLMSG_HEADER_BYTES, offset + length)));
      if ((flags & NLM_F_MULTI) === 0) return true; // the ack still follows
    }
    offset += (length + 3) & ~3;
  }
  return true;
}

function netlink(netnsPath: string | undefined, protocol: keyof typeof NETLINK_PROTOCOLS = "route"): NetlinkSocket {
  const number = NETLINK_PROTOCOLS[protocol];
  const fd = maybeInNetns(netnsPath, () => cSocket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, number)) as number;
  if (fd < 0) throw failure("socket", "netlink");
  const timeout = Buffer.alloc(16);
  timeout.writeBigInt64LE(5n, 0); // seconds: the kernel answers within the call; this only guards against a lost answer
  cSetsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length);
  let sequence = 0;
  let open = true;
  return {
    request(message): Uint8Array[] {
      if (!open) throw new InternalError("netlink socket is closed");
      receiveBuffer ??= Buffer.alloc(RECEIVE_BYTES);
      sequence += 1;
      const request = Buffer.from(message);
      request.writeUInt32LE(request.length, 0);
      request.writeUInt32LE(sequence, 8);
      if (cSend(fd, request, request.length, 0) < 0) throw failure("netlink send", `type ${request.readUInt16LE(4)}`);
      const payloads: Uint8Array[] = [];
      for (;;) {
        const received = Number(cRecv(fd, receiveBuffer, receiveBuffer.length, 0));
        if (received < 0) throw failure("netlink receive", `type ${request.readUInt16LE(4)}`);
        if (!readAnswers(receiveBuffer.subarray(0, received), sequence, payloads)) return payloads;
      }
    },
    close(): void {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

function inetAddress(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  address.split(".").forEach((part, i) => {
    bytes[4 + i] = Number(part);
  });
  return bytes;
}

function bindSocket(options: { netnsPath: string; kind: "udp" | "tcp"; address: string; port: number }): number {
  const { netnsPath, kind, address, port } = options;
  const target = `${kind} ${address}:${port} in ${netnsPath}`;
  return inNetns(netnsPath, () => {
    const fd = cSocket(AF_INET, (kind === "udp" ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number;
    if (fd < 0) throw failure("socket", target);
    const reuse = Buffer.from([1, 0, 0, 0]); // connections of a closed listener linger for a minute; they must not keep its port
    if (kind === "tcp") cSetsockopt(fd, SOL_SOCKET, SO_REUSEADDR, reuse, reuse.length);
    const bytes = inetAddress(address, port);
    if (cBind(fd, bytes, bytes.length) !== 0 || (kind === "tcp" && cListen(fd, LISTEN_BACKLOG) !== 0)) {
      const error = failure("bind", target);
      closeSync(fd);
      throw error;
    }
    return fd;
  });
}

function setSysctls(netnsPath: string | undefined, values: Readonly<Record<string, string>>): void {
  maybeInNetns(netnsPath, () => {
    for (const [key, value] of Object.entries(values)) {
      const path = `/proc/sys/${key.replaceAll(".", "/")}`;
      try {
        writeFileSync(path, value);
      } catch (error) {
        throw new InternalError(`writing ${value} to ${path} failed: ${messageOf(error)}`, { cause: error });
      }
    }
  });
}

const NODE_KINDS = { char: 0o020000, block: 0o060000, fifo: 0o010000 } as const;

function connectSeqPacket(path: string): number {
  const bytes = Buffer.alloc(110);
  bytes.writeUInt16LE(AF_UNIX, 0);
  const length = Buffer.byteLength(path);
  if (length > 107) throw new InternalError(`socket path must have at most 107 bytes, got ${length}: ${path}`);
  bytes.write(path, 2);
  const fd = cSocket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) as number;
  if (fd < 0) throw failure("socket", path);
  if (cConnect(fd, bytes, 2 + length + 1) !== 0) {
    const error = failure("connect", path);
    closeSync(fd);
    throw error;
  }
  return fd;
}

/** Opens the system-call module. Forces Node's thread pool into being first, so that its threads live in the home namespace. */
export async function openKoffiLinux(): Promise<Linux> {
  await stat("/");
  return {
    mount,
    unmount,
    createNetns,
    deleteNetns,
    inNetns,
    nft,
    netlink,
    bindSocket,
    setSysctls,
    setXattr(path, name, value): void {
      if (cLsetxattr(path, name, Buffer.from(value), value.length, 0) !== 0) throw failure(`setxattr ${name}`, path);
    },
    makeNode({ path, kind, mode, major, minor }): void {
      const device = (BigInt(major & 0xfff) << 8n) | BigInt(minor & 0xff) | (BigInt(minor & ~0xff) << 12n);
      if (cMknod(path, NODE_KINDS[kind] | mode, device) !== 0) throw failure("mknod", path);
    },
    connectSeqPacket,
    keepDescriptors(): void {
      cCloseRange?.(3, 0xffff_ffff, CLOSE_RANGE_CLOEXEC);
    },
  };
}
