/**
 * /nodes. Edge: to the manager's control API.
 */
import { NodeAvailability, NodeRole, type NodeSpec } from "../../proto/gen/skein/v1/types.js";
import type { Fields } from "../convert/fields.js";
import { nodeOut } from "../convert/objects-out.js";
import { ClusterRoots } from "../convert/tls-info-out.js";
import { labelFilters, listFilters, parseFilters } from "../filters.js";
import type { ManagerClients } from "../manager-clients.js";
import type { Route } from "./route.js";

const FILTER_KEYS = ["id", "label", "membership", "name", "node.label", "role"];
const ROLES = { worker: NodeRole.WORKER, manager: NodeRole.MANAGER };
export const AVAILABILITIES = {
  active: NodeAvailability.ACTIVE,
  pause: NodeAvailability.PAUSE,
  drain: NodeAvailability.DRAIN,
};

/** What a client of Docker's does not know, and so does not send, stays as it was. */
function nodeSpecIn(fields: Fields, before: NodeSpec | undefined): NodeSpec {
  const skein = fields.object("Skein");
  return {
    annotations: { name: fields.string("Name"), labels: fields.stringMap("Labels") },
    desiredRole: fields.oneOf("Role", ROLES),
    availability: fields.oneOf("Availability", AVAILABILITIES),
    drainDeadlineMs: skein?.optionalDurationMs("DrainDeadline") ?? before?.drainDeadlineMs ?? 0,
  };
}

export function nodeRoutes(clients: ManagerClients): Route[] {
  const roots = async (): Promise<ClusterRoots> => {
    const { cluster } = await clients.call((control) => control.getCluster, {});
    return new ClusterRoots(cluster?.rootCa);
  };
  return [
    {
      method: "GET",
      path: "/nodes",
      handle: async ({ query }) => {
        const filters = parseFilters(query.get("filters"), FILTER_KEYS);
        const nodeLabels = labelFilters(filters.get("node.label"));
        const roles = (filters.get("role") ?? []).flatMap((role) =>
          role === "manager" ? [NodeRole.MANAGER] : role === "worker" ? [NodeRole.WORKER] : [],
        );
        const [{ nodes }, clusterRoots] = await Promise.all([
          clients.call((control) => control.listNodes, {
            filters: listFilters(filters),
            roles,
            memberships: [...(filters.get("membership") ?? [])],
            nodeLabels: nodeLabels.labels,
            nodeLabelKeys: nodeLabels.keys,
          }),
          roots(),
        ]);
        return { status: 200, json: nodes.map((node) => nodeOut(node, clusterRoots)) };
      },
    },
    {
      method: "GET",
      path: "/nodes/:id",
      handle: async (exchange) => {
        const [{ node }, clusterRoots] = await Promise.all([
          clients.call((control) => control.getNode, { id: exchange.param("id") }),
          roots(),
        ]);
        return { status: 200, json: node && nodeOut(node, clusterRoots) };
      },
    },
    {
      method: "DELETE",
      path: "/nodes/:id",
      handle: async (exchange) => {
        await clients.call((control) => control.removeNode, {
          id: exchange.param("id"),
          force: exchange.flag("force"),
        });
        return { status: 200 };
      },
    },
    {
      method: "POST",
      path: "/nodes/:id/update",
      handle: async (exchange) => {
        const body = await exchange.body();
        const { node } = await clients.call((control) => control.getNode, { id: exchange.param("id") });
        const spec = nodeSpecIn(body, node?.spec);
        await clients.call((control) => control.updateNode, {
          id: exchange.param("id"),
          version: exchange.version(),
          spec,
        });
        return { status: 200 };
      },
    },
  ];
}
