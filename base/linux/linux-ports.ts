/**
 * What the rest may ask of the Linux kernel beyond what Node offers. Pure (interface only).
 * Implementations: linux-koffi.ts (system calls) and linux-spawn.ts (commands), chosen by open-linux.ts;
 * test/contract/linux-port.ts holds both to the same promises. When the kernel refuses, a call throws
 * InternalError: what was attempted, on what, and the errno's name as the last word. Where only system calls
 * would do, linux-spawn.ts throws NotImplementedError with the remedy.
 */

export interface MountOptions {
  readonly source: string;
  readonly target: string;
  /** overlay, tmpfs, proc…; "" for bind and propagation changes. */
  readonly type: string;
  /**
   * Names: bind, rbind, ro, nosuid, nodev, noexec, remount, private, rprivate, slave, rslave, shared,
   * rshared.
   */
  readonly flags?: readonly string[];
  /** Comma-separated data for the file system, e.g. lowerdir=… */
  readonly data?: string;
}

/** A libnftables context bound to the network namespace in which it was made. */
export interface NftContext {
  /** Runs one atomic transaction of nft text. @throws {InternalError} with nft's words. */
  run(text: string): void;
  /**
   * Runs a list command and returns its output (JSON when `json`).
   * @throws {InternalError} with nft's words.
   */
  list(text: string, options?: { json?: boolean }): string;
  close(): void;
}

/** A netlink socket bound to a namespace: sends one request, returns the answers' payloads. */
export interface NetlinkSocket {
  /**
   * @param message whole nlmsghdr + payload with NLM_F_ACK or NLM_F_DUMP set; length and sequence are filled
   * in.
   * @returns the payloads in their order; of a dump all of it, read anew when the table changed meanwhile.
   * @throws {InternalError} on a negative ack.
   */
  request(message: Uint8Array): Uint8Array[];
  /**
   * A dump as it comes, some hundred rows at a time, so that a large table need not be read in one go: the
   * caller may do other things between, but ask nothing else of this socket. Rows of what changes meanwhile
   * may be missing or come twice. Ends early when the caller stops.
   * @throws {InternalError} as `request`.
   */
  dump(message: Uint8Array): Iterable<readonly Uint8Array[]>;
  /**
   * Sends several changes at once, together at most 128 KiB, which the kernel works through within the call:
   * a batch of nfnetlink, which is one transaction and has happened in whole or not at all, or messages of
   * which each stands for itself. Acknowledgements are not asked for.
   * @returns what was refused, in order, by index; a refused commit is that of the batch's first message.
   * @throws {InternalError} when they could not be sent, or answers were lost.
   */
  requestAll(messages: readonly Uint8Array[]): readonly { readonly index: number; readonly error: Error }[];
  close(): void;
}

/**
 * What a socket may be beyond its address. no-checksum: its datagrams (IPv4) carry none. probe-mtu: they are
 * never fragmented, whatever the kernel believes of the path, and one larger than the interface's MTU is
 * refused. unlistened: a TCP socket that is to connect. deep-queue: holds thousands of datagrams (4 MiB)
 * while its reader is busy, where the kernel lets us. free-bind: its address need not be the machine's yet.
 */
export type SocketTrait = "no-checksum" | "probe-mtu" | "unlistened" | "deep-queue" | "free-bind";

export interface Linux {
  mount(options: MountOptions): void;
  /** The same off the event loop, for what a server on the network must answer first. Absent: `mount`. */
  mountAside?(options: MountOptions): Promise<void>;
  /** Off the event loop, for slow unmounts. */
  unmount(target: string, options?: { detach?: boolean }): Promise<void>;
  /**
   * Creates an empty network namespace and bind-mounts it at `path` (the file is made, and must not exist;
   * its folder must).
   */
  createNetns(path: string): void;
  /** Unmounts and deletes the namespace file; missing is fine. */
  deleteNetns(path: string): Promise<void>;
  /** Runs `fn` with the calling thread inside the namespace; synchronous only, switched back in any case. */
  inNetns<T>(path: string, fn: () => T): T;
  nft(netnsPath: string | undefined): NftContext;
  /**
   * @param protocol route: links, addresses, routes; netfilter: connection tracking; generic: families that
   * have a name, e.g. wireguard; sockets: those of the namespace's processes.
   * @default route
   */
  netlink(
    netnsPath: string | undefined,
    protocol?: "route" | "netfilter" | "generic" | "sockets",
  ): NetlinkSocket;
  /**
   * A netlink socket that hears what the namespace's kernel tells these multicast groups. Each read gives
   * whole messages; ENOBUFS says that some were lost. Absent where only commands can be run.
   * @returns a descriptor that does not block; the caller closes it.
   */
  joinNetlinkGroups?(options: {
    netnsPath: string | undefined;
    protocol: "route" | "netfilter";
    groups: readonly number[];
  }): number;
  /**
   * A socket bound inside the namespace (undefined: here); returns a file descriptor for dgram/net. TCP and
   * SCTP ones listen. An IPv6 address takes no IPv4 traffic.
   */
  bindSocket(options: {
    netnsPath: string | undefined;
    kind: "udp" | "tcp" | "sctp";
    address: string;
    port: number;
    traits?: readonly SocketTrait[];
  }): number;
  /**
   * Writes /proc/sys inside a namespace, e.g. net.ipv4.ip_forward; a dot within a part is written as a slash,
   * as in sysctl(8).
   */
  setSysctls(netnsPath: string | undefined, values: Readonly<Record<string, string>>): void;
  /** Of the file itself, not of what a link points to. */
  setXattr(path: string, name: string, value: Uint8Array): void;
  /**
   * The extended attributes of the file itself, sorted by name; none where the file system has none.
   * Attributes that vanish meanwhile are left out.
   */
  readXattrs(path: string): readonly { readonly name: string; readonly value: Uint8Array }[];
  /**
   * mknod(2).
   * @param options mode: permission bits, of which the umask takes its part; device numbers up to
   * 4095:1048575.
   */
  makeNode(options: {
    path: string;
    kind: "char" | "block" | "fifo";
    mode: number;
    major: number;
    minor: number;
  }): void;
  /**
   * Opens what a path names below a folder, by openat2(2) (kernel 5.6): no link, and no link put there
   * meanwhile, leads out. Links into /proc that the kernel follows by themselves are refused.
   * @param options leaving: a path that would leave is an error (EXDEV), or "/" and ".." mean the root.
   * flags: of open(2), O_CLOEXEC is added. @default O_PATH, a handle of the place alone
   * @returns a descriptor; the caller closes it.
   */
  openInRoot(options: {
    root: string;
    path: string;
    leaving: "refused" | "contained";
    flags?: number;
    mode?: number;
  }): number;
  /** Connects an AF_UNIX SOCK_SEQPACKET socket and returns its descriptor, which does not block. */
  connectSeqPacket(path: string): number;
  /** The same for SOCK_DGRAM: each write is a packet, refused with EAGAIN while the receiver is behind. */
  connectDatagram(path: string): number;
  /** Another descriptor, close-on-exec, of the same open file or socket. */
  duplicate(fd: number): number;
  /** An anonymous pipe, close-on-exec. Our end does not block; the other one does. */
  pipe(ours: "read" | "write"): { readonly readFd: number; readonly writeFd: number };
  /**
   * Marks every descriptor above 2 close-on-exec, so that a long-lived child inherits nothing (libraries open
   * files without that mark). Call it in the same tick as the spawn. Where the kernel (before 5.11) or libc
   * cannot, nothing happens.
   */
  keepDescriptors(): void;
}
