/**
 * What one node must know, and how that set changed since it was last told.
 * Pure. Invariant: the sum of all changes handed out equals `nodeResources` of the newest state.
 * Cost: O(dirty keys) per batch, O(own tasks) when the node's tasks changed,
 * O(set) when a network comes or goes.
 */
import { dataKey } from "../../proto/dispatch/data-key.js";
import { type NodeResource, type ResourceKey, ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import type { ReadTx } from "../store/types.js";
import type { DriverSecrets } from "./driver-secrets.js";
import { isLive } from "./resource-build.js";
import { type Dirty, ResourceIndex } from "./resource-index.js";

/** What follows from a node's own tasks. */
interface Interests {
  readonly networks: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
  readonly configs: ReadonlySet<string>;
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
  networkObject: ResourceKind.NETWORK_OBJECT,
  endpoint: ResourceKind.ENDPOINT,
  service: ResourceKind.SERVICE,
  peer: ResourceKind.PEER,
  networkKey: ResourceKind.NETWORK_KEY,
} as const;
type Case = keyof typeof KINDS;

/** The order in which an agent needs them: networks and peers first, tasks last. */
const ORDER: readonly Case[] = [
  "networkKey",
  "network",
  "networkObject",
  "peer",
  "service",
  "endpoint",
  "secret",
  "config",
  "task",
];
const DIRTY: Record<Case, keyof Dirty> = {
  network: "networks",
  peer: "peers",
  networkKey: "networkKeys",
  networkObject: "networks",
  service: "services",
  endpoint: "endpoints",
  secret: "secrets",
  config: "configs",
  task: "tasks",
};
type Known = Record<Case, Map<string, object>>;

function nothingKnown(): Known {
  return {
    network: new Map(),
    peer: new Map(),
    networkKey: new Map(),
    networkObject: new Map(),
    service: new Map(),
    endpoint: new Map(),
    secret: new Map(),
    config: new Map(),
    task: new Map(),
  };
}

export class NodeView {
  #index: ResourceIndex;
  readonly #nodeId: string;
  readonly #driverSecrets: DriverSecrets | undefined;
  /** By kind and id: the object whose identity says what the node was told. */
  #known = nothingKnown();
  #interests: Interests;

  /** @param driverSecrets absent: data that drivers give is not told. */
  constructor(index: ResourceIndex, nodeId: string, driverSecrets?: DriverSecrets) {
    this.#index = index;
    this.#nodeId = nodeId;
    this.#driverSecrets = driverSecrets;
    this.#interests = this.#computeInterests();
  }

  /** Everything, as if the node knew nothing. */
  complete(): readonly NodeResource[] {
    this.#known = nothingKnown();
    return this.#compareAll().upserts;
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
    const changes = { upserts: [], removals: [] };
    for (const $case of ORDER) for (const id of dirty[DIRTY[$case]]) this.#compare($case, id, changes);
    return changes;
  }

  #compareAll(): ResourceChanges {
    this.#interests = this.#computeInterests();
    const changes = { upserts: [], removals: [] };
    for (const $case of ORDER) {
      // What is known and perhaps not wanted any more is looked at with what is wanted now.
      const ids = new Set(this.#known[$case].keys());
      for (const id of this.#wanted($case)) ids.add(id);
      for (const id of [...ids].sort()) this.#compare($case, id, changes);
    }
    return changes;
  }

  /** Notes the difference between what the node should know and was told, and counts it as told. */
  #compare($case: Case, id: string, changes: { upserts: NodeResource[]; removals: ResourceKey[] }): void {
    const known = this.#known[$case];
    const before = known.get(id);
    const after = this.#find($case, id);
    if (before === after) return;
    if (after === undefined) {
      known.delete(id);
      changes.removals.push({ kind: KINDS[$case], id });
      return;
    }
    known.set(id, after);
    const assigned = $case === "task" ? this.#index.task(id) : undefined;
    // The newest task goes out, with its status; which of its objects was told last is a matter of `stable`.
    changes.upserts.push(
      assigned === undefined
        ? this.#index.resourceOf($case, after)
        : { resource: { $case: "task", value: assigned.task } },
    );
  }

  #computeInterests(): Interests {
    const networks = new Set<string>();
    const secrets = new Set<string>();
    const configs = new Set<string>();
    for (const id of this.#index.tasksOfNode(this.#nodeId)) {
      const task = this.#index.task(id)?.task;
      if (task === undefined || !isLive(task)) continue;
      for (const attachment of task.networks) networks.add(attachment.networkId);
      const container = task.spec?.container;
      for (const { secretId, version } of container?.secrets ?? []) {
        const key = this.#secretKey(task, dataKey(secretId, version));
        if (key !== undefined) secrets.add(key);
      }
      for (const { configId, version } of container?.configs ?? []) configs.add(dataKey(configId, version));
    }
    this.#driverSecrets?.keep(secrets);
    return { networks, secrets, configs };
  }

  /** What a driver gives is the task's own. @returns undefined: the node is told of none. */
  #secretKey(task: Task, key: string): string | undefined {
    const secret = this.#index.secrets.get(key);
    if (secret === undefined || secret.driverName === "") return key;
    return this.#driverSecrets?.want(task, secret, this.#index.services.get(task.serviceId));
  }

  /**
   * Ids of everything of a kind that the node should know; some twice, some of them perhaps not there yet.
   */
  *#wanted($case: Case): Iterable<string> {
    const index = this.#index;
    switch ($case) {
      case "network":
        yield* this.#interests.networks;
        return;
      case "peer":
        yield* index.peers.keys();
        return;
      case "networkObject":
        yield* this.#interests.networks;
        yield* index.openNetworks;
        return;
      case "networkKey":
        if (this.#takesPartInEncryption()) yield* index.networkKeys.keys();
        return;
      case "service":
        yield* index.ingressServices;
        for (const id of this.#interests.networks) yield* index.servicesOfNetwork(id);
        return;
      case "endpoint":
        for (const id of this.#interests.networks) yield* index.endpointsOfNetwork(id);
        for (const id of index.ingressServices) yield* index.endpointsOfService(id);
        return;
      case "secret":
        yield* this.#interests.secrets;
        return;
      case "config":
        yield* this.#interests.configs;
        return;
      case "task":
        yield* index.tasksOfNode(this.#nodeId);
    }
  }

  #takesPartInEncryption(): boolean {
    for (const id of this.#interests.networks)
      if (this.#index.networks.get(id)?.encrypted === true) return true;
    return false;
  }

  /** @returns the object that the node should be told of; undefined when it should know none. */
  #find($case: Case, id: string): object | undefined {
    const index = this.#index;
    const { networks, secrets, configs } = this.#interests;
    switch ($case) {
      case "task": {
        const assigned = index.task(id);
        return assigned?.task.nodeId === this.#nodeId ? assigned.stable : undefined;
      }
      case "secret":
        if (!secrets.has(id)) return undefined;
        return this.#driverSecrets?.get(id) ?? index.secrets.get(id);
      case "config":
        return configs.has(id) ? index.configs.get(id) : undefined;
      case "network":
        return networks.has(id) ? index.networks.get(id) : undefined;
      case "endpoint": {
        const endpoint = index.endpoints.get(id);
        if (endpoint === undefined || index.ingressServices.has(endpoint.serviceId)) return endpoint;
        return endpoint.attachments.some((attachment) => networks.has(attachment.networkId))
          ? endpoint
          : undefined;
      }
      case "service": {
        const service = index.services.get(id);
        if (service === undefined || service.ports.length > 0) return service;
        const near =
          service.virtualIps.some((vip) => networks.has(vip.networkId)) ||
          service.aliases.some((alias) => networks.has(alias.networkId));
        return near ? service : undefined;
      }
      case "peer":
        return id === this.#nodeId ? undefined : index.peers.get(id);
      case "networkObject":
        return networks.has(id) || index.openNetworks.has(id) ? index.networkObjects.get(id) : undefined;
      case "networkKey":
        return this.#takesPartInEncryption() ? index.networkKeys.get(id) : undefined;
    }
  }
}

function equal(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const item of a) if (!b.has(item)) return false;
  return true;
}
