/**
 * Addresses of one local subnet: who has which, and which comes next.
 * Pure. Invariants: an address has one owner; network, broadcast, gateway and auxiliary addresses are
 * nobody's.
 * Source: the lowest free address of the range is given, as Docker does.
 */
import { InternalError, InvalidArgumentError } from "../../base/errors/errors.js";
import type { IpamConfiguration } from "../../proto/engine/networks.js";
import {
  type Cidr,
  cidrContains,
  cidrSize,
  cidrsOverlap,
  formatAddress,
  parseAddress,
  parseCidr,
} from "../ipam/cidr.js";

export interface LocalSubnet {
  readonly cidr: Cidr;
  /** Automatic addresses come from here; chosen ones from the whole subnet. */
  readonly range: Cidr;
  readonly gateway: string;
  readonly auxiliary: ReadonlySet<bigint>;
}

/**
 * @throws {InternalError} what no address or subnet is, and a gateway outside (Docker's status and words).
 */
export function localSubnet(configuration: IpamConfiguration): LocalSubnet {
  const cidr = subnetOf(configuration.subnet);
  const range = configuration.ipRange === "" ? cidr : subnetOf(configuration.ipRange);
  if (!cidrContains(cidr, { family: range.family, value: range.base }) || range.prefix < cidr.prefix) {
    throw new InvalidArgumentError(
      `invalid ip-range ${configuration.ipRange}: it is not inside subnet ${configuration.subnet}`,
    );
  }
  const auxiliary = new Set<bigint>();
  for (const [name, address] of Object.entries(configuration.auxiliaryAddresses)) {
    const parsed = parseAddress(address);
    if (!cidrContains(cidr, parsed))
      throw new InvalidArgumentError(
        `auxiliary address ${name} (${address}) is not in ${configuration.subnet}`,
      );
    auxiliary.add(parsed.value);
  }
  const first = firstFree({ cidr, range, auxiliary, gateway: "" }, new Set());
  if (configuration.gateway === "" && first === undefined)
    throw new InvalidArgumentError(`subnet ${configuration.subnet} has no room for a gateway`);
  const gateway = configuration.gateway || formatAddress(cidr.family, first ?? 0n);
  if (!cidrContains(cidr, parseAddress(gateway)))
    throw new InternalError(`failed to allocate gateway (${gateway}): Requested address is out of range`);
  return { cidr, range, gateway, auxiliary };
}

function subnetOf(text: string): Cidr {
  try {
    return parseCidr(text);
  } catch (error) {
    throw new InternalError(`Invalid subnet ${text} : invalid CIDR address: ${text}`, { cause: error });
  }
}

/** Whether hosts may have it: not the network's own, nor IPv4's broadcast address. */
function isHost({ cidr }: LocalSubnet, value: bigint): boolean {
  const offset = value - cidr.base;
  const size = cidrSize(cidr);
  if (size <= 2n) return offset >= 0n && offset < size;
  return offset > 0n && offset < (cidr.family === 4 ? size - 1n : size);
}

function firstFree(subnet: LocalSubnet, taken: ReadonlySet<bigint>): bigint | undefined {
  const end = subnet.range.base + cidrSize(subnet.range);
  for (let value = subnet.range.base; value < end; value += 1n) {
    if (isHost(subnet, value) && !taken.has(value) && !subnet.auxiliary.has(value)) return value;
  }
  return undefined;
}

export class SubnetLeases {
  readonly #subnet: LocalSubnet;
  readonly #owners = new Map<bigint, string>();

  constructor(subnet: LocalSubnet) {
    this.#subnet = subnet;
    this.#owners.set(parseAddress(subnet.gateway).value, "(gateway)");
  }

  /** @returns the lowest free address; undefined when there is none. */
  take(owner: string): string | undefined {
    const value = firstFree(this.#subnet, new Set(this.#owners.keys()));
    if (value === undefined) return undefined;
    this.#owners.set(value, owner);
    return formatAddress(this.#subnet.cidr.family, value);
  }

  /**
   * @throws {InternalError} "Address already in use"; {InvalidArgumentError} outside the subnet.
   */
  reserve(address: string, owner: string): void {
    const { family, value } = parseAddress(address);
    if (!cidrContains(this.#subnet.cidr, { family, value }))
      throw new InvalidArgumentError(
        `Invalid address ${address}: It does not belong to this network's subnet`,
      );
    const holder = this.#owners.get(value);
    if (holder === owner) return;
    if (holder !== undefined || !isHost(this.#subnet, value) || this.#subnet.auxiliary.has(value))
      throw new InternalError("Address already in use");
    this.#owners.set(value, owner);
  }

  release(address: string, owner: string): void {
    const { value } = parseAddress(address);
    if (this.#owners.get(value) === owner) this.#owners.delete(value);
  }
}

/** A part of the address space that automatic subnets are cut from. */
export interface AddressPoolOption {
  /** "172.17.0.0/16" */
  readonly base: string;
  /** Prefix length of each subnet. */
  readonly size: number;
}

export const DEFAULT_POOLS: readonly AddressPoolOption[] = [
  ...Array.from({ length: 15 }, (_, i) => ({ base: `172.${17 + i}.0.0/16`, size: 16 })),
  { base: "192.168.0.0/16", size: 20 },
];

const STEPS_MAX = 65_536;

/** @returns the first subnet of the pools that overlaps none of `taken`. */
export function chooseSubnet(pools: readonly AddressPoolOption[], taken: readonly Cidr[]): Cidr | undefined {
  for (const { base, size } of pools) {
    const pool = parseCidr(base);
    const bits = pool.family === 4 ? 32 : 128;
    const step = 1n << BigInt(bits - size);
    const count = Math.min(STEPS_MAX, 2 ** Math.max(0, size - pool.prefix));
    for (let i = 0; i < count; i += 1) {
      const cidr: Cidr = { family: pool.family, base: pool.base + BigInt(i) * step, prefix: size };
      if (!taken.some((other) => cidrsOverlap(other, cidr))) return cidr;
    }
  }
  return undefined;
}
