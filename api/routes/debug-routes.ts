/**
 * What this node's manager says of its Raft member: /skein/v1/debug/raft as JSON, /metrics for Prometheus.
 * Edge: to the manager's Debug service.
 */
import { codeOf } from "../../base/errors/errors.js";
import { type AuditCounts, auditMetricsText } from "../convert/audit-metrics-text.js";
import { networkMetricsText } from "../convert/network-metrics-text.js";
import { METRICS_CONTENT_TYPE, raftMetricsText } from "../convert/raft-metrics-text.js";
import type { JsonObject } from "../convert/shape.js";
import type { ManagerClients } from "../manager-clients.js";
import type { Route } from "./route.js";

async function managerMetrics(clients: ManagerClients): Promise<string> {
  const raft = await clients.inspectRaft();
  if (raft.role !== "leader") return raftMetricsText(raft);
  try {
    const { networks } = await clients.call((control) => control.listNetworkUse, {});
    return raftMetricsText(raft) + networkMetricsText(networks);
  } catch (error) {
    if (["unavailable", "not-leader", "deadline-exceeded"].includes(codeOf(error)))
      return raftMetricsText(raft);
    throw error; // it led when it was asked, and does not any more: the next leader tells
  }
}

/** @param audits of this node's network; undefined: it has none. */
export function debugRoutes(
  clients: ManagerClients,
  isManager: () => boolean,
  audits: () => AuditCounts | undefined,
): Route[] {
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
        // Of every node its own audits, so that one scrape configuration serves all.
        const counts = audits();
        const own = counts === undefined ? "" : auditMetricsText(counts);
        const text = (isManager() ? await managerMetrics(clients) : "") + own;
        response.writeHead(200, { "content-type": METRICS_CONTENT_TYPE });
        response.end(text);
        return undefined;
      },
    },
  ];
}
