/**
 * Containers' endpoints on overlays of the cluster: leased, plugged in, adopted, given back.
 * Pure over the cluster's port. Invariant: an endpoint that is remembered has a lease, and a lease that
 * could not be used was given back.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { newHexId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type { EndpointSettings, LocalNetworkEvent } from "../../proto/engine/networks.js";
import { dnsNames, freeLink } from "./endpoint-maker.js";
import type { LocalEndpoint, LocalSandbox } from "./local-sandbox.js";
import type { OverlayEnd, OverlayLease, OverlayNetworks, OverlayRequest } from "./overlay-networks.js";

export interface LeasedPlace {
  readonly lease: OverlayLease;
  readonly settings: EndpointSettings;
}

export class OverlayEndpoints {
  readonly #networks: OverlayNetworks;
  readonly #random: Random;

  constructor(networks: OverlayNetworks, random: Random) {
    this.#networks = networks;
    this.#random = random;
  }

  /** All or none. @throws as `OverlayNetworks.lease` does. */
  async lease(
    sandbox: Names,
    wanted: readonly { readonly network: string; readonly settings: EndpointSettings }[],
  ): Promise<LeasedPlace[]> {
    const places: LeasedPlace[] = [];
    try {
      for (const { network, settings } of wanted) {
        if ((settings.linkLocalAddresses?.length ?? 0) > 0)
          throw new InvalidArgumentError("link-local addresses are not supported");
        const lease = await this.#networks.lease(requestOf(sandbox, network, settings));
        places.push({ lease, settings });
      }
      return places;
    } catch (error) {
      await this.release(places);
      throw error;
    }
  }

  /** The endpoint as it will be, beside those that the container has. */
  plan(sandbox: LocalSandbox, { lease, settings }: LeasedPlace, position: number): LocalEndpoint {
    const [address4, address6] = [4, 6].map((family) =>
      lease.addresses.find((address) => address.includes(":") === (family === 6)),
    );
    return {
      networkName: lease.networkName,
      isInternal: lease.isInternal,
      settings,
      ...freeLink(sandbox, settings, position),
      hostIndex: 0,
      leaseId: lease.id,
      state: {
        networkId: lease.networkId,
        endpointId: newHexId(this.#random),
        gateway: "", // it leads nowhere outside
        ...{ ipv4Address: bare(address4), ipv4PrefixLength: prefix(address4) },
        ipv6Gateway: "",
        ...{ ipv6Address: bare(address6), ipv6PrefixLength: prefix(address6) },
        macAddress: settings.macAddress.toLowerCase(),
        dnsNames: dnsNames(sandbox, settings),
        isOfCluster: true,
      },
    };
  }

  /** @returns the endpoint with the MAC it got. */
  async plug(endpoint: LocalEndpoint, netnsPath: string): Promise<LocalEndpoint> {
    const macAddress = await this.#networks.plug(leaseOf(endpoint), endOf(endpoint, netnsPath));
    return { ...endpoint, state: { ...endpoint.state, macAddress } };
  }

  /** What was remembered by the process before. */
  adopt(sandbox: LocalSandbox, netnsPath: string): void {
    for (const endpoint of overlayEndpoints(sandbox)) {
      const request = requestOf(sandbox, endpoint.state.networkId, endpoint.settings);
      this.#networks.adopt(request, leaseOf(endpoint), endOf(endpoint, netnsPath));
    }
  }

  rename(sandbox: LocalSandbox): void {
    for (const { state, settings } of overlayEndpoints(sandbox))
      this.#networks.rename(requestOf(sandbox, state.networkId, settings));
  }

  async release(places: readonly LeasedPlace[]): Promise<void> {
    await Promise.all(places.map(({ lease }) => this.#networks.release(lease.id, { live: true })));
  }

  /** Their interfaces go with the namespace. */
  async releaseAll(sandbox: LocalSandbox): Promise<void> {
    const ids = overlayEndpoints(sandbox).map(({ leaseId }) => leaseId ?? "");
    await Promise.all(ids.map((id) => this.#networks.release(id, { live: false })));
  }

  async releaseOne(endpoint: LocalEndpoint): Promise<void> {
    await this.#networks.release(endpoint.leaseId ?? "", { live: true });
  }
}

type Names = Pick<LocalSandbox, "containerId" | "containerName" | "hostname">;

export function overlayEndpoints({ endpoints }: LocalSandbox): readonly LocalEndpoint[] {
  return endpoints.filter(({ leaseId }) => leaseId !== undefined);
}

/** As events name it. */
export function overlayNetwork({ state, networkName }: LocalEndpoint): LocalNetworkEvent["network"] {
  return { id: state.networkId, name: networkName, driver: "overlay" };
}

function requestOf(
  { containerId, containerName, hostname }: Names,
  network: string,
  settings: EndpointSettings,
): OverlayRequest {
  return { containerId, containerName, hostname, network, settings };
}

function leaseOf({ leaseId, state, networkName, isInternal }: LocalEndpoint): OverlayLease {
  const { ipv4Address, ipv4PrefixLength, ipv6Address, ipv6PrefixLength } = state;
  return {
    id: leaseId ?? "",
    networkId: state.networkId,
    networkName,
    isInternal,
    addresses: [
      ...(ipv4Address === "" ? [] : [`${ipv4Address}/${ipv4PrefixLength}`]),
      ...(ipv6Address === "" ? [] : [`${ipv6Address}/${ipv6PrefixLength}`]),
    ],
  };
}

function endOf({ linkName, linkIndex, state }: LocalEndpoint, netnsPath: string): OverlayEnd {
  return { netnsPath, linkName, linkIndex, mac: state.macAddress };
}

function bare(cidr: string | undefined): string {
  return cidr?.split("/")[0] ?? "";
}

function prefix(cidr: string | undefined): number {
  return Number(cidr?.split("/")[1] ?? 0);
}
