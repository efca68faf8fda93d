/**
 * What the store says about the cluster's network, as this node needs it:
 * keyed resources with the indexes the planners read.
 * Pure. Invariants: indexes always agree with the maps;
 * `apply` names every network and says whether the mesh may have changed, never too few.
 * Source: proto/skein/v1/dispatcher.proto, NodeResource.
 */
import { isDeepStrictEqual } from "node:util";
import type {
  EndpointResource,
  NetworkKeyResource,
  NetworkResource,
  NodeResource,
  PeerResource,
  ResourceKey,
  ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import { atOnce } from "../slices.js";

export interface NetworkChanges {
  readonly complete: boolean;
  readonly upserts: readonly NodeResource[];
  readonly removals: readonly ResourceKey[];
}

const CHANGES_AT_ONCE = 200;

/** What of an overlay network is to be looked at again. */
export interface TouchedOverlay {
  readonly taskIds: Set<string>;
  readonly serviceIds: Set<string>;
}

/** What must be planned anew. */
export interface Touched {
  readonly networkIds: Set<string>;
  /** By network; one of `networkIds` that is not here changed itself, or nodes did. */
  readonly overlays: Map<string, TouchedOverlay>;
  mesh: boolean;
  /** Services whose published ports, or the tasks behind them, changed. */
  readonly meshServiceIds: Set<string>;
  /** Nodes that came, went or changed. */
  readonly peerNodeIds: Set<string>;
  networkKeys: boolean;
}

export class NetworkState {
  readonly networks = new Map<string, NetworkResource>();
  readonly endpoints = new Map<string, EndpointResource>();
  readonly services = new Map<string, ServiceResource>();
  readonly peers = new Map<string, PeerResource>();
  /** By id. Secret: never part of a plan. */
  readonly networkKeys = new Map<string, NetworkKeyResource>();
  readonly #endpointsByNetwork = new Map<string, Set<string>>();
  readonly #endpointsByService = new Map<string, Set<string>>();
  readonly #servicesByNetwork = new Map<string, Set<string>>();

  /** Endpoints attached to a network, by task id. */
  endpointsOf(networkId: string): EndpointResource[] {
    return pick(this.#endpointsByNetwork.get(networkId), this.endpoints);
  }

  /** Tasks with an endpoint on a network, in no order. */
  taskIdsOf(networkId: string): Iterable<string> {
    return this.#endpointsByNetwork.get(networkId) ?? [];
  }

  /** Services with a VIP or an alias on a network, in no order. */
  serviceIdsOf(networkId: string): Iterable<string> {
    return this.#servicesByNetwork.get(networkId) ?? [];
  }

  /** Nodes with an endpoint on a network, in no order. Cost: its endpoints. */
  nodesOf(networkId: string): Set<string> {
    const nodeIds = new Set<string>();
    for (const taskId of this.#endpointsByNetwork.get(networkId) ?? [])
      nodeIds.add(this.endpoints.get(taskId)?.nodeId ?? "");
    nodeIds.delete("");
    return nodeIds;
  }

  /** Endpoints of a service, by task id. */
  endpointsOfService(serviceId: string): EndpointResource[] {
    return pick(this.#endpointsByService.get(serviceId), this.endpoints);
  }

  /** Services with a VIP, an alias or an endpoint on a network, by id. */
  servicesOf(networkId: string): ServiceResource[] {
    const ids = new Set(this.#servicesByNetwork.get(networkId));
    for (const taskId of this.#endpointsByNetwork.get(networkId) ?? []) {
      const serviceId = this.endpoints.get(taskId)?.serviceId ?? "";
      if (this.services.has(serviceId)) ids.add(serviceId);
    }
    return pick(ids, this.services);
  }

  apply(changes: NetworkChanges): Touched {
    return atOnce(this.applySteps(changes));
  }

  /** The same with pauses: between them the state is that of some of the changes. */
  *applySteps(changes: NetworkChanges): Generator<undefined, Touched> {
    const touched: Touched = {
      networkIds: new Set(),
      overlays: new Map(),
      mesh: false,
      meshServiceIds: new Set(),
      peerNodeIds: new Set(),
      networkKeys: false,
    };
    if (changes.complete) this.#removeAllBut(changes.upserts, touched);
    for (const removal of changes.removals) this.#remove(removal, touched);
    for (const [index, upsert] of changes.upserts.entries()) {
      this.#upsert(upsert, touched);
      if (index % CHANGES_AT_ONCE === CHANGES_AT_ONCE - 1) yield;
    }
    touched.mesh = touched.meshServiceIds.size > 0 || touched.peerNodeIds.size > 0;
    return touched;
  }

  #removeAllBut(upserts: readonly NodeResource[], touched: Touched): void {
    const kept = new Set(upserts.map((upsert) => keyText(upsert)));
    for (const [kind, map] of [
      [ResourceKind.NETWORK, this.networks],
      [ResourceKind.ENDPOINT, this.endpoints],
      [ResourceKind.SERVICE, this.services],
      [ResourceKind.PEER, this.peers],
      [ResourceKind.NETWORK_KEY, this.networkKeys],
    ] as const) {
      for (const id of [...map.keys()]) if (!kept.has(`${kind} ${id}`)) this.#remove({ kind, id }, touched);
    }
  }

  #upsert({ resource }: NodeResource, touched: Touched): void {
    switch (resource?.$case) {
      case "network":
        this.networks.set(resource.value.id, resource.value);
        touched.networkIds.add(resource.value.id);
        return;
      case "endpoint":
        this.#setEndpoint(resource.value.taskId, resource.value, touched);
        return;
      case "service":
        this.#setService(resource.value.id, resource.value, touched);
        return;
      case "peer":
        this.#setPeer(resource.value.nodeId, resource.value, touched);
        return;
      case "networkKey":
        this.networkKeys.set(resource.value.id, resource.value);
        touched.networkKeys = true;
        return;
      default: // tasks, secrets and configs are the agent's business
    }
  }

  #remove(key: ResourceKey, touched: Touched): void {
    switch (key.kind) {
      case ResourceKind.NETWORK:
        if (this.networks.delete(key.id)) touched.networkIds.add(key.id);
        return;
      case ResourceKind.ENDPOINT:
        this.#setEndpoint(key.id, undefined, touched);
        return;
      case ResourceKind.SERVICE:
        this.#setService(key.id, undefined, touched);
        return;
      case ResourceKind.PEER:
        this.#setPeer(key.id, undefined, touched);
        return;
      case ResourceKind.NETWORK_KEY:
        touched.networkKeys = this.networkKeys.delete(key.id) || touched.networkKeys;
        return;
      default:
    }
  }

  #setEndpoint(taskId: string, next: EndpointResource | undefined, touched: Touched): void {
    if (isSame(this.endpoints.get(taskId), next)) return;
    for (const endpoint of [this.endpoints.get(taskId), next]) {
      if (endpoint === undefined) continue;
      for (const { networkId } of endpoint.attachments) {
        const overlay = overlayIn(touched, networkId);
        overlay.taskIds.add(taskId);
        overlay.serviceIds.add(endpoint.serviceId);
      }
      if ((this.services.get(endpoint.serviceId)?.ports.length ?? 0) > 0)
        touched.meshServiceIds.add(endpoint.serviceId);
    }
    const old = this.endpoints.get(taskId);
    if (old !== undefined) {
      for (const { networkId } of old.attachments) unindex(this.#endpointsByNetwork, networkId, taskId);
      unindex(this.#endpointsByService, old.serviceId, taskId);
      this.endpoints.delete(taskId);
    }
    if (next === undefined) return;
    this.endpoints.set(taskId, next);
    for (const { networkId } of next.attachments) index(this.#endpointsByNetwork, networkId, taskId);
    index(this.#endpointsByService, next.serviceId, taskId);
  }

  #setService(id: string, next: ServiceResource | undefined, touched: Touched): void {
    const old = this.services.get(id);
    if (isSame(old, next)) return;
    for (const service of [old, next]) {
      if (service === undefined) continue;
      for (const networkId of networksOf(service)) overlayIn(touched, networkId).serviceIds.add(id);
      if (service.ports.length > 0) touched.meshServiceIds.add(id);
    }
    for (const taskId of this.#endpointsByService.get(id) ?? []) {
      for (const { networkId } of this.endpoints.get(taskId)?.attachments ?? [])
        overlayIn(touched, networkId).serviceIds.add(id);
    }
    if (old !== undefined)
      for (const networkId of networksOf(old)) unindex(this.#servicesByNetwork, networkId, id);
    if (next === undefined) {
      this.services.delete(id);
      return;
    }
    this.services.set(id, next);
    for (const networkId of networksOf(next)) index(this.#servicesByNetwork, networkId, id);
  }

  #setPeer(nodeId: string, next: PeerResource | undefined, touched: Touched): void {
    const before = this.peers.get(nodeId);
    if (next === undefined) this.peers.delete(nodeId);
    else this.peers.set(nodeId, next);
    if (before !== undefined && next !== undefined && isSamePlace(before, next)) return;
    touched.peerNodeIds.add(nodeId);
    for (const networkId of this.networks.keys()) touched.networkIds.add(networkId);
  }
}

function overlayIn({ networkIds, overlays }: Touched, networkId: string): TouchedOverlay {
  networkIds.add(networkId);
  let overlay = overlays.get(networkId);
  if (overlay === undefined) {
    overlay = { taskIds: new Set(), serviceIds: new Set() };
    overlays.set(networkId, overlay);
  }
  return overlay;
}

/** A complete set tells again what is known. */
function isSame<T>(before: T | undefined, next: T | undefined): boolean {
  return before !== undefined && next !== undefined && isDeepStrictEqual(before, next);
}

/** Whether what the planners read of a peer is the same: a node that is away keeps its place. */
function isSamePlace(a: PeerResource, b: PeerResource): boolean {
  return isDeepStrictEqual({ ...a, away: b.away }, b);
}

function networksOf(service: ServiceResource): Set<string> {
  return new Set([...service.virtualIps, ...service.aliases].map(({ networkId }) => networkId));
}

function keyText({ resource }: NodeResource): string {
  switch (resource?.$case) {
    case "network":
      return `${ResourceKind.NETWORK} ${resource.value.id}`;
    case "endpoint":
      return `${ResourceKind.ENDPOINT} ${resource.value.taskId}`;
    case "service":
      return `${ResourceKind.SERVICE} ${resource.value.id}`;
    case "peer":
      return `${ResourceKind.PEER} ${resource.value.nodeId}`;
    case "networkKey":
      return `${ResourceKind.NETWORK_KEY} ${resource.value.id}`;
    default:
      return "";
  }
}

function index(map: Map<string, Set<string>>, key: string, id: string): void {
  const ids = map.get(key);
  if (ids === undefined) map.set(key, new Set([id]));
  else ids.add(id);
}

function unindex(map: Map<string, Set<string>>, key: string, id: string): void {
  const ids = map.get(key);
  ids?.delete(id);
  if (ids?.size === 0) map.delete(key);
}

/** Sorted by id, so that plans and rulesets come out equal for equal states. */
function pick<T>(ids: ReadonlySet<string> | undefined, from: ReadonlyMap<string, T>): T[] {
  const picked: T[] = [];
  for (const id of [...(ids ?? [])].sort()) {
    const value = from.get(id);
    if (value !== undefined) picked.push(value);
  }
  return picked;
}
