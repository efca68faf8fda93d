/**
 * What this node has been told of the cluster's networks and of its own tasks, for those who ask here.
 * Pure. Invariant: read from the resources as they are now; nothing is kept.
 * Cost: one look at each resource per question about a network.
 */
import type {
  EndpointResource,
  NodeResource,
  PeerResource,
  ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointState, ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Network, Task } from "../../proto/gen/skein/v1/objects.js";
import type { PortConfig } from "../../proto/gen/skein/v1/types.js";
import type { AssignmentBook } from "./assignment-book.js";

/** A service on one network. */
export interface KnownService {
  readonly name: string;
  /** CIDRs, one per family. */
  readonly virtualIps: readonly string[];
  readonly ports: readonly PortConfig[];
  readonly tasks: readonly {
    readonly name: string;
    /** CIDRs, one per family. */
    readonly addresses: readonly string[];
    /** Of its node's data path. */
    readonly hostAddress: string;
  }[];
}

export interface KnownCluster {
  /** Those this node takes part in, and those it may come to. */
  networks(): readonly Network[];
  /** Ids of those this node takes part in that a task, or a container that joined, is on. */
  used(): ReadonlySet<string>;
  /** Of this node. */
  task(id: string): Task | undefined;
  /** Of a network this node takes part in: the nodes with a task on it. */
  peers(networkId: string): readonly { readonly nodeId: string; readonly address: string }[];
  /** Likewise. */
  services(networkId: string): readonly KnownService[];
}

type Case = NonNullable<NodeResource["resource"]>["$case"];
type ValueOf<C extends Case> = Extract<NonNullable<NodeResource["resource"]>, { $case: C }>["value"];

export function knownCluster(
  book: Pick<AssignmentBook, "resources" | "get">,
  self: () => { readonly nodeId: string; readonly address: string },
): KnownCluster {
  const all = <C extends Case>($case: C): readonly ValueOf<C>[] =>
    book
      .resources()
      .flatMap(({ resource }) => (resource?.$case === $case ? [resource.value as ValueOf<C>] : [])); // of it
  const addressesOf = (): ReadonlyMap<string, string> => {
    const peers: readonly PeerResource[] = all("peer");
    const { nodeId, address } = self();
    return new Map([...peers.map((peer) => [peer.nodeId, peer.dataPathAddress] as const), [nodeId, address]]);
  };
  const endpointsOn = (networkId: string): readonly EndpointResource[] =>
    all("endpoint").filter(({ attachments }) => attachments.some((one) => one.networkId === networkId));
  return {
    networks: () => all("networkObject"),
    used: () => {
      const ids = new Set<string>();
      for (const { attachments } of all("endpoint"))
        for (const { networkId } of attachments) ids.add(networkId);
      return ids;
    },
    task: (id) => {
      const resource = book.get(ResourceKind.TASK, id)?.resource;
      return resource?.$case === "task" ? resource.value : undefined;
    },
    peers: (networkId) => {
      const addresses = addressesOf();
      const nodeIds = new Set(endpointsOn(networkId).map(({ nodeId }) => nodeId));
      return [...nodeIds].sort().map((nodeId) => ({ nodeId, address: addresses.get(nodeId) ?? "" }));
    },
    services: (networkId) => {
      const addresses = addressesOf();
      const tasksOf = new Map<string, EndpointResource[]>();
      for (const endpoint of endpointsOn(networkId)) {
        if (endpoint.state === EndpointState.JOINING) continue;
        const tasks = tasksOf.get(endpoint.serviceId);
        if (tasks === undefined) tasksOf.set(endpoint.serviceId, [endpoint]);
        else tasks.push(endpoint);
      }
      const services: readonly ServiceResource[] = all("service");
      return services
        .filter(({ virtualIps, aliases }) =>
          [...virtualIps, ...aliases].some((one) => one.networkId === networkId),
        )
        .map((service) => ({
          name: service.name,
          virtualIps: service.virtualIps
            .filter((vip) => vip.networkId === networkId)
            .map(({ address }) => address),
          ports: service.ports,
          tasks: (tasksOf.get(service.id) ?? []).map((endpoint) => ({
            name: endpoint.taskName,
            addresses: endpoint.attachments
              .filter((one) => one.networkId === networkId)
              .flatMap((one) => one.addresses),
            hostAddress: addresses.get(endpoint.nodeId) ?? "",
          })),
        }));
    },
  };
}
