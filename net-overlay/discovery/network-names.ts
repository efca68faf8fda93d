/**
 * The names of one overlay network, as its tasks may ask for them.
 * Pure. Invariants: a name that exists has an entry, perhaps without addresses; names are lower case; a
 * service is its VIP, or its ready tasks where it has none, and a task that has the same hostname adds
 * nothing to it; tasks that are starting are listed under `tasks.` and their own names,
 * but get no balanced traffic.
 * Source: Docker's documentation of swarm service discovery; docs/design/network.md, "DNS".
 */
import type { EndpointResource, ServiceResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointMode } from "../../proto/gen/skein/v1/types.js";
import type { NetworkState } from "../endpoints/network-state.js";
import { withoutPrefix } from "../endpoints/overlay-plan.js";

export interface NetworkNames {
  /** Lower-case name -> addresses of both families. */
  readonly byName: ReadonlyMap<string, readonly string[]>;
  /** Address -> name, for reverse questions. */
  readonly byAddress: ReadonlyMap<string, string>;
}

export function buildNetworkNames(state: NetworkState, networkId: string): NetworkNames {
  const byName = new Map<string, string[]>();
  const byAddress = new Map<string, string>();
  const add = (name: string, addresses: readonly string[]): void => {
    if (name === "") return;
    const key = name.toLowerCase();
    const known = byName.get(key) ?? [];
    byName.set(key, [...known, ...addresses.filter((address) => !known.includes(address))]);
  };
  const addressesOf = (endpoints: readonly EndpointResource[]): string[] =>
    endpoints.flatMap((endpoint) =>
      endpoint.attachments
        .filter((attachment) => attachment.networkId === networkId)
        .flatMap(({ addresses }) => addresses.map(withoutPrefix)),
    );

  for (const service of state.servicesOf(networkId)) {
    const endpoints = state.endpointsOfService(service.id);
    const ready = endpoints.filter(({ state: endpointState }) => endpointState === EndpointState.READY);
    const listed = endpoints.filter(({ state: endpointState }) => endpointState !== EndpointState.DRAINING);
    const vips = vipsOf(service, networkId);
    const addresses = vips.length > 0 ? vips : addressesOf(ready);
    const names = [
      service.name,
      ...service.aliases.filter((alias) => alias.networkId === networkId).flatMap(({ aliases }) => aliases),
    ];
    for (const name of names) {
      add(name, addresses);
      add(`tasks.${name}`, addressesOf(listed));
    }
    for (const vip of vips) byAddress.set(vip, service.name);
  }
  const ofServices = new Set(byName.keys());
  for (const endpoint of state.endpointsOf(networkId)) {
    const addresses = addressesOf([endpoint]);
    const service = state.services.get(endpoint.serviceId);
    const names = [endpoint.taskName, endpoint.hostname];
    if (endpoint.slot > 0 && endpoint.serviceName !== "")
      names.push(`${endpoint.serviceName}.${endpoint.slot}`);
    for (const name of new Set(names)) {
      if (ofServices.has(name.toLowerCase())) continue;
      if (endpoint.state !== EndpointState.DRAINING || !byName.has(name.toLowerCase())) add(name, addresses);
    }
    if (service === undefined) {
      // a container of its own, not of a service: its aliases lead to it alone
      const own = endpoint.attachments.filter((attachment) => attachment.networkId === networkId);
      for (const alias of own.flatMap(({ aliases }) => aliases)) add(alias, addresses);
    }
    for (const address of addresses) byAddress.set(address, endpoint.taskName || endpoint.hostname);
  }
  return { byName, byAddress };
}

function vipsOf(service: ServiceResource, networkId: string): string[] {
  if (service.mode !== EndpointMode.VIP) return [];
  return service.virtualIps
    .filter((vip) => vip.networkId === networkId)
    .map(({ address }) => withoutPrefix(address));
}
