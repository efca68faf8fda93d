/**
 * The machine as local networks use it: namespaces, bridges, rules, sockets.
 * Edge: to the kernel by the Linux port, to the run directory by fs. Invariant: nothing on the way of a start
 * spawns a process or deletes an interface.
 */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { InternalError, messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { LinuxConntrack } from "../dataplane/linux-conntrack.js";
import { isNetns } from "../dataplane/linux-overlay.js";
import { RouteSocket } from "../dataplane/linux-route-socket.js";
import { setLinkUp } from "../dataplane/rtnetlink-messages.js";
import { DNS_REDIRECT, DNS_REDIRECT_TABLE } from "../discovery/dns-address.js";
import type { Cidr } from "../ipam/cidr.js";
import { addAddress, addDefaultRoute, deleteDefaultRoute } from "./bridge-messages.js";
import type { BridgeNetwork } from "./bridge-network.js";
import { LinuxBridges } from "./linux-bridges.js";
import { LinuxFirewall } from "./linux-firewall.js";
import type { DefaultRoutes, EndpointPlan, LocalHost } from "./local-host.js";
import type { FirewallPlan } from "./local-ruleset.js";
import type { HostPorts } from "./port-plan.js";
import { isLoopback, readResolvConf } from "./sandbox-files.js";

const LOOPBACK_INDEX = 1;
/** systemd-resolved keeps there what it asks itself: /etc/resolv.conf names its own loopback address. */
const RESOLVED_CONF = "/run/systemd/resolve/resolv.conf";

/** As docker gives them: low ports and ping need no privilege inside. */
const SANDBOX_SYSCTLS = {
  "net.ipv4.ip_unprivileged_port_start": "0",
  "net.ipv4.ping_group_range": "0 2147483647",
};
/**
 * Before any interface exists: IPv6 only where a network gives an address, and no belief in anybody's routes.
 */
const SANDBOX_SYSCTLS_IPV6 = {
  "net.ipv6.conf.default.disable_ipv6": "1",
  "net.ipv6.conf.default.accept_ra": "0",
  "net.ipv6.conf.default.accept_dad": "0",
};

export interface SandboxNames {
  open(sandbox: { readonly taskId: string }): void;
  closeSandbox(taskId: string): void;
  close(): void;
}

export interface LinuxLocalHostOptions {
  readonly linux: Linux;
  /** Folder for namespaces; made when missing. */
  readonly netnsDir: string;
  /** Path of the namespace that plays the host; undefined: the daemon's own. */
  readonly hostNetns: string | undefined;
  readonly ports: HostPorts & { close(): void };
  readonly names: SandboxNames;
  readonly log: Logger;
}

export class LinuxLocalHost implements LocalHost {
  readonly ports: HostPorts;
  readonly hasIpv6: boolean;
  readonly #options: LinuxLocalHostOptions;
  readonly #bridges: LinuxBridges;
  readonly #firewall: LinuxFirewall;
  readonly #conntrack: LinuxConntrack;
  readonly #hasIpv6Sysctls: boolean;
  /** Sandboxes this process made that never had names; and those whose names it serves. */
  readonly #born = new Set<string>();
  readonly #named = new Set<string>();

  constructor(options: LinuxLocalHostOptions) {
    const { linux, hostNetns: netnsPath, log } = options;
    this.#options = options;
    this.ports = options.ports;
    this.#hasIpv6Sysctls = existsSync("/proc/sys/net/ipv6");
    this.hasIpv6 = this.#hasIpv6Sysctls;
    mkdirSync(options.netnsDir, { recursive: true, mode: 0o700 });
    this.#bridges = new LinuxBridges(linux, { netnsPath });
    this.#firewall = new LinuxFirewall(linux, { netnsPath, log });
    this.#conntrack = new LinuxConntrack(linux, { netnsPath, log });
  }

  resolvConf(): string {
    const text = this.#read("/etc/resolv.conf");
    const { nameservers } = readResolvConf(text);
    const isOnlyLoopback = nameservers.length > 0 && nameservers.every(isLoopback);
    return isOnlyLoopback && existsSync(RESOLVED_CONF) ? this.#read(RESOLVED_CONF) : text;
  }

  foreignSubnets(ourLinks: ReadonlySet<string>): Cidr[] {
    return this.#bridges.foreignSubnets(ourLinks);
  }

  hasLink(link: string): boolean {
    return this.#bridges.hasLink(link);
  }

  ensureBridge(network: BridgeNetwork): void {
    this.#bridges.ensure(network);
  }

  removeBridge(link: string): void {
    this.#bridges.remove(link);
  }

  createSandbox(containerId: string): void {
    const { linux } = this.#options;
    const path = this.sandboxPath(containerId);
    linux.createNetns(path);
    this.#born.add(containerId);
    linux.setSysctls(path, {
      ...SANDBOX_SYSCTLS,
      ...(this.#hasIpv6Sysctls ? SANDBOX_SYSCTLS_IPV6 : {}),
    });
    const inside = new RouteSocket(linux, path);
    try {
      inside.send(setLinkUp(LOOPBACK_INDEX));
    } finally {
      inside.close();
    }
  }

  removeSandbox(containerId: string): Promise<void> {
    this.#born.delete(containerId);
    return this.#options.linux.deleteNetns(this.sandboxPath(containerId));
  }

  hasSandbox(containerId: string): boolean {
    const path = this.sandboxPath(containerId);
    return existsSync(path) && isNetns(this.#options.linux, path);
  }

  sandboxPath(containerId: string): string {
    return join(this.#options.netnsDir, containerId);
  }

  listSandboxes(): string[] {
    return readdirSync(this.#options.netnsDir).sort();
  }

  attach(containerId: string, plans: readonly EndpointPlan[]): number[] {
    const { linux } = this.#options;
    const path = this.sandboxPath(containerId);
    const inside = new RouteSocket(linux, path);
    const netnsFd = openSync(path, "r");
    const made: number[] = [];
    try {
      for (const plan of plans) {
        const { network, hostName, linkName, linkIndex: index, mac } = plan;
        made.push(this.#bridges.attach(network, { hostName, name: linkName, mac, index, netnsFd }));
        const sysctls = this.#interfaceSysctls(plan);
        if (Object.keys(sysctls).length > 0) linux.setSysctls(path, sysctls);
        for (const address of plan.addresses) inside.send(addAddress({ index, ...address }));
        inside.send(setLinkUp(index));
      }
      return made;
    } catch (error) {
      for (const hostIndex of made) this.detach(hostIndex); // the sandbox may be one that lives
      throw error;
    } finally {
      closeSync(netnsFd);
      inside.close();
    }
  }

  setDefaultRoutes(containerId: string, before: DefaultRoutes, after: DefaultRoutes): void {
    const inside = new RouteSocket(this.#options.linux, this.sandboxPath(containerId));
    try {
      for (const family of [4, 6] as const) {
        const [old, route] = [before[family], after[family]];
        if (old?.gateway === route?.gateway && old?.linkIndex === route?.linkIndex) continue;
        if (old !== undefined)
          inside.discard(deleteDefaultRoute({ gateway: old.gateway, index: old.linkIndex }));
        if (route !== undefined)
          inside.send(addDefaultRoute({ gateway: route.gateway, index: route.linkIndex }));
      }
    } finally {
      inside.close();
    }
  }

  detach(hostIndex: number): void {
    this.#bridges.removePort(hostIndex);
  }

  silence(hostIndex: number): void {
    this.#bridges.silence(hostIndex);
  }

  serveNames(containerId: string): void {
    if (this.#named.has(containerId)) return;
    const nft = this.#options.linux.nft(this.sandboxPath(containerId));
    try {
      // What was found may have the rules. Looking is cheap, deleting a table costs 10 ms.
      const isThere =
        !this.#born.has(containerId) && nft.list("list tables ip").includes(`table ${DNS_REDIRECT_TABLE}`);
      if (!isThere) nft.run(DNS_REDIRECT);
    } finally {
      nft.close();
    }
    this.#options.names.open({ taskId: containerId });
    this.#born.delete(containerId);
    this.#named.add(containerId);
  }

  stopNames(containerId: string): void {
    if (this.#named.delete(containerId)) this.#options.names.closeSandbox(containerId);
  }

  applyFirewall(plans: { readonly 4: FirewallPlan; readonly 6: FirewallPlan }): void {
    this.#firewall.apply(plans);
  }

  checkFirewall(plans: { readonly 4: FirewallPlan; readonly 6: FirewallPlan }): void {
    this.#firewall.check(plans);
  }

  forgetUdpFlows(flows: { readonly servers: readonly string[]; readonly ports: readonly number[] }): void {
    this.#conntrack.forgetUdpFlowsOf(flows.servers.filter((address) => !address.includes(":")));
    this.#conntrack.forgetUdpFlowsTo(flows.ports);
  }

  close(): void {
    this.#options.names.close();
    this.#options.ports.close();
    this.#firewall.close();
    this.#conntrack.close();
    this.#bridges.close();
  }

  #interfaceSysctls({ linkName, addresses, announces, sysctls }: EndpointPlan): Record<string, string> {
    const hasIpv6 = addresses.some(({ address }) => address.includes(":"));
    return {
      ...(hasIpv6 ? { [`net.ipv6.conf.${linkName}.disable_ipv6`]: "0" } : {}),
      ...(announces ? { [`net.ipv4.conf.${linkName}.arp_notify`]: "1" } : {}),
      ...(announces && hasIpv6 ? { [`net.ipv6.conf.${linkName}.ndisc_notify`]: "1" } : {}),
      ...Object.fromEntries(
        Object.entries(sysctls).map(([key, value]) => [key.replace("IFNAME", linkName), value]),
      ),
    };
  }

  #read(path: string): string {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
      throw new InternalError(`reading ${path} failed: ${messageOf(error)}`, { cause: error });
    }
  }
}
