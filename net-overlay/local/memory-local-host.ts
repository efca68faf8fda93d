/**
 * A machine and a memory that exist in this process alone: the twins of the real ones for tests of what
 * stands above.
 * Pure. Invariant: keeps the promises of LocalHost and LocalRecords about order and ownership.
 */
import { InternalError } from "../../base/errors/errors.js";
import type { LocalNetworkRecord } from "../../proto/engine/networks.js";
import type { Cidr } from "../ipam/cidr.js";
import type { BridgeNetwork } from "./bridge-network.js";
import type { FirewallPlans } from "./firewall-plan.js";
import type { DefaultRoutes, EndpointPlan, LocalHost } from "./local-host.js";
import type { LocalRecords } from "./local-records.js";
import type { LocalSandbox } from "./local-sandbox.js";
import type { HostPort, HostPorts, Refusal } from "./port-plan.js";

export class MemoryHostPorts implements HostPorts {
  /** "tcp 0.0.0.0:80" -> owner. */
  readonly held = new Map<string, string>();
  /** Of other programs. */
  readonly foreign = new Set<string>();

  hold(port: HostPort & { owner: string }): Refusal | undefined {
    const key = keyOf(port);
    const holder = this.held.get(key);
    if (holder !== undefined && holder !== port.owner) return "allocated";
    if (this.foreign.has(key)) return "in-use";
    this.held.set(key, port.owner);
    return undefined;
  }

  release(port: HostPort & { owner: string }): void {
    if (this.held.get(keyOf(port)) === port.owner) this.held.delete(keyOf(port));
  }
}

const keyOf = ({ protocol, hostAddress, hostPort }: HostPort): string =>
  `${protocol} ${hostAddress}:${hostPort}`;

export class MemoryLocalHost implements LocalHost {
  readonly ports = new MemoryHostPorts();
  readonly hasIpv6 = false;
  readonly bridges = new Set<string>();
  /** By container: names of interfaces. */
  readonly sandboxes = new Map<string, string[]>();
  readonly named = new Set<string>();
  firewall: FirewallPlans | undefined;
  routes: DefaultRoutes | undefined;
  readonly silenced: number[] = [];
  /** Thrown by the next call of that name. */
  failure: { readonly call: "attach" | "applyFirewall" | "serveNames"; readonly error: Error } | undefined;
  #lastIndex = 100;
  readonly #owners = new Map<number, readonly [containerId: string, linkName: string]>();

  resolvConf(): string {
    return "nameserver 10.0.0.53\n";
  }

  foreignSubnets(): Cidr[] {
    return [];
  }

  hasLink(link: string): boolean {
    return this.bridges.has(link);
  }

  ensureBridge({ link }: BridgeNetwork): void {
    this.bridges.add(link);
  }

  removeBridge(link: string): void {
    this.bridges.delete(link);
  }

  createSandbox(containerId: string): void {
    if (this.sandboxes.has(containerId)) throw new InternalError(`sandbox ${containerId} is there already`);
    this.sandboxes.set(containerId, []);
  }

  removeSandbox(containerId: string): Promise<void> {
    this.sandboxes.delete(containerId);
    return Promise.resolve();
  }

  hasSandbox(containerId: string): boolean {
    return this.sandboxes.has(containerId);
  }

  sandboxPath(containerId: string): string {
    return `/run/ns/${containerId}`;
  }

  listSandboxes(): string[] {
    return [...this.sandboxes.keys()].sort();
  }

  attach(containerId: string, plans: readonly EndpointPlan[]): number[] {
    this.#mayFail("attach");
    return plans.map(({ linkName }) => {
      this.sandboxes.get(containerId)?.push(linkName);
      this.#lastIndex += 1;
      this.#owners.set(this.#lastIndex, [containerId, linkName]);
      return this.#lastIndex;
    });
  }

  setDefaultRoutes(_containerId: string, _before: DefaultRoutes, after: DefaultRoutes): void {
    this.routes = after;
  }

  detach(hostIndex: number): void {
    const [containerId = "", linkName] = this.#owners.get(hostIndex) ?? [];
    const left = this.sandboxes.get(containerId)?.filter((name) => name !== linkName);
    if (left !== undefined) this.sandboxes.set(containerId, left);
  }

  silence(hostIndex: number): void {
    this.silenced.push(hostIndex);
  }

  serveNames(containerId: string): void {
    this.#mayFail("serveNames");
    this.named.add(containerId);
  }

  stopNames(containerId: string): void {
    this.named.delete(containerId);
  }

  applyFirewall(plans: FirewallPlans): void {
    this.#mayFail("applyFirewall");
    this.firewall = plans;
  }

  checkFirewall(plans: FirewallPlans): void {
    this.applyFirewall(plans);
  }

  forgetUdpFlows(): void {
    // there are none
  }

  close(): void {
    this.named.clear();
  }

  #mayFail(call: string): void {
    const { failure } = this;
    if (failure?.call !== call) return;
    this.failure = undefined;
    throw failure.error;
  }
}

export class MemoryLocalRecords implements LocalRecords {
  networks: readonly LocalNetworkRecord[] = [];
  readonly sandboxes = new Map<string, LocalSandbox>();

  loadNetworks(): readonly LocalNetworkRecord[] {
    return this.networks;
  }

  saveNetworks(networks: readonly LocalNetworkRecord[]): void {
    this.networks = networks;
  }

  loadSandboxes(): readonly LocalSandbox[] {
    return [...this.sandboxes.values()];
  }

  saveSandbox(sandbox: LocalSandbox): void {
    this.sandboxes.set(sandbox.containerId, sandbox);
  }

  removeSandbox(containerId: string): void {
    this.sandboxes.delete(containerId);
  }
}
