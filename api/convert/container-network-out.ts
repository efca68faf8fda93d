/**
 * Networks and ports of a container, as Docker's list and inspect tell them. Pure.
 * Source: Docker Engine API 1.24 to 1.51, NetworkSettings, EndpointSettings, Port.
 */
import type { ContainerRecord } from "../../proto/engine/containers.js";
import type { EndpointSettings, EndpointState, PortBinding } from "../../proto/engine/networks.js";
import type { JsonObject, JsonValue } from "./shape.js";

export const TASK_LABEL = "com.docker.swarm.task.id";

/** A network a task is on. */
export interface TaskNetwork {
  readonly networkId: string;
  readonly name: string;
  readonly address: string;
  readonly prefixLength: number;
  /** CIDR. */
  readonly ipv6Address?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
}

export interface NetworksOutParts {
  readonly networksOfTask: (taskId: string) => readonly TaskNetwork[];
  /** Host-mode ports of a task that is here. @default none */
  readonly portsOfTask?: (taskId: string) => readonly PortBinding[];
  /** Of a local network; undefined when it is gone. */
  readonly networkId: (name: string) => string | undefined;
}

/** Running in the sense of having its network: paused ones have it, too. */
function isUp({ state }: ContainerRecord): boolean {
  return state === "running" || state === "paused";
}

/** "bridge" for what has no name of its own; a task's is "default", and its networks stand below. */
export function networkModeOut({ specification }: ContainerRecord): string {
  const kept = specification.hostConfig?.["NetworkMode"];
  if (typeof kept === "string") return kept;
  const { network, networking } = specification;
  if (network.kind === "container") return `container:${network.id}`;
  if (network.kind === "netns") return "default";
  return network.kind === "networks" ? (networking?.mode ?? "bridge") : network.kind;
}

interface EndpointParts {
  readonly settings?: EndpointSettings | undefined;
  readonly state?: EndpointState | undefined;
  readonly networkId: string;
  readonly dnsNames: readonly string[] | null;
}

const listOrNull = (list: readonly string[] | undefined): JsonValue =>
  list === undefined || list.length === 0 ? null : list;

/** Docker shows what the cluster gave as if it had been chosen. */
function ipamOut(settings: EndpointSettings | undefined, state: EndpointState | undefined): JsonValue {
  const given = state?.isOfCluster === true ? state : settings;
  if (given === undefined) return null;
  const { ipv4Address, ipv6Address } = given;
  const { linkLocalAddresses = [] } = settings ?? {};
  const ipam = {
    ...(ipv4Address === "" ? {} : { IPv4Address: ipv4Address }),
    ...(ipv6Address === "" ? {} : { IPv6Address: ipv6Address }),
    ...(linkLocalAddresses.length === 0 ? {} : { LinkLocalIPs: linkLocalAddresses }),
  };
  return Object.keys(ipam).length === 0 ? null : ipam;
}

function endpointOut(parts: EndpointParts, aliases: readonly string[], apiMinor: number): JsonObject {
  const { settings, state } = parts;
  const options = settings?.driverOptions ?? {};
  return {
    IPAMConfig: ipamOut(settings, state),
    Links: listOrNull(settings?.links),
    Aliases: listOrNull(aliases),
    MacAddress: state?.macAddress ?? settings?.macAddress ?? "",
    DriverOpts: Object.keys(options).length === 0 ? null : options,
    ...(apiMinor >= 48 ? { GwPriority: settings?.gatewayPriority ?? 0 } : {}),
    NetworkID: state?.networkId ?? parts.networkId,
    EndpointID: state?.endpointId ?? "",
    Gateway: state?.gateway ?? "",
    IPAddress: state?.ipv4Address ?? "",
    IPPrefixLen: state?.ipv4PrefixLength ?? 0,
    IPv6Gateway: state?.ipv6Gateway ?? "",
    GlobalIPv6Address: state?.ipv6Address ?? "",
    GlobalIPv6PrefixLen: state?.ipv6PrefixLength ?? 0,
    ...(apiMinor >= 44 ? { DNSNames: parts.dnsNames } : {}),
  };
}

/** By name. */
export function networksOut(
  container: ContainerRecord,
  parts: NetworksOutParts,
  apiMinor: number,
): JsonObject {
  const { specification } = container;
  const { network, networking, labels } = specification;
  const bare = (networkId: string): EndpointParts => ({ networkId, dnsNames: null });
  if (network.kind === "container" || specification.config?.["NetworkDisabled"] === true) return {};
  if (network.kind === "host" || network.kind === "none") {
    const networkId = isUp(container) ? (parts.networkId(network.kind) ?? "") : "";
    return { [network.kind]: endpointOut(bare(networkId), [], apiMinor) };
  }
  if (network.kind === "netns") {
    const known = parts.networksOfTask(labels[TASK_LABEL] ?? "");
    const joined = Object.entries(container.endpoints ?? {}).map(([name, state]): [string, JsonObject] => {
      const { networkId, dnsNames } = state;
      return [name, endpointOut({ state, networkId, dnsNames }, [], apiMinor)];
    });
    return Object.fromEntries([
      ...known.map((one): [string, JsonObject] => [
        one.name || one.networkId,
        taskEndpointOut(one, apiMinor),
      ]),
      ...(isUp(container) ? joined : []),
    ]);
  }
  const asked = networking?.endpoints ?? {};
  const states = container.endpoints ?? {};
  const names = new Set([
    ...Object.keys(asked).filter((name) => !isOtherNameOf(name, states)),
    ...Object.keys(states),
  ]);
  return Object.fromEntries(
    [...names].map((name) => {
      const settings = asked[name] ?? asked[states[name]?.networkId ?? ""];
      const own =
        name !== "bridge" && apiMinor < 45 ? [container.id.slice(0, 12), specification.hostname] : [];
      const aliases = [...new Set([...(settings?.aliases ?? []), ...own])];
      const networkId = container.startedMs > 0 ? (parts.networkId(name) ?? "") : "";
      const state = states[name];
      const dnsNames = state === undefined || name === "bridge" ? null : state.dnsNames;
      return [name, endpointOut({ settings, state, networkId, dnsNames }, aliases, apiMinor)];
    }),
  );
}

