/**
 * A local network as its driver sees it: the record's options read, its subnets, the name of its link.
 * Pure. Invariant: it follows from the record alone.
 * Source: Docker's documentation of the bridge driver's options.
 */
import { InternalError, InvalidArgumentError } from "../../base/errors/errors.js";
import type { LocalNetworkRecord } from "../../proto/engine/networks.js";
import { parseAddress } from "../ipam/cidr.js";
import { type LocalSubnet, localSubnet } from "./subnet-leases.js";

export const BRIDGE_OPTION = {
  default: "com.docker.network.bridge.default_bridge",
  name: "com.docker.network.bridge.name",
  icc: "com.docker.network.bridge.enable_icc",
  masquerade: "com.docker.network.bridge.enable_ip_masquerade",
  hostBinding: "com.docker.network.bridge.host_binding_ipv4",
  mode4: "com.docker.network.bridge.gateway_mode_ipv4",
  mode6: "com.docker.network.bridge.gateway_mode_ipv6",
  mtu: "com.docker.network.driver.mtu",
} as const;

const LINK_NAME_BYTES_MAX = 15;
const MTU_BYTES_DEFAULT = 1500;
const MTU_BYTES_MIN = 68;
const MTU_BYTES_MAX = 65_535;

/**
 * nat: published ports alone, by the host's addresses. nat-unprotected: other ports, too. routed: published
 * ports by the container's own address. isolated: not even the host has an address on it.
 */
export type GatewayMode = "nat" | "nat-unprotected" | "routed" | "isolated";

export interface BridgeNetwork {
  readonly id: string;
  readonly name: string;
  readonly isDefault: boolean;
  /** Families whose subnet nobody chose: their addresses cannot be chosen, either. */
  readonly automatic: readonly (4 | 6)[];
  readonly link: string;
  readonly mtuBytes: number;
  readonly internal: boolean;
  /** Whether its containers reach each other. */
  readonly icc: boolean;
  readonly masquerade: boolean;
  /** For ports published without an address; "" for all. */
  readonly hostBinding: string;
  readonly mode4: GatewayMode;
  readonly mode6: GatewayMode;
  readonly subnet4: LocalSubnet | undefined;
  readonly subnet6: LocalSubnet | undefined;
}

/** @throws {InternalError} an option's value, in Docker's words and status; {InvalidArgumentError} */
export function bridgeNetwork(record: LocalNetworkRecord): BridgeNetwork {
  const { options } = record;
  const subnets = record.ipam.map(localSubnet);
  const ofFamily = (family: 4 | 6): LocalSubnet | undefined => {
    const found = subnets.filter(({ cidr }) => cidr.family === family);
    if (found.length > 1) throw new InvalidArgumentError("bridge driver doesn't support multiple subnets");
    return found[0];
  };
  const hostBinding = options[BRIDGE_OPTION.hostBinding] ?? "";
  if (hostBinding !== "") parseAddress(hostBinding);
  return {
    id: record.id,
    name: record.name,
    automatic: record.ipam.flatMap(({ automatic, subnet }) =>
      automatic === true ? [subnet.includes(":") ? 6 : 4] : [],
    ),
    isDefault: options[BRIDGE_OPTION.default] === "true",
    link: linkOf(record),
    mtuBytes: integerOption(options, BRIDGE_OPTION.mtu) || MTU_BYTES_DEFAULT,
    internal: record.internal,
    icc: boolOption(options, BRIDGE_OPTION.icc, true),
    masquerade: boolOption(options, BRIDGE_OPTION.masquerade, true),
    hostBinding: hostBinding === "0.0.0.0" ? "" : hostBinding,
    mode4: modeOption(options, BRIDGE_OPTION.mode4),
    mode6: modeOption(options, BRIDGE_OPTION.mode6),
    subnet4: ofFamily(4),
    subnet6: ofFamily(6),
  };
}

function linkOf({ id, options }: LocalNetworkRecord): string {
  const name = options[BRIDGE_OPTION.name] ?? "";
  checkLinkName(name);
  return name === "" ? `skb-${id.slice(0, 11)}` : name;
}

/** @throws {InvalidArgumentError} one that no link can have; "" is none. */
export function checkLinkName(name: string): void {
  if (name === "") return;
  // what the kernel takes, less what would need quoting in nft
  if (name.length > LINK_NAME_BYTES_MAX || !/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) {
    throw new InvalidArgumentError(
      `${BRIDGE_OPTION.name} must be 1 to ${LINK_NAME_BYTES_MAX} letters, digits, "_", "." or "-", ` +
        `got ${JSON.stringify(name)}`,
    );
  }
}

type Options = Readonly<Record<string, string>>;

function integerOption(options: Options, key: string): number {
  const text = options[key] ?? "";
  if (text === "") return 0;
  if (!/^\d{1,9}$/.test(text)) {
    throw new InternalError(
      `failed to parse ${key} value: ${text} (strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax)`,
    );
  }
  const value = Number(text);
  if (value !== 0 && (value < MTU_BYTES_MIN || value > MTU_BYTES_MAX))
    throw new InvalidArgumentError(`${key} must be from ${MTU_BYTES_MIN} to ${MTU_BYTES_MAX}, got ${text}`);
  return value;
}

function boolOption(options: Options, key: string, absent: boolean): boolean {
  const text = options[key] ?? "";
  if (text === "") return absent;
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new InternalError(
    `failed to parse ${key} value: ${text} (strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax)`,
  );
}

function modeOption(options: Options, key: string): GatewayMode {
  const text = options[key] ?? "";
  if (text === "") return "nat";
  if (text === "nat" || text === "nat-unprotected" || text === "routed" || text === "isolated") return text;
  throw new InvalidArgumentError(`unknown gateway mode ${text}`);
}
