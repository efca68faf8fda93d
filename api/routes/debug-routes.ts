/**
 * What this node's manager says of its Raft member: /skein/v1/debug/raft as JSON, /metrics for Prometheus.
 * Edge: to the manager's Debug service.
 */
import { METRICS_CONTENT_TYPE, raftMetricsText } from "../convert/raft-metrics-text.js";
import type { JsonObject } from "../convert/shape.js";
import type { ManagerClients } from "../manager-clients.js";
import type { Route } from "./route.js";

export function debugRoutes(clients: ManagerClients, isManager: () => boolean): Route[] {
  return [
    {
      method: "GET",
      path: "/skein/v1/debug/raft",
      handle: async () => ({
        status: 200,
        // numbers, strings and lists of them, through and through
        json: (await clients.inspectRaft()) as unknown as JsonObject,
      }),
    },
    {
      method: "GET",
      path: "/metrics",
      handle: async ({ response }) => {
        // A worker has nothing to tell yet: an empty page, so that one scrape configuration serves all nodes.
        const text = isManager() ? raftMetricsText(await clients.inspectRaft()) : "";
        response.writeHead(200, { "content-type": METRICS_CONTENT_TYPE });
        response.end(text);
        return undefined;
      },
    },
  ];
}
