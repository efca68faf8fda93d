/**
 * What workers are told, made of stored objects: one builder per kind of resource.
 * Pure. Invariant: a resource is a function of the objects given; nothing secret enters endpoints,
 * services or peers.
 */
import { PLACEHOLDER, placeholderValue } from "../../proto/dispatch/task-placeholders.js";
import { isNodeNetwork } from "../../proto/engine/node-networks.js";
import {
  type EndpointResource,
  EndpointState,
  type NetworkKeyResource,
  type NetworkResource,
  type PeerResource,
  type ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import type { Cluster, Network, Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  BalancePolicy,
  EndpointMode,
  NodeState,
  PublishMode,
  TaskState,
  taskStateToNumber,
} from "../../proto/gen/skein/v1/types.js";

const MTU_OPTION = "com.docker.network.driver.mtu";
/** IANA's VXLAN port, used when the cluster names none. */
const VXLAN_UDP_PORT = 4789;

/** @returns the place of a state in the life of a task; a later one has the larger number. */
export function rank(state: TaskState): number {
  return taskStateToNumber(state);
}

export function observedState(task: Task): TaskState {
  return task.status?.state ?? TaskState.NEW;
}

/** The task may have a process: assigned to a node and not past RUNNING. */
export function isLive(task: Task): boolean {
  const state = rank(observedState(task));
  return task.nodeId !== "" && state >= rank(TaskState.ASSIGNED) && state <= rank(TaskState.RUNNING);
}

/**
 * The task is its node's business: assigned, and kept there until the object goes,
 * because the container of a finished task still has logs. A task given up as orphaned is left out, so that a
 * node that comes back removes what runs.
 */
export function isAssigned(task: Task): boolean {
  const state = rank(observedState(task));
  return task.nodeId !== "" && state >= rank(TaskState.ASSIGNED) && state < rank(TaskState.REMOVE);
}

/** It runs on until its node stops it. */
export function isToStop(task: Task): boolean {
  return rank(task.desiredState) >= rank(TaskState.SHUTDOWN);
}

/**
 * `<service>.<slot>.<task id>`, with the node's id for the slot of a global task; the container's own name
 * for an attachment.
 */
export function taskName(task: Task): string {
  if (task.attached !== undefined) return task.attached.name;
  const place = task.slot > 0 ? String(task.slot) : task.nodeId;
  return `${task.serviceAnnotations?.name ?? ""}.${place}.${task.id}`;
}

function endpointState(task: Task, node: Node | undefined): EndpointState {
  const leaving = isToStop(task) || node?.status?.state === NodeState.DOWN;
  if (leaving) return EndpointState.DRAINING;
  return observedState(task) === TaskState.RUNNING && task.desiredState !== TaskState.READY
    ? EndpointState.READY
    : EndpointState.JOINING;
}

/** @returns undefined while the task can have no traffic: no node, no address yet, or not alive. */
export function endpointOf(task: Task, node: Node | undefined): EndpointResource | undefined {
  if (!isLive(task) || !task.allocated) return undefined;
  const hostname = task.attached?.hostname ?? task.spec?.container?.hostname ?? "";
  return {
    taskId: task.id,
    taskName: taskName(task),
    serviceId: task.serviceId,
    serviceName: task.serviceAnnotations?.name ?? "",
    nodeId: task.nodeId,
    state: endpointState(task, node),
    attachments: task.networks,
    gatewayAddress: task.gatewayAddress,
    hostname: hostname === "" ? task.id.slice(0, 12) : filledIn(hostname, task, node),
    slot: task.slot,
  };
}

/** The hostname that the node gives the task; "" when it will refuse the template. */
function filledIn(hostname: string, task: Task, node: Node | undefined): string {
  if (!hostname.includes("{{")) return hostname;
  const { platform, hostname: nodeName = "" } = node?.description ?? {};
  const { os = "", architecture = "" } = platform ?? {};
  const facts = {
    task,
    taskName: taskName(task),
    node: { id: task.nodeId, hostname: nodeName, os, architecture },
  };
  const values = [...hostname.matchAll(PLACEHOLDER)].map(([, part = ""]) => placeholderValue(part, facts));
  if (values.includes(undefined)) return "";
  return hostname.replace(PLACEHOLDER, () => values.shift() ?? "");
}

export function serviceResourceOf(service: Service): ServiceResource {
  return {
    id: service.id,
    name: service.spec?.annotations?.name ?? "",
    mode: service.endpoint?.spec?.mode ?? service.spec?.endpoint?.mode ?? EndpointMode.VIP,
    virtualIps: service.endpoint?.virtualIps ?? [],
    ports: (service.endpoint?.ports ?? []).filter(
      (port) => port.publishMode === PublishMode.INGRESS && port.publishedPort > 0,
    ),
    aliases: (service.spec?.task?.networks ?? [])
      .filter(({ target }) => !isNodeNetwork(target))
      .map((network) => ({ networkId: network.target, addresses: [], aliases: network.aliases })),
    balance: service.spec?.endpoint?.balance ?? BalancePolicy.ROUND_ROBIN,
    idleTimeoutMs: service.spec?.endpoint?.idleTimeoutMs,
  };
}

/** Networks on which a service can be reached or named. */
export function networksOfService(service: ServiceResource): ReadonlySet<string> {
  return new Set([
    ...service.virtualIps.map((vip) => vip.networkId),
    ...service.aliases.map((alias) => alias.networkId),
  ]);
}

/** @returns undefined until the allocator has given the network its VNI. */
export function networkResourceOf(network: Network, vxlanUdpPort: number): NetworkResource | undefined {
  if (network.vni === 0) return undefined;
  const mtu = Number(network.spec?.driverOptions[MTU_OPTION] ?? 0);
  return {
    id: network.id,
    name: network.spec?.annotations?.name ?? "",
    vni: network.vni,
    ipam: network.ipam,
    internal: network.spec?.internal ?? false,
    mtuBytes: Number.isInteger(mtu) && mtu > 0 ? mtu : 0,
    vxlanUdpPort: vxlanUdpPort || VXLAN_UDP_PORT,
    encrypted: network.spec?.encrypted ?? false,
  };
}

/** Only for nodes on an encrypted network. */
export function networkKeyResourcesOf(cluster: Cluster | undefined): NetworkKeyResource[] {
  return (cluster?.networkKeys ?? []).map(({ generation, key }) => ({
    id: String(generation),
    generation,
    key,
  }));
}

/** @returns undefined until the node has a number and an address for its VXLAN traffic. */
export function peerResourceOf(node: Node, vxlanUdpPort: number): PeerResource | undefined {
  const dataPathAddress = node.description?.dataPathAddress || node.status?.address || "";
  if (node.number === 0 || dataPathAddress === "") return undefined;
  return {
    nodeId: node.id,
    hostname: node.description?.hostname ?? "",
    number: node.number,
    dataPathAddress,
    vxlanUdpPort: vxlanUdpPort || VXLAN_UDP_PORT,
    wireguardPublicKey: node.description?.wireguardPublicKey ?? "",
    wireguardUdpPort: node.description?.wireguardUdpPort ?? 0,
    pathMtuBytes: node.description?.pathMtuBytes ?? 0,
    nodeAddresses: [...(node.description?.nodeAddresses ?? [])],
    away: node.status?.state === NodeState.DOWN || node.status?.state === NodeState.DISCONNECTED,
  };
}
