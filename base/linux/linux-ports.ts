/**
 * What the rest may ask of the Linux kernel beyond what Node offers: the promises of the one system-call module.
 * Pure (interface only). Implementations: linux-koffi.ts (FFI) and linux-spawn.ts (commands), chosen by linux.ts.
 * Every call throws InternalError with the call, its target and the errno name when the kernel refuses.
 */

export interface MountOptions {
  readonly source: string;
  readonly target: string;
  /** overlay, tmpfs, proc…; "" for bind and propagation changes. */
  readonly type: string;
  /** Names: bind, rbind, ro, nosuid, nodev, noexec, remount, private, rprivate, slave, rslave, shared, rshared. */
  readonly flags?: readonly string[];
  /** Comma-separated data for the file system, e.g. lowerdir=… */
  readonly data?: string;
}

/** A libnftables context bound to the network namespace in which it was made. */
export interface NftContext {
  /** Runs one atomic transaction of nft text. @throws {InternalError} with nft's words. */
  run(text: string): void;
  /** Runs a list command and returns its output (JSON when `json`). */
  list(text: string, options?: { json?: boolean }): string;
  close(): void;
}

/** A netlink socket bound to a namespace: sends one request, returns the answers' payloads. */
export interface NetlinkSocket {
  /** @param message whole nlmsghdr + payload with NLM_F_ACK or NLM_F_DUMP set. @throws {InternalError} on a negative ack. */
  request(message: Uint8Array): Uint8Array[];
  close(): void;
}

export interface Linux {
  mount(options: MountOptions): void;
  /** Off the event loop, for slow unmounts. */
  unmount(target: string, options?: { detach?: boolean }): Promise<void>;
  /** Creates an empty network namespace and bind-mounts it at `path` (the file is made, its folder must exist). */
  createNetns(path: string): void;
  /** Unmounts and deletes the namespace file; missing is fine. */
  deleteNetns(path: string): Promise<void>;
  /** Runs `fn` with the calling thread inside the namespace; synchronous only, switched back in any case. */
  inNetns<T>(path: string, fn: () => T): T;
  nft(netnsPath: string | undefined): NftContext;
  /** @param protocol route: links, addresses, routes; netfilter: connection tracking. @default route */
  netlink(netnsPath: string | undefined, protocol?: "route" | "netfilter"): NetlinkSocket;
  /** A UDP or TCP socket bound inside the namespace; returns a file descriptor for dgram/net. TCP ones listen. */
  bindSocket(options: { netnsPath: string; kind: "udp" | "tcp"; address: string; port: number }): number;
  /** Writes /proc/sys inside a namespace, e.g. net.ipv4.ip_forward. */
  setSysctls(netnsPath: string | undefined, values: Readonly<Record<string, string>>): void;
  setXattr(path: string, name: string, value: Uint8Array): void;
  /** mknod(2): kind "char" | "block" | "fifo". */
  makeNode(options: { path: string; kind: "char" | "block" | "fifo"; mode: number; major: number; minor: number }): void;
  /** Connects an AF_UNIX SOCK_SEQPACKET socket and returns its descriptor. */
  connectSeqPacket(path: string): number;
  /**
   * Marks every descriptor above 2 close-on-exec, so that a long-lived child inherits nothing (libraries open files without
   * that mark). Call it in the same tick as the spawn. Where the kernel (before 5.11) or libc cannot, nothing happens.
   */
  keepDescriptors(): void;
}
