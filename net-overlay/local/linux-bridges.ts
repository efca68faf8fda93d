/**
 * Bridges of local networks in the host's namespace, and containers' interfaces on them.
 * Edge: to the kernel by the Linux port. Invariants: a bridge is found again by its name, and what is there
 * already is kept; attaching spawns nothing and deletes nothing.
 * Source: docs/design/local-networks.md.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { InternalError } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { hostEndIndex, LINK_INDEX_ATTEMPTS } from "../dataplane/link-index.js";
import { isRefusal, RouteSocket } from "../dataplane/linux-route-socket.js";
import { deleteLink } from "../dataplane/rtnetlink-messages.js";
import { type Cidr, parseCidr } from "../ipam/cidr.js";
import {
  addAddress,
  decodeAnyAddress,
  decodeDestination,
  disablePort,
  dumpAllAddresses,
  dumpAllRoutes,
  newBridge,
  newBridgePort,
  setPortFlags,
} from "./bridge-messages.js";
import type { BridgeNetwork } from "./bridge-network.js";
import { endpointMac } from "./endpoint-mac.js";

export interface PortEnd {
  readonly hostName: string;
  readonly name: string;
  readonly mac: string;
  readonly index: number;
  readonly netnsFd: number;
}

export class LinuxBridges {
  readonly #linux: Linux;
  readonly #netnsPath: string | undefined;
  readonly #socket: RouteSocket;
  /** Link -> index of those known to be as they should. */
  readonly #ready = new Map<string, number>();
  #forwards4 = false;
  #forwards6 = false;

  constructor(linux: Linux, options: { netnsPath: string | undefined }) {
    this.#linux = linux;
    this.#netnsPath = options.netnsPath;
    this.#socket = new RouteSocket(linux, options.netnsPath);
  }

  /** Subnets that this host reaches by links other than `ours`: addresses of them are not ours to give. */
  foreignSubnets(ours: ReadonlySet<string>): Cidr[] {
    const own = new Set(
      this.#socket
        .listLinks()
        .filter(({ name }) => ours.has(name))
        .map(({ index }) => index),
    );
    return this.#socket.request(dumpAllRoutes()).flatMap((payload) => {
      const route = decodeDestination(payload);
      return route === undefined || own.has(route.linkIndex) ? [] : [parseCidr(route.destination)];
    });
  }

  hasLink(name: string): boolean {
    return this.#socket.findLink(name) !== undefined;
  }

  /** Makes what is missing of a bridge. @returns its index. */
  ensure(network: BridgeNetwork): number {
    const known = this.#ready.get(network.link);
    if (known !== undefined) return known;
    const { link: name, mtuBytes } = network;
    let link = this.#socket.findLink(name);
    if (link === undefined) {
      const gateway = network.subnet4?.gateway;
      this.#socket.send(newBridge({ name, mac: endpointMac(gateway, network.id), mtuBytes }));
      link = this.#socket.findLink(name);
    }
    if (link === undefined) throw new InternalError(`bridge ${name} is not where it was made`);
    this.#setSysctls(network);
    const { index } = link;
    const there = this.#socket
      .request(dumpAllAddresses())
      .map(decodeAnyAddress)
      .filter((address) => address.index === index)
      .map(({ address }) => address);
    for (const [subnet, mode] of [
      [network.subnet4, network.mode4],
      [network.subnet6, network.mode6],
    ] as const) {
      if (subnet === undefined || mode === "isolated" || there.includes(subnet.gateway)) continue;
      this.#socket.send(addAddress({ index, address: subnet.gateway, prefixLength: subnet.cidr.prefix }));
    }
    this.#ready.set(name, index);
    return index;
  }

  /** @returns the index of the host end. */
  attach(network: BridgeNetwork, end: PortEnd): number {
    const { hostName, ...peer } = end;
    const make = (): number => {
      for (let attempt = 0; ; attempt += 1) {
        const host = { name: hostName, index: hostEndIndex(hostName, attempt) };
        try {
          const bridgeIndex = this.ensure(network);
          this.#socket.send(newBridgePort({ bridgeIndex, mtuBytes: network.mtuBytes, host, peer }));
          return host.index;
        } catch (error) {
          if (!isRefusal(error, "EEXIST") || attempt === LINK_INDEX_ATTEMPTS) throw error;
        }
      }
    };
    let index: number;
    try {
      index = make();
    } catch (error) {
      // somebody took the bridge away
      if (!isRefusal(error, "ENODEV", "EINVAL", "ENXIO") || this.hasLink(network.link)) throw error;
      this.#ready.delete(network.link);
      index = make();
    }
    const hairpin = this.#filtersBridges();
    if (!network.icc || hairpin) this.#socket.send(setPortFlags(index, { isolated: !network.icc, hairpin }));
    return index;
  }

  /** Nothing more goes in or out by this port; the interface itself goes with the namespace. */
  silence(hostIndex: number): void {
    try {
      this.#socket.discard(disablePort(hostIndex));
    } catch (error) {
      if (!isRefusal(error, "EINVAL", "EOPNOTSUPP")) throw error; // no port of a bridge any more
    }
  }

  /** Of an interface that is taken away while its container lives. */
  removePort(hostIndex: number): void {
    this.#socket.discard(deleteLink(hostIndex));
  }

  remove(link: string): void {
    this.#ready.delete(link);
    const found = this.#socket.findLink(link);
    if (found !== undefined) this.#socket.discard(deleteLink(found.index));
  }

  close(): void {
    this.#socket.close();
  }

  /** The host forwards; a container's router advertisements are not believed; 127.0.0.1:port works. */
  #setSysctls({ link, subnet6, internal }: BridgeNetwork): void {
    const values: Record<string, string> = { [`net.ipv4.conf.${link}.route_localnet`]: "1" };
    if (existsSync("/proc/sys/net/ipv6")) {
      values[`net.ipv6.conf.${link}.accept_ra`] = "0";
      // looking for duplicates, it could ask for no neighbour during its first second
      values[`net.ipv6.conf.${link}.accept_dad`] = "0";
      values[`net.ipv6.conf.${link}.disable_ipv6`] = subnet6 === undefined ? "1" : "0";
    }
    if (!this.#forwards4) values["net.ipv4.ip_forward"] = "1";
    this.#linux.setSysctls(this.#netnsPath, values);
    this.#forwards4 = true;
    if (subnet6 !== undefined && !internal && !this.#forwards6) {
      this.#linux.setSysctls(this.#netnsPath, this.#inHost(forwardingOfIpv6));
      this.#forwards6 = true;
    }
  }

  /**
   * With br_netfilter the host's rules see frames within a bridge, and one translated goes back where it
   * came.
   */
  #filtersBridges(): boolean {
    return this.#inHost(() => {
      const path = "/proc/sys/net/bridge/bridge-nf-call-iptables";
      return existsSync(path) && readFileSync(path, "utf8").trim() === "1";
    });
  }

  #inHost<T>(read: () => T): T {
    return this.#netnsPath === undefined ? read() : this.#linux.inNetns(this.#netnsPath, read);
  }
}

/** A host that forwards IPv6 stops believing its routers, unless it is told to go on (accept_ra 2). */
function forwardingOfIpv6(): Record<string, string> {
  const dir = "/proc/sys/net/ipv6/conf";
  const values: Record<string, string> = {};
  if (readFileSync(`${dir}/all/forwarding`, "utf8").trim() === "1") return values;
  for (const link of readdirSync(dir)) {
    if (link !== "all" && readFileSync(`${dir}/${link}/accept_ra`, "utf8").trim() === "1")
      values[`net.ipv6.conf.${link}.accept_ra`] = "2";
  }
  return { ...values, "net.ipv6.conf.all.forwarding": "1" };
}
