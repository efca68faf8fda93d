/**
 * What local networks ask of the machine. Pure (interface only).
 * Implementations: linux-local-host.ts and memory-local-host.ts. Calls that return nothing are done when they
 * return; removals resolve when the namespace is let go.
 */
import type { Cidr } from "../ipam/cidr.js";
import type { BridgeNetwork } from "./bridge-network.js";
import type { FirewallPlan } from "./local-ruleset.js";
import type { HostPorts } from "./port-plan.js";

export interface EndpointPlan {
  readonly network: BridgeNetwork;
  readonly hostName: string;
  readonly linkName: string;
  readonly linkIndex: number;
  readonly mac: string;
  /** A neighbour may know another MAC by this address: it is told. */
  readonly announces: boolean;
  readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
  /** For this interface alone, without its name: "net.ipv4.conf.IFNAME.log_martians". */
  readonly sysctls: Readonly<Record<string, string>>;
}

export interface DefaultRoute {
  readonly gateway: string;
  readonly linkIndex: number;
}

/** Of both families; undefined: none. */
export interface DefaultRoutes {
  readonly 4: DefaultRoute | undefined;
  readonly 6: DefaultRoute | undefined;
}

export interface LocalHost {
  readonly ports: HostPorts;
  readonly hasIpv6: boolean;
  resolvConf(): string;
  foreignSubnets(ourLinks: ReadonlySet<string>): Cidr[];
  hasLink(link: string): boolean;
  ensureBridge(network: BridgeNetwork): void;
  removeBridge(link: string): void;
  /** An empty namespace with loopback up. */
  createSandbox(containerId: string): void;
  removeSandbox(containerId: string): Promise<void>;
  hasSandbox(containerId: string): boolean;
  sandboxPath(containerId: string): string;
  listSandboxes(): string[];
  /** @returns the indexes of the host ends, in the order of the plans. */
  attach(containerId: string, plans: readonly EndpointPlan[]): number[];
  setDefaultRoutes(containerId: string, before: DefaultRoutes, after: DefaultRoutes): void;
  /** Takes one interface away, live. */
  detach(hostIndex: number): void;
  /** Before the namespace goes: at once no packet more, in or out. */
  silence(hostIndex: number): void;
  serveNames(containerId: string): void;
  stopNames(containerId: string): void;
  applyFirewall(plans: { readonly 4: FirewallPlan; readonly 6: FirewallPlan }): void;
  checkFirewall(plans: { readonly 4: FirewallPlan; readonly 6: FirewallPlan }): void;
  /** Flows of datagrams that a container answered, or that came for a port before it was published. */
  forgetUdpFlows(flows: { readonly servers: readonly string[]; readonly ports: readonly number[] }): void;
  close(): void;
}
