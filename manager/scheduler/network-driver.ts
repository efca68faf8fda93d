/**
 * Which driver a network needs on a node, and which ports the routing mesh takes on all of them.
 * Pure.
 */
import type { Network, Service } from "../../proto/gen/skein/v1/objects.js";
import { PublishMode } from "../../proto/gen/skein/v1/types.js";
import { portKey } from "./node-info.js";

export function networkDriverIn(networks: readonly Network[]): (networkId: string) => string | undefined {
  const byId = new Map(networks.map(({ id, spec }) => [id, spec?.driver]));
  return (networkId) => byId.get(networkId);
}

/** @returns the name of a network that is encrypted between nodes, by id. */
export function encryptedNetworkIn(networks: readonly Network[]): (networkId: string) => string | undefined {
  const byId = new Map<string, string>();
  for (const { id, spec } of networks) if (spec?.encrypted) byId.set(id, spec.annotations?.name ?? id);
  return (networkId) => byId.get(networkId);
}

/** @returns the service that publishes each port in ingress mode, by `portKey`. */
export function ingressPortsOf(services: readonly Service[]): ReadonlyMap<string, string> {
  const ports = new Map<string, string>();
  for (const { id, spec, endpoint } of services) {
    for (const port of endpoint?.ports ?? spec?.endpoint?.ports ?? []) {
      if (port.publishMode === PublishMode.INGRESS && port.publishedPort !== 0) ports.set(portKey(port), id);
    }
  }
  return ports;
}
