/**
 * The names of all overlay networks this node takes part in, from the resources it is told.
 * Pure. Invariant: after each change the names are those that the resources alone would give, in whatever
 * steps they came; a change touches the names of what it changes and no others.
 * Source: docs/design/network-discovery.md ("Tables").
 */
import type {
  EndpointResource,
  NodeResource,
  ResourceKey,
  ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import { NetworkNames, networksOfService } from "./network-names.js";
import type { NameTable } from "./resolve.js";

export interface NameChanges {
  /** The upserts are all there is. */
  readonly complete: boolean;
  readonly upserts: readonly NodeResource[];
  readonly removals: readonly ResourceKey[];
}

const NO_NAMES: NameTable = { find: () => undefined, nameOf: () => undefined };

export class ClusterNames {
  readonly #networks = new Map<string, NetworkNames>();
  readonly #endpoints = new Map<string, EndpointResource>();
  readonly #services = new Map<string, ServiceResource>();
  #isTold = false;

  /** Whether anything was ever told. */
  get isTold(): boolean {
    return this.#isTold;
  }

  /** Of a network; without names when nothing is known of it. */
  of(networkId: string): NameTable {
    return this.#networks.get(networkId) ?? NO_NAMES;
  }

  apply({ complete, upserts, removals }: NameChanges): void {
    this.#isTold = true;
    if (complete) this.#removeAllBut(upserts);
    for (const { kind, id } of removals) {
      if (kind === ResourceKind.ENDPOINT) this.#setEndpoint(id, undefined);
      else if (kind === ResourceKind.SERVICE) this.#setService(id, undefined);
    }
    for (const { resource } of upserts) {
      if (resource?.$case === "endpoint") this.#setEndpoint(resource.value.taskId, resource.value);
      else if (resource?.$case === "service") this.#setService(resource.value.id, resource.value);
    }
  }

  /** As before the first word. */
  clear(): void {
    this.#networks.clear();
    this.#endpoints.clear();
    this.#services.clear();
    this.#isTold = false;
  }

  #removeAllBut(upserts: readonly NodeResource[]): void {
    const endpoints = new Set<string>();
    const services = new Set<string>();
    for (const { resource } of upserts) {
      if (resource?.$case === "endpoint") endpoints.add(resource.value.taskId);
      else if (resource?.$case === "service") services.add(resource.value.id);
    }
    for (const id of [...this.#endpoints.keys()]) if (!endpoints.has(id)) this.#setEndpoint(id, undefined);
    for (const id of [...this.#services.keys()]) if (!services.has(id)) this.#setService(id, undefined);
  }

  #setEndpoint(taskId: string, after: EndpointResource | undefined): void {
    const before = this.#endpoints.get(taskId);
    if (after === undefined) this.#endpoints.delete(taskId);
    else this.#endpoints.set(taskId, after);
    const networkIds = new Set(
      [...(before?.attachments ?? []), ...(after?.attachments ?? [])].map(({ networkId }) => networkId),
    );
    for (const networkId of networkIds) {
      const names = this.#open(networkId);
      names.changeEndpoint(before, after);
      const serviceId = after?.serviceId ?? "";
      if (names.lacksService(serviceId)) names.changeService(serviceId, this.#services.get(serviceId));
      this.#closeEmpty(networkId, names);
    }
  }

  #setService(id: string, after: ServiceResource | undefined): void {
    const before = this.#services.get(id);
    if (after === undefined) this.#services.delete(id);
    else this.#services.set(id, after);
    for (const service of [before, after]) {
      if (service !== undefined) for (const networkId of networksOfService(service)) this.#open(networkId);
    }
    // also networks on which it has nothing but tasks: few networks, and a service changes rarely
    for (const [networkId, names] of [...this.#networks]) {
      names.changeService(id, after);
      this.#closeEmpty(networkId, names);
    }
  }

  #open(networkId: string): NetworkNames {
    let names = this.#networks.get(networkId);
    if (names === undefined) {
      names = new NetworkNames(networkId);
      this.#networks.set(networkId, names);
    }
    return names;
  }

  #closeEmpty(networkId: string, names: NetworkNames): void {
    if (names.isEmpty) this.#networks.delete(networkId);
  }
}
