/**
 * What a node's audits of its network found, as Prometheus reads it. Pure.
 * Source: Prometheus' text exposition format 0.0.4; docs/design/network-audit.md.
 */
import { labelText } from "./raft-metrics-text.js";

export interface AuditCounts {
  /** Places that were looked at. */
  readonly audits: number;
  /** By kind of entry. */
  readonly differencesByKind: Readonly<Record<string, number>>;
  /** Not as they should be now. */
  readonly standing: number;
}

export function auditMetricsText({ audits, differencesByKind, standing }: AuditCounts): string {
  const lines = [
    "# HELP skein_network_audits_total Places of this node's network that were compared with the kernel.",
    "# TYPE skein_network_audits_total counter",
    `skein_network_audits_total ${audits}`,
    "# HELP skein_network_differences_total Differences found and repaired, by kind of entry.",
    "# TYPE skein_network_differences_total counter",
    ...Object.entries(differencesByKind).map(
      ([kind, count]) => `skein_network_differences_total${labelText({ kind })} ${count}`,
    ),
    "# HELP skein_network_differences Differences that could not be repaired.",
    "# TYPE skein_network_differences gauge",
    `skein_network_differences ${standing}`,
  ];
  return `${lines.join("\n")}\n`;
}
