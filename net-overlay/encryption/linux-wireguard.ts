/**
 * The WireGuard device of this node: born in the host's namespace, where its UDP socket stays, it lives in a
 * namespace of its own. What comes out of it is in no place where anything else could be taken for it, and no
 * firewall of the host sees what is inside.
 * Edge: to the kernel by the Linux port. Invariant: an existing device keeps its key and thereby its
 * sessions; keys go to the kernel by netlink alone.
 * Source: wireguard(8), linux/wireguard.h; docs/design/network-encryption.md.
 */
import { closeSync, existsSync, openSync, unlinkSync } from "node:fs";
import { InternalError, messageOf } from "../../base/errors/errors.js";
import type { Linux, NetlinkSocket } from "../../base/linux/linux-ports.js";
import { isNetns } from "../dataplane/linux-overlay.js";
import { isRefusal, RouteSocket } from "../dataplane/linux-route-socket.js";
import { deleteLink, setAddress, setLinkUp, setRoute } from "../dataplane/rtnetlink-messages.js";
import type { DeviceOptions, EncryptedUnderlay } from "./encrypted-underlay.js";
import { newWireguard, setMtu } from "./link-messages.js";
import type { KernelDevice, PeerChange } from "./wireguard-codec.js";
import {
  decodeFamily,
  decodeWireguard,
  dumpWireguard,
  getWireguardFamily,
  setWireguard,
} from "./wireguard-codec.js";

export const WIREGUARD_LINK = "skein-wg";
/** All inside addresses: 169.254 and the node's number. */
const INSIDE_RANGE = "169.254.0.0/16";
const LOOPBACK_INDEX = 1;
const SYSCTLS = {
  "net.ipv4.ip_forward": "0",
  "net.ipv4.conf.all.rp_filter": "1",
  "net.ipv4.conf.default.rp_filter": "1",
  "net.ipv6.conf.all.disable_ipv6": "1",
  "net.ipv6.conf.default.disable_ipv6": "1",
};

interface Opened {
  readonly route: RouteSocket;
  readonly generic: NetlinkSocket;
  readonly family: number;
}

export class LinuxWireguard implements EncryptedUnderlay {
  readonly #linux: Linux;
  readonly #path: string;
  readonly #hostNetns: string | undefined;
  #opened: Opened | undefined;

  /** @param options.path of the device's namespace. @param options.hostNetns undefined: the daemon's own. */
  constructor(linux: Linux, options: { path: string; hostNetns: string | undefined }) {
    this.#linux = linux;
    this.#path = options.path;
    this.#hostNetns = options.hostNetns;
  }

  whyUnable(): string | undefined {
    try {
      const socket = this.#linux.netlink(this.#hostNetns, "generic");
      try {
        familyOf(socket);
        return undefined;
      } finally {
        socket.close();
      }
    } catch (error) {
      return isRefusal(error, "ENOENT") ? "the kernel has no WireGuard" : messageOf(error);
    }
  }

