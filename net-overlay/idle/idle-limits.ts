/**
 * How long connections of a sandbox may be idle: those it opened to a VIP, those that came to it through a
 * published port.
 * Pure. Invariants: whatever is neither (a task's own address, the world outside) has no limit here; a
 * service that says nothing has the kernel's, less the margin in which connections can still be reset.
 * Source: docs/design/network-idle.md.
 */
import type { NodeResource, ResourceKey, ServiceResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Sandbox } from "../endpoints/sandbox.js";
import { formatAddress, parseAddress } from "../ipam/cidr.js";
import { transitIpv6 } from "../vxlan/transit.js";
import type { SocketEnd } from "./sock-diag-messages.js";

/** nf_conntrack_tcp_timeout_established as the kernel has it, five days, less ten minutes. */
export const DEFAULT_IDLE_MS = (432_000 - 600) * 1_000;

/** What of a sandbox counts. */
export type WatchedSandbox = Pick<Sandbox, "taskId" | "serviceId" | "overlays" | "gatewayAddress" | "plug">;

export interface Watched {
  readonly limitMs: number;
  /** Where the connection is translated: in a network's namespace, or the host's for published ports. */
  readonly place: { readonly kind: "network"; readonly networkId: string } | { readonly kind: "host" };
}

export interface LimitChanges {
  readonly complete: boolean;
  readonly upserts: readonly NodeResource[];
  readonly removals: readonly ResourceKey[];
}

interface NetworkLimits {
  /** VIP -> milliseconds. */
  readonly byVip: Map<string, number>;
  /** The least and the greatest of them; undefined: to be looked for. */
  span: readonly [number, number] | undefined;
}

export class IdleLimits {
  readonly #services = new Map<string, ServiceResource>();
  readonly #networks = new Map<string, NetworkLimits>();

  /** @returns whether some connection may now be idle for less long than before. */
  learn({ complete, upserts, removals }: LimitChanges): boolean {
    let isShorter = false;
    if (complete) {
      const kept = new Set(
        upserts.map(({ resource }) => (resource?.$case === "service" ? resource.value.id : "")),
      );
      for (const id of [...this.#services.keys()]) if (!kept.has(id)) this.#set(id, undefined);
    }
    for (const { kind, id } of removals) if (kind === ResourceKind.SERVICE) this.#set(id, undefined);
    for (const { resource } of upserts)
      if (resource?.$case === "service")
        isShorter = this.#set(resource.value.id, resource.value) || isShorter;
    return isShorter;
  }

  clear(): void {
    this.#services.clear();
    this.#networks.clear();
  }

  /** @returns undefined for a connection that is nobody's business. */
  find(sandbox: WatchedSandbox, ends: { local: SocketEnd; remote: SocketEnd }): Watched | undefined {
    for (const { networkId } of sandbox.overlays) {
      const limitMs = this.#networks.get(networkId)?.byVip.get(ends.remote.address);
      if (limitMs !== undefined) return { limitMs, place: { kind: "network", networkId } };
    }
    const { gatewayAddress } = sandbox;
    if (gatewayAddress === undefined) return undefined;
    const { address } = ends.local;
    if (address !== gatewayAddress && address !== transitIpv6(gatewayAddress)) return undefined;
    const service = this.#services.get(sandbox.serviceId);
    const isServed = service?.ports.some(({ targetPort }) => targetPort === ends.local.port) === true;
    return service === undefined || !isServed
      ? undefined
      : { limitMs: limitOf(service), place: { kind: "host" } };
  }

  /** The shortest and the longest limit that connections of the sandbox can have, for each place. */
  spans(sandbox: WatchedSandbox): readonly Watched[] {
    const spans: Watched[] = [];
    for (const { networkId } of sandbox.overlays)
      for (const limitMs of this.#spanOf(networkId))
        spans.push({ limitMs, place: { kind: "network", networkId } });
    const service = this.#services.get(sandbox.serviceId);
    if (service !== undefined && service.ports.length > 0 && sandbox.gatewayAddress !== undefined)
      spans.push({ limitMs: limitOf(service), place: { kind: "host" } });
    return spans;
  }

  #spanOf(networkId: string): readonly number[] {
    const limits = this.#networks.get(networkId);
    if (limits === undefined) return [];
    if (limits.span === undefined) {
      let [least, greatest] = [Number.POSITIVE_INFINITY, 0];
      for (const limitMs of limits.byVip.values()) {
        least = Math.min(least, limitMs);
        greatest = Math.max(greatest, limitMs);
      }
      limits.span = [least, greatest];
    }
    return limits.span;
  }

  #set(id: string, after: ServiceResource | undefined): boolean {
    const before = this.#services.get(id);
    for (const { networkId, address } of before?.virtualIps ?? []) {
      const limits = this.#networks.get(networkId);
      limits?.byVip.delete(plain(address));
      if (limits !== undefined) limits.span = undefined;
      if (limits?.byVip.size === 0) this.#networks.delete(networkId);
    }
    if (after === undefined) {
      this.#services.delete(id);
      return false;
    }
    this.#services.set(id, after);
    for (const { networkId, address } of after.virtualIps) {
      const limits = this.#networks.get(networkId) ?? {
        byVip: new Map<string, number>(),
        span: undefined,
      };
      this.#networks.set(networkId, limits);
      limits.byVip.set(plain(address), limitOf(after));
      limits.span = undefined;
    }
    return limitOf(after) < (before === undefined ? DEFAULT_IDLE_MS : limitOf(before));
  }
}

function limitOf({ idleTimeoutMs }: ServiceResource): number {
  return idleTimeoutMs !== undefined && idleTimeoutMs > 0 ? idleTimeoutMs : DEFAULT_IDLE_MS;
}

function plain(cidr: string): string {
  const address = cidr.split("/")[0] ?? "";
  if (!address.includes(":")) return address;
  try {
    return formatAddress(6, parseAddress(address).value);
  } catch {
    return address; // what is no address meets no connection
  }
}
