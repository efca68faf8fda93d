/**
 * What a node was told, as short marks that can be laid beside other nodes': one per network one per other
 * node and one for the published ports. Pure.
 * Invariant: two nodes that were told the same of a scope have the same mark, in whatever order it came.
 */
import { createHash } from "node:crypto";
import {
  EndpointResource,
  NetworkResource,
  PeerResource,
  ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import type { NetworkState } from "../endpoints/network-state.js";

/** The scope of published ports, which every node is told. */
export const MESH_SCOPE = "published ports";

/** By scope: "published ports", "network ID", "node ID". */
export function stateDigests(state: NetworkState): Record<string, string> {
  const digests: Record<string, string> = {};
  for (const [id, network] of [...state.networks].sort(byKey)) {
    digests[`network ${id}`] = digestOf([
      NetworkResource.encode(network).finish(),
      ...sortedById(state.servicesOf(id), ({ id: serviceId }) => serviceId).map((service) =>
        ServiceResource.encode(service).finish(),
      ),
      ...sortedById(state.endpointsOf(id), ({ taskId }) => taskId).map((endpoint) =>
        EndpointResource.encode(endpoint).finish(),
      ),
    ]);
  }
  const published = sortedById(
    [...state.services.values()].filter(({ ports }) => ports.length > 0),
    ({ id }) => id,
  );
  // each by itself, because no node is told of itself
  for (const [nodeId, peer] of [...state.peers].sort(byKey))
    digests[`node ${nodeId}`] = digestOf([PeerResource.encode(peer).finish()]);
  digests[MESH_SCOPE] = digestOf(
    published.flatMap((service) => [
      ServiceResource.encode(service).finish(),
      ...sortedById(state.endpointsOfService(service.id), ({ taskId }) => taskId).map((endpoint) =>
        EndpointResource.encode(endpoint).finish(),
      ),
    ]),
  );
  return digests;
}

function digestOf(parts: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest("hex").slice(0, 16);
}

function sortedById<T>(list: readonly T[], idOf: (each: T) => string): T[] {
  return [...list].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
