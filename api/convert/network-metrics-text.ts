/**
 * Addresses of the cluster's networks, as Prometheus reads them. Pure. The leader's page alone has them, so that
 * sums over managers count each network once. Source: Prometheus' text exposition format 0.0.4.
 */
import type { NetworkUse, SubnetUse } from "../../proto/gen/skein/v1/control.js";
import { labelText } from "./raft-metrics-text.js";

export function networkMetricsText(networks: readonly NetworkUse[]): string {
  const rows = (pick: (subnet: SubnetUse) => number, name: string): string[] =>
    networks.flatMap((network) =>
      network.subnets.map(
        (subnet) => `${name}${labelText({ network: network.name, subnet: subnet.subnet })} ${pick(subnet)}`,
      ),
    );
  const gauge = (name: string, help: string, pick: (subnet: SubnetUse) => number): string[] => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} gauge`,
    ...rows(pick, name),
  ];
  const lines = [
    ...gauge(
      "skein_network_addresses_used",
      "Addresses of the subnet that are given, or not to be given.",
      ({ inUse }) => inUse,
    ),
    ...gauge(
      "skein_network_addresses_total",
      "The same, and those that may still be given.",
      ({ inUse, available }) => inUse + available,
    ),
  ];
  return `${lines.join("\n")}\n`;
}