  read(): KernelDevice | undefined {
    if (this.#opened === undefined && !(existsSync(this.#path) && isNetns(this.#linux, this.#path)))
      return undefined;
    const { generic, family, route } = this.#open();
    if (route.findLink(WIREGUARD_LINK) === undefined) return undefined;
    return decodeWireguard(generic.request(dumpWireguard(family, WIREGUARD_LINK)));
  }

  ensure({ privateKey, udpPort, insideAddress, mtuBytes }: DeviceOptions): number {
    const { route, generic, family } = this.#open();
    const found = route.findLink(WIREGUARD_LINK) ?? this.#make(route);
    if (found.mtuBytes !== mtuBytes) route.send(setMtu(found.index, mtuBytes));
    const device = decodeWireguard(generic.request(dumpWireguard(family, WIREGUARD_LINK)));
    if (Buffer.compare(device.privateKey, privateKey) !== 0)
      generic.request(setWireguard(family, { name: WIREGUARD_LINK, privateKey }));
    const { index } = found;
    for (const { address } of route.listAddresses().filter((each) => each.index === index)) {
      if (address !== insideAddress) {
        route.discard(deleteLink(index)); // another number: another node
        return this.ensure({ privateKey, udpPort, insideAddress, mtuBytes });
      }
    }
    route.ensure(setAddress({ index, address: insideAddress, prefixLength: 32 }));
    const port = this.#listen({ index, wanted: udpPort, has: device.listenPort });
    route.ensure(setRoute({ destination: INSIDE_RANGE, linkIndex: index, source: insideAddress }));
    return port;
  }

  setPeers(changes: readonly PeerChange[]): void {
    const { generic, family } = this.#open();
    generic.request(setWireguard(family, { name: WIREGUARD_LINK, peers: changes }));
  }

  /** Where the tunnels of encrypted networks have their UDP sockets. @throws {InternalError} no device yet. */
  socket(): RouteSocket {
    if (this.#opened === undefined) throw new InternalError("encryption is not set up on this node yet");
    return this.#opened.route;
  }

  async remove(): Promise<void> {
    if (this.#opened === undefined && !existsSync(this.#path)) return;
    if (isNetns(this.#linux, this.#path)) {
      const { route } = this.#open();
      const link = route.findLink(WIREGUARD_LINK);
      // its UDP port is free at once, not when the kernel ends the namespace
      if (link !== undefined) route.discard(deleteLink(link.index));
    }
    this.close();
    await this.#linux.deleteNetns(this.#path);
  }

  close(): void {
    this.#opened?.route.close();
    this.#opened?.generic.close();
    this.#opened = undefined;
  }

  #open(): Opened {
    if (this.#opened !== undefined) return this.#opened;
    const path = this.#path;
    if (existsSync(path) && !isNetns(this.#linux, path)) unlinkSync(path); // before a reboot
    if (!existsSync(path)) {
      this.#linux.createNetns(path);
      this.#setSysctls();
    }
    const generic = this.#linux.netlink(path, "generic");
    try {
      const opened = { generic, family: familyOf(generic), route: new RouteSocket(this.#linux, path) };
      opened.route.send(setLinkUp(LOOPBACK_INDEX));
      this.#opened = opened;
      return opened;
    } catch (error) {
      generic.close();
      throw error;
    }
  }

  #setSysctls(): void {
    const hasIpv6 = existsSync("/proc/sys/net/ipv6");
    const values = Object.entries(SYSCTLS).filter(([name]) => hasIpv6 || !name.startsWith("net.ipv6"));
    this.#linux.setSysctls(this.#path, Object.fromEntries(values));
  }

  /** Its UDP socket belongs to the namespace of the socket that asks for it. */
  #make(inside: RouteSocket): { index: number; mtuBytes: number } {
    const host = new RouteSocket(this.#linux, this.#hostNetns);
    const netnsFd = openSync(this.#path, "r");
    try {
      host.send(newWireguard({ name: WIREGUARD_LINK, netnsFd }));
    } finally {
      closeSync(netnsFd);
      host.close();
    }
    const made = inside.findLink(WIREGUARD_LINK);
    if (made === undefined) throw new InternalError(`interface ${WIREGUARD_LINK} is not where it was made`);
    return made;
  }

  /** The kernel binds when the interface goes up, and when an interface that is up gets another port. */
  #listen({ index, wanted, has }: { index: number; wanted: number; has: number }): number {
    const { route, generic, family } = this.#open();
    const listenAt = (listenPort: number): void => {
      generic.request(setWireguard(family, { name: WIREGUARD_LINK, listenPort }));
      route.send(setLinkUp(index));
    };
    if (has === 0) {
      try {
        listenAt(wanted);
      } catch (error) {
        if (!isRefusal(error, "EADDRINUSE")) throw error;
        listenAt(0);
      }
    } else route.send(setLinkUp(index));
    return decodeWireguard(generic.request(dumpWireguard(family, WIREGUARD_LINK))).listenPort;
  }
}

/** @throws {InternalError} ending in ENOENT where the kernel has no WireGuard. */
function familyOf(socket: NetlinkSocket): number {
  const [answer] = socket.request(getWireguardFamily());
  const family = answer === undefined ? undefined : decodeFamily(answer);
  if (family === undefined) throw new InternalError("the kernel's answer names no family: ENOENT");
  return family;
}
