/**
 * Who uses a network of the cluster, as `network inspect --verbose` shows it: services with their virtual
 * address, ports and running tasks on all nodes, and the nodes those run on as peers.
 * Pure. Source: Docker Engine API 1.51, network.ServiceInfo and network.PeerInfo.
 */
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { type PortConfig, TaskState } from "../../proto/gen/skein/v1/types.js";
import type { JsonObject } from "./shape.js";

/** A service on one network. */
export interface NetworkService {
  readonly name: string;
  /** CIDRs, IPv4 first. */
  readonly virtualIps: readonly string[];
  readonly ports: readonly Pick<PortConfig, "targetPort" | "publishedPort">[];
  readonly tasks: readonly {
    readonly name: string;
    /** CIDRs, IPv4 first. */
    readonly addresses: readonly string[];
    readonly hostAddress: string;
  }[];
}

export interface NetworkUse {
  readonly networkId: string;
  readonly services: readonly Service[];
  readonly tasks: readonly Task[];
  readonly nodes: readonly Node[];
}

/** What the cluster's objects say. */
export function networkUseOf({ networkId, services, tasks, nodes }: NetworkUse): {
  services: readonly NetworkService[];
  peers: readonly NetworkPeer[];
} {
  const hosts = new Map(
    nodes.map((node) => [node.id, node.description?.dataPathAddress || (node.status?.address ?? "")]),
  );
  const here = tasks.filter(
    (task) =>
      task.status?.state === TaskState.RUNNING && task.networks.some((one) => one.networkId === networkId),
  );
  const tasksOf = new Map<string, Task[]>();
  for (const task of here) {
    const own = tasksOf.get(task.serviceId);
    if (own === undefined) tasksOf.set(task.serviceId, [task]);
    else own.push(task);
  }
  const users = services.filter(
    ({ id, endpoint }) =>
      endpoint?.virtualIps.some((one) => one.networkId === networkId) === true || tasksOf.has(id),
  );
  const peers = [...new Set(here.map(({ nodeId }) => nodeId))].sort();
  return {
    services: users.map((service) => ({
      name: service.spec?.annotations?.name ?? service.id,
      virtualIps: (service.endpoint?.virtualIps ?? [])
        .filter((one) => one.networkId === networkId)
        .map(({ address }) => address),
      ports: service.endpoint?.ports ?? [],
      tasks: (tasksOf.get(service.id) ?? []).map((task) => ({
        name: `${service.spec?.annotations?.name}.${task.slot || task.nodeId}.${task.id}`,
        addresses: task.networks.find((one) => one.networkId === networkId)?.addresses ?? [],
        hostAddress: hosts.get(task.nodeId) ?? "",
      })),
    })),
    peers: peers.map((nodeId) => ({ nodeId, address: hosts.get(nodeId) ?? "" })),
  };
}

export interface NetworkPeer {
  readonly nodeId: string;
  readonly address: string;
}

export function networkServicesOut(services: readonly NetworkService[]): JsonObject {
  const out: Record<string, JsonObject> = {};
  for (const service of services) {
    const [first = "", ...more] = service.virtualIps;
    out[service.name] = {
      VIP: bare(first),
      ...(more.length === 0 ? {} : { IPv6VIP: bare(more[0]) }),
      Ports: service.ports.map(portText),
      LocalLBIndex: 0,
      Tasks: service.tasks.map((task) => ({
        Name: task.name,
        EndpointID: "",
        EndpointIP: bare(task.addresses[0]),
        Info: { "Host IP": task.hostAddress },
      })),
    };
  }
  return { Services: out };
}

/** {} when there is none: Docker leaves the field out then. */
export function networkPeersOut(peers: readonly NetworkPeer[]): JsonObject {
  if (peers.length === 0) return {};
  return { Peers: peers.map(({ nodeId, address }) => ({ Name: nodeId.slice(0, 12), IP: address })) };
}

/** Without the length of its prefix. */
const bare = (address = ""): string => address.replace(/\/.*$/, "");

const portText = ({ targetPort, publishedPort }: NetworkService["ports"][number]): string =>
  `Target: ${targetPort}, Publish: ${publishedPort}`;
