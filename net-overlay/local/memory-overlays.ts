/**
 * Overlays of a cluster that exist in this process alone: the twin for tests of containers on them. Pure.
 * Invariant: keeps the promises of OverlayNetworks about leases.
 */
import { InternalError } from "../../base/errors/errors.js";
import type { OverlayEnd, OverlayLease, OverlayNetworks, OverlayRequest } from "./overlay-networks.js";

export class MemoryOverlays implements OverlayNetworks {
  /** Names that there are; of those that begin with "inner", no way leads outside. */
  readonly networks: readonly string[];
  readonly leases = new Map<string, OverlayRequest>();
  /** Interfaces, by lease. */
  readonly ends = new Map<string, OverlayEnd>();
  /** Leases whose interface was taken away live. */
  readonly unplugged: string[] = [];
  /** Thrown by the next plug. */
  failure: Error | undefined;
  #last = 1;

  constructor(...networks: string[]) {
    this.networks = networks;
  }

  lease(request: OverlayRequest): Promise<OverlayLease> {
    const { network } = request;
    if (!this.networks.includes(network))
      return Promise.reject(new InternalError(`Could not attach to network ${network}`));
    this.#last += 1;
    const id = `lease${this.#last}`;
    this.leases.set(id, request);
    const addresses = [`10.9.0.${this.#last}/24`];
    const isInternal = network.startsWith("inner");
    return Promise.resolve({ id, networkId: `id-${network}`, networkName: network, isInternal, addresses });
  }

  plug(lease: OverlayLease, end: OverlayEnd): Promise<string> {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    this.ends.set(lease.id, end);
    return Promise.resolve(end.mac || "02:42:0a:09:00:02");
  }

  adopt(request: OverlayRequest, lease: OverlayLease, end: OverlayEnd): void {
    this.leases.set(lease.id, request);
    this.ends.set(lease.id, end);
  }

  release(leaseId: string, { live }: { live: boolean }): Promise<void> {
    this.leases.delete(leaseId);
    this.ends.delete(leaseId);
    if (live) this.unplugged.push(leaseId);
    return Promise.resolve();
  }

  rename(request: OverlayRequest): void {
    for (const [id, { containerId }] of this.leases)
      if (containerId === request.containerId) this.leases.set(id, request);
  }

  namesOf(): undefined {
    return undefined;
  }
}
