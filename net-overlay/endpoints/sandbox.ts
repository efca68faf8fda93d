/**
 * The sandbox of one task as data: which interfaces, addresses and host ports it has.
 * Made once at attach, kept in a file beside the namespace, so that a restarted daemon adopts it as it is.
 * Pure. Invariant: a sandbox without a gateway reaches its overlays only.
 */
import { FailedPreconditionError, ResourceExhaustedError } from "../../base/errors/errors.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import type { PortConfig } from "../../proto/gen/skein/v1/types.js";
import { PortProtocol } from "../../proto/gen/skein/v1/types.js";
import { DNS_ADDRESS } from "../discovery/dns-address.js";
import { readResolvConf } from "../local/sandbox-files.js";
import { GATEWAY_HOST_MAX, GATEWAY_HOST_MIN } from "../vxlan/node-addresses.js";
import { transitAddress } from "../vxlan/transit.js";
import type { NetworkState } from "./network-state.js";

export interface OverlayAttachment {
  readonly networkId: string;
  /** IPv4 without prefix; "" on a network of IPv6 alone. */
  readonly address: string;
  /** 0 without an address of IPv4. */
  readonly prefixLength: number;
  readonly address6?: string;
  readonly prefixLength6?: number;
  /** Chosen; @default that of the address. */
  readonly mac?: string;
}

export interface Sandbox {
  readonly taskId: string;
  readonly serviceId: string;
  readonly hostname: string;
  readonly overlays: readonly OverlayAttachment[];
  /** On the node's transit subnet; absent when every network is internal and nothing is published. */
  readonly gatewayAddress?: string;
  readonly hostPorts: readonly PortConfig[];
  /** Resolvers of the service's own DnsConfig; empty: the node's. */
  readonly nameservers: readonly string[];
  readonly resolvConf: string;
  readonly etcHosts: string;
  /** Of a container that is no task: its one interface leads into a namespace that is not ours to make. */
  readonly plug?: {
    readonly netnsPath: string;
    readonly linkName: string;
    readonly linkIndex: number;
    /** "": that of the address. */
    readonly mac: string;
  };
}

export type NftProtocol = "tcp" | "udp" | "sctp";

export function nftProtocol(protocol: PortProtocol): NftProtocol {
  switch (protocol) {
    case PortProtocol.UDP:
      return "udp";
    case PortProtocol.SCTP:
      return "sctp";
    default:
      return "tcp";
  }
}

/** Of both families. */
export function overlayAddresses({ address, address6 }: OverlayAttachment): string[] {
  return [address, address6 ?? ""].filter((each) => each !== "");
}

/** The interfaces of a sandbox to its overlays, in their order. */
export function overlayLinks(
  sandbox: Pick<Sandbox, "overlays" | "plug">,
): { readonly overlay: OverlayAttachment; readonly linkName: string }[] {
  return sandbox.overlays.map((overlay, index) => ({
    overlay,
    linkName: sandbox.plug?.linkName ?? `eth${index}`,
  }));
}

/**
 * A task's attachments, in the task's order: of each family the first address. A MAC address that it chose is
 * that of the first.
 * @throws {FailedPreconditionError} for a network this node does not know.
 */
export function overlaysOf(
  task: Pick<Task, "id" | "networks"> & { readonly spec?: Task["spec"] },
  state: { readonly networks: Pick<NetworkState["networks"], "has"> },
): OverlayAttachment[] {
  const overlays: OverlayAttachment[] = [];
  for (const attachment of task.networks) {
    if (!state.networks.has(attachment.networkId)) {
      throw new FailedPreconditionError(
        `network ${attachment.networkId} of task ${task.id} is not known on this node`,
      );
    }
    const cidrs = attachment.addresses.filter((cidr) => cidr !== "");
    const [address = "", prefix = "0"] = cidrs.find((cidr) => !cidr.includes(":"))?.split("/") ?? [];
    const chosenMac = overlays.length === 0 ? (task.spec?.container?.host?.macAddress ?? "") : "";
    const [address6 = "", prefix6 = "128"] = cidrs.find((cidr) => cidr.includes(":"))?.split("/") ?? [];
    if (address === "" && address6 === "") continue;
    overlays.push({
      networkId: attachment.networkId,
      address,
      prefixLength: Number(prefix),
      ...(address6 === "" ? {} : { address6, prefixLength6: Number(prefix6) }),
      ...(chosenMac === "" ? {} : { mac: chosenMac.toLowerCase() }),
    });
  }
  return overlays;
}

/** Egress and mesh are for every task but those that live on internal networks only and publish nothing. */
export function needsGateway(task: Task, state: NetworkState): boolean {
  const isInternal =
    task.networks.length > 0 &&
    task.networks.every(({ networkId }) => state.networks.get(networkId)?.internal === true);
  return !isInternal || (task.endpoint?.ports.length ?? 0) > 0;
}

/**
 * The next free address after `last`, round and round, so that an address rests before it is given again.
 * @throws {ResourceExhaustedError} when the node's 253 addresses are taken.
 */
export function chooseGatewayHost(
  taken: ReadonlySet<string>,
  options: { number: number; lastHost: number },
): number {
  const count = GATEWAY_HOST_MAX - GATEWAY_HOST_MIN + 1;
  for (let step = 1; step <= count; step += 1) {
    const host = GATEWAY_HOST_MIN + ((options.lastHost - GATEWAY_HOST_MIN + step + count) % count);
    if (!taken.has(transitAddress(options.number, host))) return host;
  }
  throw new ResourceExhaustedError(`all ${count} task addresses of this node are taken`);
}

/**
 * As Docker writes it: search domains and options of the service, or else of the host.
 * @param hostResolvConf the host's file; "" when there is none.
 */
export function resolvConfOf(task: Task, hostResolvConf: string): string {
  const dns = task.spec?.container?.dnsConfig;
  const host = readResolvConf(hostResolvConf);
  const asked = dns?.search ?? [];
  const search = asked.length > 0 ? asked.filter((domain) => domain !== ".") : host.search;
  const options = (dns?.options.length ?? 0) > 0 ? (dns?.options ?? []) : host.options;
  const hasNdots = options.some((option) => option.startsWith("ndots:"));
  const lines = [`nameserver ${DNS_ADDRESS}`];
  if (search.length > 0) lines.push(`search ${search.join(" ")}`);
  lines.push(`options ${[...options, ...(hasNdots ? [] : ["ndots:0"])].join(" ")}`);
  return `${lines.join("\n")}\n`;
}

/**
 * @param options.addresses of the container, on its first network; extraHosts: lines as in /etc/hosts,
 * "IP name [name...]", where IP may be host-gateway; hostGateway: what that is, absent where no way leads to
 * the node: such lines are left out.
 */
export function etcHostsOf(options: {
  hostname: string;
  addresses: readonly string[];
  extraHosts: readonly string[];
  hostGateway?: string | undefined;
}): string {
  const { hostGateway } = options;
  const extraHosts = options.extraHosts.flatMap((line) => {
    const [address = "", ...names] = line.trim().split(/\s+/);
    const known = address === "host-gateway" ? hostGateway : address;
    return known === undefined ? [] : [`${known}\t${names.join(" ")}`];
  });
  const lines = [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
    ...extraHosts,
  ];
  if (options.hostname !== "") for (const own of options.addresses) lines.push(`${own}\t${options.hostname}`);
  return `${lines.join("\n")}\n`;
}

/** "8080/tcp" */
export function portText(port: PortConfig): string {
  return `${port.publishedPort}/${nftProtocol(port.protocol)}`;
}
