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

/** Nodes of a cluster in which what is told of each is compared, too. */
const PEERS_MAX = 100;
/** Resources hashed before others have a turn: a millisecond or two. */
const SLICE_LENGTH = 250;

/** By scope: "published ports", "network ID", "node ID". @param pause gives others a turn. */
export async function stateDigests(
  state: NetworkState,
  pause: () => Promise<void>,
): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const [id, network] of [...state.networks].sort(byKey))
    digests[`network ${id}`] = await digestOf(networkParts(state, id, network), pause);
  digests[MESH_SCOPE] = await digestOf(meshParts(state), pause);
  // one each, because a node is not told of itself
  if (state.peers.size <= PEERS_MAX)
    for (const [id, peer] of [...state.peers].sort(byKey))
      digests[`node ${id}`] = await digestOf([PeerResource.encode(peer).finish()], pause);
  return digests;
}

function* networkParts(state: NetworkState, id: string, network: NetworkResource): Generator<Uint8Array> {
  yield NetworkResource.encode(network).finish();
  for (const service of sortedById(state.servicesOf(id), ({ id: serviceId }) => serviceId))
    yield ServiceResource.encode(service).finish();
  for (const endpoint of sortedById(state.endpointsOf(id), ({ taskId }) => taskId))
    yield EndpointResource.encode(endpoint).finish();
}

function* meshParts(state: NetworkState): Generator<Uint8Array> {
  const published = [...state.services.values()].filter(({ ports }) => ports.length > 0);
  for (const service of sortedById(published, ({ id }) => id)) {
    yield ServiceResource.encode(service).finish();
    for (const endpoint of sortedById(state.endpointsOfService(service.id), ({ taskId }) => taskId))
      yield EndpointResource.encode(endpoint).finish();
  }
}

async function digestOf(parts: Iterable<Uint8Array>, pause: () => Promise<void>): Promise<string> {
  const hash = createHash("sha256");
  let count = 0;
  for (const part of parts) {
    hash.update(`${part.length}:`).update(part);
    count += 1;
    if (count % SLICE_LENGTH === 0) await pause();
  }
  return hash.digest("hex").slice(0, 16);
}

function sortedById<T>(list: readonly T[], idOf: (each: T) => string): T[] {
  return [...list].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
