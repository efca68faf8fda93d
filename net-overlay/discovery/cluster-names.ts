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
import type { TaskAttachment, VirtualIp } from "../../proto/gen/skein/v1/types.js";
import { atOnce } from "../slices.js";
import { NetworkNames, networksOfService } from "./network-names.js";
import type { NameTable } from "./resolve.js";

export interface NameChanges {
  /** The upserts are all there is. */
  readonly complete: boolean;
  readonly upserts: readonly NodeResource[];
  readonly removals: readonly ResourceKey[];
}

/** Between two pauses. */
const CHANGES_AT_ONCE = 200;
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

  apply(changes: NameChanges): void {
    atOnce(this.applySteps(changes));
  }

  /** The same with pauses. Of the first word nothing counts as told before its end. */
  *applySteps({ complete, upserts, removals }: NameChanges): Generator<undefined, void> {
    const gone = complete ? [...this.#missing(upserts), ...removals] : removals;
    for (const [index, { kind, id }] of gone.entries()) {
      if (kind === ResourceKind.ENDPOINT) this.#setEndpoint(id, undefined);
      else if (kind === ResourceKind.SERVICE) this.#setService(id, undefined);
      if (index % CHANGES_AT_ONCE === CHANGES_AT_ONCE - 1) yield;
    }
    for (const [index, { resource }] of upserts.entries()) {
      if (resource?.$case === "endpoint") this.#setEndpoint(resource.value.taskId, resource.value);
      else if (resource?.$case === "service") this.#setService(resource.value.id, resource.value);
      if (index % CHANGES_AT_ONCE === CHANGES_AT_ONCE - 1) yield;
    }
    this.#isTold = true;
  }

  /** As before the first word. */
  clear(): void {
    this.#networks.clear();
    this.#endpoints.clear();
    this.#services.clear();
    this.#isTold = false;
  }

  /** What is known and not among all there is. */
  #missing(upserts: readonly NodeResource[]): ResourceKey[] {
    const endpoints = new Set<string>();
    const services = new Set<string>();
    for (const { resource } of upserts) {
      if (resource?.$case === "endpoint") endpoints.add(resource.value.taskId);
      else if (resource?.$case === "service") services.add(resource.value.id);
    }
    const gone: ResourceKey[] = [];
    for (const id of this.#endpoints.keys())
      if (!endpoints.has(id)) gone.push({ kind: ResourceKind.ENDPOINT, id });
    for (const id of this.#services.keys())
      if (!services.has(id)) gone.push({ kind: ResourceKind.SERVICE, id });
    return gone;
  }

  #setEndpoint(taskId: string, after: EndpointResource | undefined): void {
    const before = this.#endpoints.get(taskId);
    if (before !== undefined && after !== undefined && isSameEndpoint(before, after)) return;
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
    if (before !== undefined && after !== undefined && isSameService(before, after)) return;
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

/** In all that makes names: everything is told anew when a node comes back to its manager. */
function isSameEndpoint(one: EndpointResource, other: EndpointResource): boolean {
  return (
    one.state === other.state &&
    one.taskName === other.taskName &&
    one.hostname === other.hostname &&
    one.serviceId === other.serviceId &&
    one.serviceName === other.serviceName &&
    one.slot === other.slot &&
    isSameList(one.attachments, other.attachments, isSameAttachment)
  );
}

function isSameService(one: ServiceResource, other: ServiceResource): boolean {
  return (
    one.name === other.name &&
    one.mode === other.mode &&
    isSameList(one.virtualIps, other.virtualIps, isSameVip) &&
    isSameList(one.aliases, other.aliases, isSameAttachment)
  );
}

function isSameVip(one: VirtualIp, other: VirtualIp): boolean {
  return one.networkId === other.networkId && one.address === other.address;
}

function isSameAttachment(one: TaskAttachment, other: TaskAttachment): boolean {
  return (
    one.networkId === other.networkId &&
    isSameList(one.addresses, other.addresses, Object.is) &&
    isSameList(one.aliases, other.aliases, Object.is)
  );
}

function isSameList<T>(one: readonly T[], other: readonly T[], isSame: (a: T, b: T) => boolean): boolean {
  if (one.length !== other.length) return false;
  for (const [index, value] of one.entries()) {
    const second = other[index];
    if (second === undefined || !isSame(value, second)) return false;
  }
  return true;
}
