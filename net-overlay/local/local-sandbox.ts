/**
 * The network sandbox of one container as data: what was asked, what was given, what was made for it.
 * Pure. Kept in a file beside the namespace, so that a restarted daemon takes it over as it is.
 * Invariant: what it names is all there is of it in the kernel, besides its namespace.
 */
import type {
  ContainerNetworking,
  EndpointSettings,
  EndpointState,
  PortBinding,
  Sandbox,
  SandboxRequest,
} from "../../proto/engine/networks.js";

export interface LocalEndpoint {
  readonly networkName: string;
  readonly isInternal: boolean;
  readonly state: EndpointState;
  readonly settings: EndpointSettings;
  /** In the container. */
  readonly linkName: string;
  readonly linkIndex: number;
  /** Of the other end; 0 on an overlay. */
  readonly hostIndex: number;
  /** On an overlay of the cluster: the place it has there. */
  readonly leaseId?: string;
  /** The way out of a container whose networks have none; its own, and not shown as one of them. */
  readonly isGateway?: boolean;
}

export interface LocalSandbox {
  readonly containerId: string;
  readonly containerName: string;
  readonly hostname: string;
  readonly domainname: string;
  readonly networking: ContainerNetworking;
  /** In the order of their interfaces. */
  readonly endpoints: readonly LocalEndpoint[];
  readonly ports: readonly PortBinding[];
  /** The namespace is somebody else's, here: a task's container on further networks. */
  readonly guestOf?: string;
}

export const NO_SETTINGS: EndpointSettings = {
  aliases: [],
  links: [],
  ipv4Address: "",
  ipv6Address: "",
  macAddress: "",
  driverOptions: {},
};

export function sandboxOf(request: SandboxRequest): LocalSandbox {
  const { containerId, containerName, hostname, domainname, networking } = request;
  return { containerId, containerName, hostname, domainname, networking, endpoints: [], ports: [] };
}

/** The one whose gateway is the default route: the highest priority, then the first by its network's name. */
export function gatewayEndpoint(
  endpoints: readonly LocalEndpoint[],
  family: 4 | 6,
): LocalEndpoint | undefined {
  const hasGateway = ({ state }: LocalEndpoint): boolean =>
    (family === 4 ? state.gateway : state.ipv6Gateway) !== "";
  const priority = ({ settings }: LocalEndpoint): number => settings.gatewayPriority ?? 0;
  return [...endpoints]
    .filter(hasGateway)
    .sort((a, b) => priority(b) - priority(a) || (a.networkName < b.networkName ? -1 : 1))[0];
}

/** Where published ports of that family of the host's addresses lead. */
export function publishedAddress(sandbox: LocalSandbox, family: 4 | 6): string {
  const state = gatewayEndpoint(sandbox.endpoints, family)?.state;
  return (family === 4 ? state?.ipv4Address : state?.ipv6Address) ?? "";
}

/** Those of networks it was put on. */
export function shownEndpoints({ endpoints }: LocalSandbox): readonly LocalEndpoint[] {
  return endpoints.filter(({ isGateway }) => isGateway !== true);
}

export function asSandbox(
  sandbox: LocalSandbox,
  files: { netnsPath: string; etcHosts: string; resolvConf: string },
): Sandbox {
  return {
    ...files,
    endpoints: Object.fromEntries(
      shownEndpoints(sandbox).map(({ networkName, state }) => [networkName, state]),
    ),
    ports: sandbox.ports,
  };
}

/**
 * Networks asked for: that of the mode first, then by name. Mode default, alone, means the network bridge.
 */
export function wantedNetworks(
  networking: ContainerNetworking,
): { readonly network: string; readonly settings: EndpointSettings }[] {
  const nameOf = (name: string): string => (name === "default" || name === "" ? "bridge" : name);
  const mode = nameOf(networking.mode);
  const asked = new Map(
    Object.entries(networking.endpoints).map(([name, settings]) => [nameOf(name), settings]),
  );
  if (asked.size === 0) asked.set(mode, NO_SETTINGS);
  const rest = [...asked].filter(([name]) => name !== mode).sort(([a], [b]) => (a < b ? -1 : 1));
  return [...[...asked].filter(([name]) => name === mode), ...rest].map(([network, settings]) => ({
    network,
    settings,
  }));
}
