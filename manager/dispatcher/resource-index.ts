/**
 * The resources of the whole cluster, made once per change and shared by all sessions of this manager.
 * Pure. Invariants: after `apply` the index equals `ResourceIndex.of` the same state;
 * an object is replaced only when its value changed, so that sessions compare by identity; `apply` costs
 * O(changes), not O(cluster).
 */
import { isDeepStrictEqual } from "node:util";
import { dataKey } from "../../proto/dispatch/data-key.js";
import {
  type EndpointResource,
  EndpointState,
  type NetworkKeyResource,
  type NetworkResource,
  type NodeResource,
  type PeerResource,
  type ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import type {
  Cluster,
  Config,
  Network,
  Node,
  Secret,
  Service,
  Task,
} from "../../proto/gen/skein/v1/objects.js";
import type { LogDriver } from "../../proto/gen/skein/v1/types.js";
import type { ReadTx, StoreChange } from "../store/types.js";
import {
  endpointOf,
  isAssigned,
  isLive,
  isToStop,
  networkKeyResourcesOf,
  networkResourceOf,
  networksOfService,
  peerResourceOf,
  serviceResourceOf,
} from "./resource-build.js";

/** A task of a node: `stable` changes identity only when the node must hear of it; `task` is the newest. */
export interface AssignedTask {
  readonly task: Task;
  readonly stable: Task;
}

/** What a batch of changes touched: the sessions look at these keys only. */
export interface Dirty {
  readonly tasks: Set<string>;
  readonly secrets: Set<string>;
  readonly configs: Set<string>;
  readonly networks: Set<string>;
  readonly endpoints: Set<string>;
  readonly services: Set<string>;
  readonly peers: Set<string>;
  /** Generations of the key of encrypted networks. */
  readonly networkKeys: Set<string>;
  /** Tasks that had traffic and are to stop. */
  readonly drains: Set<string>;
  /** Nodes whose own tasks changed: what interests them may have changed with it. */
  readonly nodes: Set<string>;
}

export function emptyDirty(): Dirty {
  return {
    tasks: new Set(),
    secrets: new Set(),
    configs: new Set(),
    networks: new Set(),
    endpoints: new Set(),
    services: new Set(),
    peers: new Set(),
    networkKeys: new Set(),
    drains: new Set(),
    nodes: new Set(),
  };
}

/** A map of sets that drops what becomes empty. */
class Grouping {
  readonly #groups = new Map<string, Set<string>>();

  add(group: string, member: string): void {
    const members = this.#groups.get(group);
    if (members === undefined) this.#groups.set(group, new Set([member]));
    else members.add(member);
  }

  delete(group: string, member: string): void {
    const members = this.#groups.get(group);
    members?.delete(member);
    if (members?.size === 0) this.#groups.delete(group);
  }

  of(group: string): Iterable<string> {
    return this.#groups.get(group) ?? [];
  }
}

/** What the agent's own reports change; a task that differs in nothing else is not sent again. */
function withoutReports(task: Task): Task {
  return { ...task, meta: undefined, status: undefined, gatewayAddress: "" };
}

export class ResourceIndex {
  readonly endpoints = new Map<string, EndpointResource>();
  readonly services = new Map<string, ServiceResource>();
  readonly networks = new Map<string, NetworkResource>();
  readonly peers = new Map<string, PeerResource>();
  /** By generation: told to the nodes on encrypted networks alone. */
  readonly networkKeys = new Map<string, NetworkKeyResource>();
  /** One for each version, under its `dataKey`, which is its id here. */
  readonly secrets = new Map<string, Secret>();
  readonly configs = new Map<string, Config>();
  readonly nodes = new Map<string, Node>();
  readonly #tasks = new Map<string, AssignedTask>();
  readonly #tasksOfNode = new Grouping();
  readonly #endpointsOfNetwork = new Grouping();
  readonly #endpointsOfService = new Grouping();
  readonly #servicesOfNetwork = new Grouping();
  readonly #messages = new WeakMap<object, NodeResource>();
  readonly networkObjects = new Map<string, Network>();
  /** Networks that any node may come to take part in: attachable ones and the mesh's. */
  readonly openNetworks = new Set<string>();
  /** Services with ingress ports: every node serves them. */
  readonly ingressServices = new Set<string>();
  #vxlanUdpPort = 0;
  /** Of tasks that name none, from when they are told to their node on. */
  #logDriver: LogDriver | undefined;

  static of(view: ReadTx): ResourceIndex {
    const index = new ResourceIndex();
    const dirty = emptyDirty();
    const cluster = view.list("cluster")[0];
    index.#vxlanUdpPort = cluster?.vxlanUdpPort ?? 0;
    index.#logDriver = cluster?.spec?.defaultLogDriver;
    index.#setNetworkKeys(cluster, dirty);
    for (const node of view.list("node")) index.#setNode(node.id, node, dirty);
    for (const service of view.list("service")) index.#setService(service.id, service, dirty);
    for (const network of view.list("network")) index.#setNetwork(network.id, network, dirty);
    for (const task of view.list("task")) index.#setTask(task.id, task, dirty);
    for (const secret of view.list("secret")) setVersions(index.secrets, undefined, secret, dirty.secrets);
    for (const config of view.list("config")) setVersions(index.configs, undefined, config, dirty.configs);
    return index;
  }

  apply(changes: readonly StoreChange[], dirty: Dirty = emptyDirty()): Dirty {
    for (const change of changes) this.#applyOne(change, dirty);
    return dirty;
  }

  /** The message of an object of this index, made once for all sessions. */
  resourceOf($case: NonNullable<NodeResource["resource"]>["$case"], value: object): NodeResource {
    const made = this.#messages.get(value);
    if (made !== undefined) return made;
    // the caller took the object from the map of its case
    const message = { resource: { $case, value } } as NodeResource;
    this.#messages.set(value, message);
    return message;
  }

  task(id: string): AssignedTask | undefined {
    return this.#tasks.get(id);
  }

  tasksOfNode(nodeId: string): Iterable<string> {
    return this.#tasksOfNode.of(nodeId);
  }

  endpointsOfNetwork(networkId: string): Iterable<string> {
    return this.#endpointsOfNetwork.of(networkId);
  }

  endpointsOfService(serviceId: string): Iterable<string> {
    return this.#endpointsOfService.of(serviceId);
  }

  servicesOfNetwork(networkId: string): Iterable<string> {
    return this.#servicesOfNetwork.of(networkId);
  }

  #applyOne(change: StoreChange, dirty: Dirty): void {
    switch (change.table) {
      case "task":
        this.#setTask(change.id, change.after, dirty);
        break;
      case "service":
        this.#setService(change.id, change.after, dirty);
        break;
      case "network":
        this.#setNetwork(change.id, change.after, dirty);
        break;
      case "node":
        this.#setNode(change.id, change.after, dirty);
        break;
      case "secret":
        setVersions(this.secrets, change.before, change.after, dirty.secrets);
        break;
      case "config":
        setVersions(this.configs, change.before, change.after, dirty.configs);
        break;
      case "cluster": {
        this.#logDriver = change.after?.spec?.defaultLogDriver;
        this.#setNetworkKeys(change.after, dirty);
        const port = change.after?.vxlanUdpPort ?? this.#vxlanUdpPort;
        if (port === this.#vxlanUdpPort) break;
        this.#vxlanUdpPort = port;
        for (const network of this.networkObjects.values()) this.#setNetwork(network.id, network, dirty);
        for (const node of this.nodes.values()) this.#setNode(node.id, node, dirty);
        break;
      }
      default:
        break; // volumes, stacks and leases are not the workers' business
    }
  }

  #setTask(id: string, task: Task | undefined, dirty: Dirty): void {
    const before = this.#tasks.get(id);
    const after = task !== undefined && isAssigned(task) ? withLogDriver(task, this.#logDriver) : undefined;
    if (before !== undefined && before.task.nodeId !== after?.nodeId) {
      this.#tasksOfNode.delete(before.task.nodeId, id);
      dirty.nodes.add(before.task.nodeId);
    }
    if (after === undefined) {
      this.#tasks.delete(id);
      if (before !== undefined) dirty.tasks.add(id);
    } else {
      const same =
        before !== undefined && isDeepStrictEqual(withoutReports(before.task), withoutReports(after));
      this.#tasks.set(id, { task: after, stable: same ? before.stable : after });
      this.#tasksOfNode.add(after.nodeId, id);
      if (!same) dirty.tasks.add(id);
      if (!same || isLive(before.task) !== isLive(after)) dirty.nodes.add(after.nodeId);
    }
    this.#setEndpoint(id, after, dirty);
  }

  #setEndpoint(id: string, task: Task | undefined, dirty: Dirty): void {
    const before = this.endpoints.get(id);
    const after = task === undefined ? undefined : endpointOf(task, this.nodes.get(task.nodeId));
    if (!replace(this.endpoints, id, after)) return;
    if (before !== undefined) {
      this.#endpointsOfService.delete(before.serviceId, id);
      for (const attachment of before.attachments) this.#endpointsOfNetwork.delete(attachment.networkId, id);
    }
    if (after !== undefined) {
      this.#endpointsOfService.add(after.serviceId, id);
      for (const attachment of after.attachments) this.#endpointsOfNetwork.add(attachment.networkId, id);
    }
    dirty.endpoints.add(id);
    const isDrained = before?.state === EndpointState.READY && after?.state === EndpointState.DRAINING;
    if (isDrained && task !== undefined && isToStop(task)) dirty.drains.add(id);
  }

  #setService(id: string, service: Service | undefined, dirty: Dirty): void {
    const before = this.services.get(id);
    const after = service === undefined ? undefined : serviceResourceOf(service);
    if (!replace(this.services, id, after)) return;
    if (before !== undefined)
      for (const network of networksOfService(before)) this.#servicesOfNetwork.delete(network, id);
    if (after !== undefined)
      for (const network of networksOfService(after)) this.#servicesOfNetwork.add(network, id);
    dirty.services.add(id);
    const ingress = (after?.ports.length ?? 0) > 0;
    if (ingress === this.ingressServices.has(id)) return;
    if (ingress) this.ingressServices.add(id);
    else this.ingressServices.delete(id);
    for (const endpoint of this.#endpointsOfService.of(id)) dirty.endpoints.add(endpoint);
  }

  #setNetwork(id: string, network: Network | undefined, dirty: Dirty): void {
    const object = network?.pendingDelete === true ? undefined : network;
    if (object === undefined) this.networkObjects.delete(id);
    else this.networkObjects.set(id, object);
    if (object?.spec?.attachable === true || object?.spec?.ingress === true) this.openNetworks.add(id);
    else this.openNetworks.delete(id);
    dirty.networks.add(id);
    const after = network === undefined ? undefined : networkResourceOf(network, this.#vxlanUdpPort);
    replace(this.networks, id, after);
  }

  #setNetworkKeys(cluster: Cluster | undefined, dirty: Dirty): void {
    const keys = new Map(networkKeyResourcesOf(cluster).map((key) => [key.id, key]));
    for (const id of new Set([...this.networkKeys.keys(), ...keys.keys()]))
      if (replace(this.networkKeys, id, keys.get(id))) dirty.networkKeys.add(id);
  }

  #setNode(id: string, node: Node | undefined, dirty: Dirty): void {
    const before = this.nodes.get(id);
    if (node === undefined) this.nodes.delete(id);
    else this.nodes.set(id, node);
    if (replace(this.peers, id, node === undefined ? undefined : peerResourceOf(node, this.#vxlanUdpPort)))
      dirty.peers.add(id);
    if (before?.status?.state === node?.status?.state) return;
    for (const taskId of this.#tasksOfNode.of(id))
      this.#setEndpoint(taskId, this.#tasks.get(taskId)?.task, dirty);
  }
}

/** The versions of a secret's or config's data as objects of their own. */
function versionsOf<T extends Secret | Config>(object: T | undefined): ReadonlyMap<string, T> {
  if (object === undefined) return new Map();
  const newest = { number: object.dataVersion || 1, data: object.data };
  return new Map(
    [...object.oldVersions, newest].map(({ number, data }) => {
      const id = dataKey(object.id, number);
      // labels and times are not the workers' business: a new label must not reach them
      return [id, { ...object, id, meta: undefined, data, dataVersion: number, oldVersions: [] }];
    }),
  );
}

function setVersions<T extends Secret | Config>(
  map: Map<string, T>,
  before: T | undefined,
  after: T | undefined,
  dirty: Set<string>,
): void {
  const versions = versionsOf(after);
  for (const id of new Set([...versionsOf(before).keys(), ...versions.keys()]))
    if (replace(map, id, versions.get(id))) dirty.add(id);
}

/** Keeps the old object when the new one says the same. @returns whether anything changed. */
function replace<T>(map: Map<string, T>, id: string, after: T | undefined): boolean {
  const before = map.get(id);
  if (before === after || isDeepStrictEqual(before, after)) return false;
  if (after === undefined) map.delete(id);
  else map.set(id, after);
  return true;
}

function withLogDriver(task: Task, logDriver: LogDriver | undefined): Task {
  const { spec } = task;
  if (logDriver === undefined || spec === undefined || (spec.logDriver?.name ?? "") !== "") return task;
  return { ...task, spec: { ...spec, logDriver } };
}
