/**
 * Addresses of one subnet, leased to owners; the network address, IPv4's broadcast address,
 * the gateway and reserved addresses are never handed out.
 * Pure. Invariant: an address has at most one owner. Handed out is at most the first 2^24 of the subnet or of
 * its range; any other address of the subnet can be chosen.
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

/** Of what is handed out. */
const HOSTS_MAX = 2 ** 24;
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
  /** Of what is handed out, counted from `#first`. */
  readonly #hosts: IntegerPool;
  readonly #first: bigint;
  /** Chosen addresses that are not handed out. */
  readonly #others = new Map<bigint, string>();
  /** Where the newest address that anybody was seen with lies in time. */
  #seenAt = -1;

  /**
   * @throws {InvalidArgumentError} when subnet, range or gateway are no addresses or do not fit each other.
   */
  constructor(init: AddressPoolInit) {
    this.cidr = parseCidr(init.subnet);
    this.subnet = formatCidr(this.cidr);
    const { first, last } = this.#rangeOf(init.range ?? "");
    this.#first = first;
    if (last < first) {
      throw new InvalidArgumentError(
        `subnet ${this.subnet} has no room: it needs a gateway and one more address`,
      );
    }
    const count = last - first + 1n;
    this.#hosts = new IntegerPool({
      min: 0,
      max: count > BigInt(HOSTS_MAX) ? HOSTS_MAX - 1 : Number(count) - 1,
      rotating: true,
    });
    const gateway = bare(init.gateway ?? "");
    this.gateway = gateway === "" ? formatAddress(this.cidr.family, this.cidr.base + 1n) : gateway;
    if (!this.reserve(this.gateway, GATEWAY)) {
      throw new InvalidArgumentError(
        `gateway ${this.gateway} is not a host address of subnet ${this.subnet}`,
      );
    }
    for (const address of init.reserved ?? []) {
      if (!this.reserve(bare(address), RESERVED)) {
        throw new InvalidArgumentError(
          `reserved address ${address} is not a free address of subnet ${this.subnet}`,
        );
      }
    }
  }

  /** Addresses that can be handed out at most, the gateway among them. */
  get capacity(): number {
    return this.#hosts.capacity;
  }

  /** Those of them that are in use. */
  get usedCount(): number {
    return this.#hosts.usedCount;
  }

  /** All in use, and those that nobody can have: the network address and IPv4's broadcast address. */
  get unavailableCount(): number {
    return this.#hosts.usedCount + this.#others.size + (this.cidr.family === 4 ? 2 : 1);
  }

  /** @returns an address with prefix length ("10.0.1.2/24"); undefined when the subnet is full. */
  take(owner: string): string | undefined {
    const host = this.#hosts.take(owner);
    if (host === undefined) return undefined;
    return `${formatAddress(this.cidr.family, this.#first + BigInt(host))}/${this.cidr.prefix}`;
  }

  /**
   * @param address with or without prefix length.
   * @returns false when outside the subnet or somebody else's.
   */
  reserve(address: string, owner: string): boolean {
    const value = this.#valueOf(address);
    if (value === undefined) return false;
    const host = this.#hostOf(value);
    if (host !== undefined) return this.#hosts.reserve(host, owner);
    const holder = this.#others.get(value);
    if (holder !== undefined) return holder === owner;
    this.#others.set(value, owner);
    return true;
  }

  release(address: string, owner: string): void {
    const value = this.#valueOf(address);
    if (value === undefined) return;
    const host = this.#hostOf(value);
    if (host !== undefined) this.#hosts.release(host, owner);
    else if (this.#others.get(value) === owner) this.#others.delete(value);
  }

  /**
   * Somebody had this address: of all that were seen the newest, by `at`, is where the next search begins, so
   * that what was freed last is given last, also by a pool that was made anew.
   */
  seen(address: string, at: number): void {
    if (at < this.#seenAt) return;
    const value = this.#valueOf(address);
    const host = value === undefined ? undefined : this.#hostOf(value);
    if (host === undefined) return;
    this.#seenAt = at;
    this.#hosts.searchAfter(host);
  }

  /** @param address without prefix length. */
  contains(address: string): boolean {
    return cidrContains(this.cidr, parseAddress(address));
  }

  ownerOf(address: string): string | undefined {
    const value = this.#valueOf(address);
    if (value === undefined) return undefined;
    const host = this.#hostOf(value);
    return host === undefined ? this.#others.get(value) : this.#hosts.ownerOf(host);
  }

  /** @returns the address as a number when somebody may have it. */
  #valueOf(address: string): bigint | undefined {
    const parsed = parseAddress(bare(address));
    if (!cidrContains(this.cidr, parsed)) return undefined;
    const offset = parsed.value - this.cidr.base;
    const isBroadcast = this.cidr.family === 4 && offset === cidrSize(this.cidr) - 1n;
    return offset === 0n || isBroadcast ? undefined : parsed.value;
  }

  /** @returns its place among those that are handed out. */
  #hostOf(value: bigint): number | undefined {
    const place = value - this.#first;
    return place < 0n || place >= BigInt(this.#hosts.capacity) ? undefined : Number(place);
  }

  #rangeOf(range: string): { first: bigint; last: bigint } {
    const first = this.cidr.base + 1n;
    const last = this.cidr.base + cidrSize(this.cidr) - (this.cidr.family === 4 ? 2n : 1n);
    if (range === "") return { first, last };
    const part = parseCidr(range);
    if (
      !cidrContains(this.cidr, { family: part.family, value: part.base }) ||
      part.prefix < this.cidr.prefix
    ) {
      throw new InvalidArgumentError(`range ${range} is not inside subnet ${this.subnet}`);
    }
    const end = part.base + cidrSize(part) - 1n;
    return { first: part.base > first ? part.base : first, last: end < last ? end : last };
  }
}

function bare(address: string): string {
  return address.replace(/\/.*$/, "");
}
