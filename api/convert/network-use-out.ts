/**
 * Who uses a network of the cluster, as `network inspect --verbose` shows it: services with their virtual
 * address, ports and running tasks on all nodes, and the nodes those run on as peers.
 * Pure. Source: Docker Engine API 1.51, network.ServiceInfo and network.PeerInfo.
 */
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { type PortConfig, TaskState } from "../../proto/gen/skein/v1/types.js";
import type { JsonObject } from "./shape.js";

export interface NetworkUse {
  readonly networkId: string;
  readonly services: readonly Service[];
  readonly tasks: readonly Task[];
  readonly nodes: readonly Node[];
}

export function networkUseOut({ networkId, services, tasks, nodes }: NetworkUse): JsonObject {
  const addresses = new Map(nodes.map((node) => [node.id, node.status?.address ?? ""]));
  const here = tasks.filter(
    (task) =>
      task.status?.state === TaskState.RUNNING && task.networks.some((one) => one.networkId === networkId),
  );
  const users = services.filter(
    ({ id, endpoint }) =>
      endpoint?.virtualIps.some((one) => one.networkId === networkId) === true ||
      here.some(({ serviceId }) => serviceId === id),
  );
  const out: Record<string, JsonObject> = {};
  for (const service of users) {
    const own = here.filter(({ serviceId }) => serviceId === service.id);
    out[service.spec?.annotations?.name ?? service.id] = {
      VIP: bare(service.endpoint?.virtualIps.find((one) => one.networkId === networkId)?.address),
      Ports: (service.endpoint?.ports ?? []).map(portText),
      LocalLBIndex: 0,
      Tasks: own.map((task) => ({
        Name: `${service.spec?.annotations?.name}.${task.slot || task.nodeId}.${task.id}`,
        EndpointID: "",
        EndpointIP: bare(task.networks.find((one) => one.networkId === networkId)?.addresses[0]),
        Info: { "Host IP": addresses.get(task.nodeId) ?? "" },
      })),
    };
  }
  const peers = [...new Set(here.map(({ nodeId }) => nodeId))].sort();
  return {
    Services: out,
    Peers: peers.map((id) => ({ Name: id.slice(0, 12), IP: addresses.get(id) ?? "" })),
  };
}

/** Without the length of its prefix. */
const bare = (address = ""): string => address.replace(/\/.*$/, "");

const portText = ({ targetPort, publishedPort }: PortConfig): string =>
  `Target: ${targetPort}, Publish: ${publishedPort}`;