/** Asked for by id, and shown by name. */
function isOtherNameOf(name: string, states: Readonly<Record<string, EndpointState>>): boolean {
  return !(name in states) && Object.values(states).some(({ networkId }) => networkId.startsWith(name));
}

function taskEndpointOut(network: TaskNetwork, apiMinor: number): JsonObject {
  const { address, ipv6Address = "", driverOptions = {} } = network;
  const [ipv6 = "", ipv6PrefixLength = "0"] = ipv6Address.split("/");
  const out = endpointOut({ networkId: network.networkId, dnsNames: null }, [], apiMinor);
  return {
    ...out,
    IPAMConfig: {
      ...(address === "" ? {} : { IPv4Address: address }),
      ...(ipv6 === "" ? {} : { IPv6Address: ipv6 }),
    },
    DriverOpts: Object.keys(driverOptions).length === 0 ? null : driverOptions,
    IPAddress: address,
    IPPrefixLen: network.prefixLength,
    GlobalIPv6Address: ipv6,
    GlobalIPv6PrefixLen: Number(ipv6PrefixLength),
  };
}

/** "" stands for all addresses of both families. */
function hostAddresses(binding: PortBinding): readonly string[] {
  return binding.hostAddress === "" ? ["0.0.0.0", "::"] : [binding.hostAddress];
}

function exposedOf(container: ContainerRecord): readonly string[] {
  return isUp(container) ? (container.specification.networking?.exposedPorts ?? []) : [];
}

/** Its own, and those of the task it is of. */
function boundOf(
  container: ContainerRecord,
  parts: Pick<NetworksOutParts, "portsOfTask">,
): readonly PortBinding[] {
  if (!isUp(container)) return [];
  const ofTask = parts.portsOfTask?.(container.specification.labels[TASK_LABEL] ?? "") ?? [];
  return [...(container.ports ?? []), ...ofTask];
}

function portMapOut(container: ContainerRecord, bound: readonly PortBinding[]): JsonObject {
  const map: Record<string, JsonObject[] | null> = {};
  for (const port of exposedOf(container)) map[port] = null;
  for (const binding of bound) {
    const key = `${binding.containerPort}/${binding.protocol}`;
    const rows = hostAddresses(binding).map((HostIp) => ({ HostIp, HostPort: String(binding.hostPort) }));
    map[key] = [...(map[key] ?? []), ...rows];
  }
  return map;
}

/** As in the list: published ones once per address, exposed ones without. */
export function portRowsOut(
  container: ContainerRecord,
  parts: Pick<NetworksOutParts, "portsOfTask">,
): JsonObject[] {
  const bound = boundOf(container, parts);
  const published = bound.flatMap((binding) =>
    hostAddresses(binding).map((IP) => ({
      IP,
      PrivatePort: binding.containerPort,
      PublicPort: binding.hostPort,
      Type: binding.protocol,
    })),
  );
  const taken = new Set(bound.map(({ containerPort, protocol }) => `${containerPort}/${protocol}`));
  const exposed = exposedOf(container)
    .filter((port) => !taken.has(port))
    .map((port) => {
      const [number, Type = "tcp"] = port.split("/");
      return { PrivatePort: Number(number), Type };
    });
  return [...published, ...exposed];
}

/** Of inspect. */
export function networkSettingsOut(
  container: ContainerRecord,
  parts: NetworksOutParts,
  apiMinor: number,
): JsonObject {
  const up = isUp(container);
  const bridge = container.endpoints?.["bridge"];
  return {
    Bridge: "",
    SandboxID: up && container.specification.network.kind !== "container" ? container.id : "",
    SandboxKey: up ? (container.sandboxPath ?? "") : "",
    Ports: portMapOut(container, boundOf(container, parts)),
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: bridge?.endpointId ?? "",
    Gateway: bridge?.gateway ?? "",
    GlobalIPv6Address: bridge?.ipv6Address ?? "",
    GlobalIPv6PrefixLen: bridge?.ipv6PrefixLength ?? 0,
    IPAddress: bridge?.ipv4Address ?? "",
    IPPrefixLen: bridge?.ipv4PrefixLength ?? 0,
    IPv6Gateway: bridge?.ipv6Gateway ?? "",
    MacAddress: bridge?.macAddress ?? "",
    Networks: networksOut(container, parts, apiMinor),
  };
}
