/**
 * Addresses of one subnet, leased to owners; the network address, IPv4's broadcast address,
 * the gateway and reserved addresses are never handed out.
 * Pure. Invariant: an address has at most one owner. Host parts beyond 2^24 of a large prefix stay unused.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import {
  type Cidr,
  cidrContains,
  cidrSize,
  formatAddress,
  formatCidr,
  parseAddress,
  parseCidr,
} from "./cidr.js";
import { IntegerPool } from "./integer-pool.js";

const HOST_PART_MAX = 2 ** 24;
const GATEWAY = "(gateway)";
const RESERVED = "(reserved)";

export interface AddressPoolInit {
  readonly subnet: string;
  /** Only addresses of this part of the subnet are handed out; "" for all. */
  readonly range?: string;
  /** "" for the subnet's first host address. */
  readonly gateway?: string;
  /** Further addresses that are not ours to give. */
  readonly reserved?: readonly string[];
}

export class AddressPool {
  readonly cidr: Cidr;
  readonly subnet: string;
  /** Without prefix length. */
  readonly gateway: string;
  readonly #hosts: IntegerPool;
  readonly #assignable: { readonly min: number; readonly max: number };
  readonly #rangePool: IntegerPool;

  /**
   * @throws {InvalidArgumentError} when subnet, range or gateway are no addresses or do not fit each other.
   */
  constructor(init: AddressPoolInit) {
    this.cidr = parseCidr(init.subnet);
    this.subnet = formatCidr(this.cidr);
    const size = cidrSize(this.cidr);
    const last =
      size > BigInt(HOST_PART_MAX) ? HOST_PART_MAX : Number(size) - (this.cidr.family === 4 ? 2 : 1);
    if (last < 1) {
      throw new InvalidArgumentError(
        `subnet ${this.subnet} has no room: it needs a gateway and one more address`,
      );
    }
    this.#hosts = new IntegerPool({ min: 1, max: last, rotating: true });
    this.#assignable = this.#rangeOf(init.range ?? "", last);
    this.#rangePool =
      this.#assignable.min === 1 && this.#assignable.max === last
        ? this.#hosts
        : new IntegerPool({ ...this.#assignable, rotating: true });
    this.gateway = (init.gateway ?? "") === "" ? this.#format(1) : (init.gateway ?? "").replace(/\/.*$/, "");
    if (!this.reserve(this.gateway, GATEWAY)) {
      throw new InvalidArgumentError(
        `gateway ${this.gateway} is not a host address of subnet ${this.subnet}`,
      );
    }
    for (const address of init.reserved ?? []) {
      if (!this.reserve(address.replace(/\/.*$/, ""), RESERVED)) {
        throw new InvalidArgumentError(
          `reserved address ${address} is not a free address of subnet ${this.subnet}`,
        );
      }
    }
  }

  /** Addresses that can be in use at most, the gateway among them. */
  get capacity(): number {
    return this.#rangePool.capacity;
  }

  get usedCount(): number {
    return this.#rangePool.usedCount;
  }

  /** @returns an address with prefix length ("10.0.1.2/24"); undefined when the subnet is full. */
  take(owner: string): string | undefined {
    const host = this.#rangePool.take(owner);
    if (host === undefined) return undefined;
    if (this.#rangePool !== this.#hosts) this.#hosts.reserve(host, owner);
    return `${this.#format(host)}/${this.cidr.prefix}`;
  }

  /**
   * @param address with or without prefix length.
   * @returns false when outside the subnet or somebody else's.
   */
  reserve(address: string, owner: string): boolean {
    const host = this.#hostOf(address);
    if (host === undefined || !this.#hosts.reserve(host, owner)) return false;
    if (this.#rangePool !== this.#hosts) this.#rangePool.reserve(host, owner);
    return true;
  }

  release(address: string, owner: string): void {
    const host = this.#hostOf(address);
    if (host === undefined) return;
    this.#hosts.release(host, owner);
    if (this.#rangePool !== this.#hosts) this.#rangePool.release(host, owner);
  }

  /** @param address without prefix length. */
  contains(address: string): boolean {
    return cidrContains(this.cidr, parseAddress(address));
  }

  ownerOf(address: string): string | undefined {
    const host = this.#hostOf(address);
    return host === undefined ? undefined : this.#hosts.ownerOf(host);
  }

  #format(host: number): string {
    return formatAddress(this.cidr.family, this.cidr.base + BigInt(host));
  }

  #hostOf(address: string): number | undefined {
    const parsed = parseAddress(address.replace(/\/.*$/, ""));
    if (!cidrContains(this.cidr, parsed)) return undefined;
    const host = parsed.value - this.cidr.base;
    return host > BigInt(HOST_PART_MAX) ? undefined : Number(host);
  }

  #rangeOf(range: string, last: number): { min: number; max: number } {
    if (range === "") return { min: 1, max: last };
    const part = parseCidr(range);
    if (
      !cidrContains(this.cidr, { family: part.family, value: part.base }) ||
      part.prefix < this.cidr.prefix
    ) {
      throw new InvalidArgumentError(`range ${range} is not inside subnet ${this.subnet}`);
    }
    const first = Number(part.base - this.cidr.base);
    return { min: Math.max(1, first), max: Math.min(last, first + Number(cidrSize(part)) - 1) };
  }
}
