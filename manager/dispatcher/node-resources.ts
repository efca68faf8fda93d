/**
 * What one node must know, and how that set changed since it was last told.
 * Pure. Invariant: the sum of all changes handed out equals `nodeResources` of the newest state.
 * Cost: O(dirty keys) per batch, O(own tasks) when the node's tasks changed, O(set) when a network comes or goes.
 */
import { type NodeResource, type ResourceKey, ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import type { ReadTx } from "../store/types.js";
import { isLive } from "./resource-build.js";
import { type Dirty, ResourceIndex } from "./resource-index.js";

/** What follows from a node's own tasks. */
interface Interests {
  readonly networks: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
  readonly configs: ReadonlySet<string>;
}

/** A resource with the object whose identity says whether the node has it already. */
interface Held {
  readonly key: ResourceKey;
  readonly identity: object;
  readonly resource: NodeResource;
}

export interface ResourceChanges {
  readonly upserts: readonly NodeResource[];
  readonly removals: readonly ResourceKey[];
}

export function keyText(key: ResourceKey): string {
  return `${key.kind}/${key.id}`;
}

/** The whole set of a node, in order of key. For tests and tools; sessions use NodeView. */
export function nodeResources(view: ReadTx, nodeId: string): readonly NodeResource[] {
  return new NodeView(ResourceIndex.of(view), nodeId).complete();
}

const KINDS = {
  task: ResourceKind.TASK,
  secret: ResourceKind.SECRET,
  config: ResourceKind.CONFIG,
  network: ResourceKind.NETWORK,
  endpoint: ResourceKind.ENDPOINT,
  service: ResourceKind.SERVICE,
  peer: ResourceKind.PEER,
} as const;
type Case = keyof typeof KINDS;

export class NodeView {
  #index: ResourceIndex;
  readonly #nodeId: string;
  /** Key text to the identity the node was told, with the key for its removal. */
  #known = new Map<string, { readonly key: ResourceKey; readonly identity: object }>();
  #interests: Interests;

  constructor(index: ResourceIndex, nodeId: string) {
    this.#index = index;
    this.#nodeId = nodeId;
    this.#interests = this.#computeInterests();
  }

  /** Everything, as if the node knew nothing. */
  complete(): readonly NodeResource[] {
    this.#interests = this.#computeInterests();
    const all = [...this.#all()];
    this.#known = new Map(all.map((held) => [keyText(held.key), held]));
    return all.map((held) => held.resource);
  }

  /** After the store was replaced: compare everything. */
  reset(index: ResourceIndex): ResourceChanges {
    this.#index = index;
    return this.#compareAll();
  }

  /** After a batch. */
  changes(dirty: Dirty): ResourceChanges {
    if (dirty.nodes.has(this.#nodeId)) {
      const interests = this.#computeInterests();
      const same =
        equal(interests.networks, this.#interests.networks) &&
        equal(interests.secrets, this.#interests.secrets) &&
        equal(interests.configs, this.#interests.configs);
      if (!same) return this.#compareAll();
    }
    const collector = new Collector(this.#known);
    const look = (ids: Iterable<string>, $case: Case): void => {
      for (const id of ids) collector.see({ kind: KINDS[$case], id }, this.#held($case, id));
    };
    look(dirty.networks, "network");
    look(dirty.peers, "peer");
    look(dirty.services, "service");
    look(dirty.endpoints, "endpoint");
    look(dirty.secrets, "secret");
    look(dirty.configs, "config");
    look(dirty.tasks, "task");
    return collector;
  }

  #compareAll(): ResourceChanges {
    this.#interests = this.#computeInterests();
    const collector = new Collector(this.#known);
    const gone = new Map(this.#known);
    for (const held of this.#all()) {
      gone.delete(keyText(held.key));
      collector.see(held.key, held);
    }
    for (const { key } of gone.values()) collector.see(key, undefined);
    return collector;
  }

  #computeInterests(): Interests {
    const networks = new Set<string>();
    const secrets = new Set<string>();
    const configs = new Set<string>();
    for (const id of this.#index.tasksOfNode(this.#nodeId)) {
      const task = this.#index.task(id)?.task;
      if (task === undefined || !isLive(task)) continue;
      for (const attachment of task.networks) networks.add(attachment.networkId);
      for (const reference of task.spec?.container?.secrets ?? []) secrets.add(reference.secretId);
      for (const reference of task.spec?.container?.configs ?? []) configs.add(reference.configId);
    }
    return { networks, secrets, configs };
  }

  /** Networks and peers first, tasks last: the order in which an agent needs them. */
  *#all(): Iterable<Held> {
    const index = this.#index;
    const { networks, secrets, configs } = this.#interests;
    const services = new Set(index.ingressServices);
    const endpoints = new Set<string>();
    for (const id of networks) {
      for (const service of index.servicesOfNetwork(id)) services.add(service);
      for (const endpoint of index.endpointsOfNetwork(id)) endpoints.add(endpoint);
    }
    for (const id of index.ingressServices) {
      for (const endpoint of index.endpointsOfService(id)) endpoints.add(endpoint);
    }
    const groups: readonly [Case, Iterable<string>][] = [
      ["network", networks],
      ["peer", index.peers.keys()],
      ["service", services],
      ["endpoint", endpoints],
      ["secret", secrets],
      ["config", configs],
      ["task", index.tasksOfNode(this.#nodeId)],
    ];
    for (const [$case, ids] of groups) {
      for (const id of [...ids].sort()) {
        const held = this.#held($case, id);
        if (held !== undefined) yield held;
      }
    }
  }

  /** @returns the resource as this node should know it; undefined when it should not. */
  #held($case: Case, id: string): Held | undefined {
    const index = this.#index;
    const make = <T extends object>(
      value: T | undefined,
      resource: (value: T) => NodeResource,
    ): Held | undefined =>
      value === undefined
        ? undefined
        : { key: { kind: KINDS[$case], id }, identity: value, resource: resource(value) };
    switch ($case) {
      case "task": {
        const assigned = index.task(id);
        if (assigned?.task.nodeId !== this.#nodeId) return undefined;
        return make(assigned.stable, () => ({ resource: { $case: "task", value: assigned.task } }));
      }
      case "secret":
        if (!this.#interests.secrets.has(id)) return undefined;
        return make(index.secrets.get(id), (value) => ({ resource: { $case: "secret", value } }));
      case "config":
        if (!this.#interests.configs.has(id)) return undefined;
        return make(index.configs.get(id), (value) => ({ resource: { $case: "config", value } }));
      case "network":
        if (!this.#interests.networks.has(id)) return undefined;
        return make(index.networks.get(id), (value) => ({ resource: { $case: "network", value } }));
      case "endpoint": {
        const endpoint = index.endpoints.get(id);
        if (endpoint === undefined) return undefined;
        const wanted =
          index.ingressServices.has(endpoint.serviceId) ||
          endpoint.attachments.some((attachment) => this.#interests.networks.has(attachment.networkId));
        return wanted ? make(endpoint, (value) => ({ resource: { $case: "endpoint", value } })) : undefined;
      }
      case "service": {
        const service = index.services.get(id);
        if (service === undefined) return undefined;
        const wanted =
          service.ports.length > 0 ||
          service.virtualIps.some((vip) => this.#interests.networks.has(vip.networkId)) ||
          service.aliases.some((alias) => this.#interests.networks.has(alias.networkId));
        return wanted ? make(service, (value) => ({ resource: { $case: "service", value } })) : undefined;
      }
      case "peer":
        if (id === this.#nodeId) return undefined;
        return make(index.peers.get(id), (value) => ({ resource: { $case: "peer", value } }));
    }
  }
}

/** Compares with what is known, notes the difference, and makes it known. */
class Collector implements ResourceChanges {
  readonly upserts: NodeResource[] = [];
  readonly removals: ResourceKey[] = [];
  readonly #known: Map<string, { readonly key: ResourceKey; readonly identity: object }>;

  constructor(known: Map<string, { readonly key: ResourceKey; readonly identity: object }>) {
    this.#known = known;
  }

  see(key: ResourceKey, held: Held | undefined): void {
    const text = keyText(key);
    const known = this.#known.get(text);
    if (held === undefined) {
      if (known === undefined) return;
      this.#known.delete(text);
      this.removals.push(key);
    } else if (known?.identity !== held.identity) {
      this.#known.set(text, { key, identity: held.identity });
      this.upserts.push(held.resource);
    }
  }
}

function equal(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const item of a) if (!b.has(item)) return false;
  return true;
}
