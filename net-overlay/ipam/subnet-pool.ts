/**
 * Subnets cut from the cluster's address pools, of one size for IPv4 and /64 for IPv6, lowest free first;
 * subnets that users chose are skipped.
 * Pure. Invariant: no two leased subnets overlap, save those that users chose to overlap.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type Cidr, cidrsOverlap, formatCidr, type IpFamily, parseCidr } from "./cidr.js";

export interface SubnetPoolInit {
  /** CIDRs, taken in this order. */
  readonly pools: readonly string[];
  /** Prefix length of each subnet in bits. */
  readonly subnetSize: number;
}

export class SubnetPool {
  readonly #pools: readonly Cidr[];
  readonly #subnetSize: number;
  /** Leases by owner: an owner may hold several. */
  readonly #leases = new Map<string, Cidr[]>();
  /** Cut position per pool: every subnet before it is leased. */
  readonly #cursors: number[];

  /** @throws {InvalidArgumentError} when a pool is no CIDR or smaller than one subnet. */
  constructor(init: SubnetPoolInit) {
    this.#pools = init.pools.map(parseCidr);
    this.#subnetSize = init.subnetSize;
    for (const pool of this.#pools) {
      if (pool.family === 4 && (init.subnetSize < pool.prefix || init.subnetSize > 29)) {
        throw new InvalidArgumentError(
          `subnet size must be a prefix length from that of the pool ${formatCidr(pool)} to 29, ` +
            `got ${init.subnetSize}`,
        );
      }
    }
    this.#cursors = this.#pools.map(() => 0);
  }

  /** What the pools of a family are, for explanations. */
  describe(family: IpFamily = 4): string {
    const pools = this.#pools.filter((pool) => pool.family === family);
    const sizes = new Set(pools.map((pool) => this.#prefixIn(pool)));
    return `${pools.map(formatCidr).join(", ")} cut into /${[...sizes].join(", /")}`;
  }

  leaseCount(family: IpFamily = 4): number {
    let count = 0;
    for (const leases of this.#leases.values())
      for (const lease of leases) if (lease.family === family) count++;
    return count;
  }

  /** @returns a subnet of the family, now leased to the owner; undefined when every one is in use. */
  take(owner: string, family: IpFamily = 4): string | undefined {
    const leased = [...this.#leases.values()].flat().filter((lease) => lease.family === family);
    for (const [i, pool] of this.#pools.entries()) {
      if (pool.family !== family) continue;
      const prefix = this.#prefixIn(pool);
      const count = 2 ** Math.min(24, prefix - pool.prefix);
      const step = 1n << BigInt((pool.family === 4 ? 32 : 128) - prefix);
      for (let position = this.#cursors[i] ?? 0; position < count; position++) {
        const candidate: Cidr = { family: pool.family, base: pool.base + BigInt(position) * step, prefix };
        if (leased.some((lease) => cidrsOverlap(lease, candidate))) continue;
        this.#cursors[i] = position + 1;
        this.#add(owner, candidate);
        return formatCidr(candidate);
      }
      this.#cursors[i] = count;
    }
    return undefined;
  }

  /** Notes a subnet that is in use already, wherever it lies. */
  reserve(subnet: string, owner: string): void {
    const cidr = parseCidr(subnet);
    const text = formatCidr(cidr);
    if (this.#leases.get(owner)?.some((lease) => formatCidr(lease) === text)) return;
    this.#add(owner, cidr);
  }

  /** Frees everything the owner holds. */
  releaseAll(owner: string): void {
    if (this.#leases.delete(owner)) this.#cursors.fill(0);
  }

  #prefixIn(pool: Cidr): number {
    return pool.family === 4 ? this.#subnetSize : Math.max(pool.prefix, 64);
  }

  #add(owner: string, cidr: Cidr): void {
    const leases = this.#leases.get(owner);
    if (leases === undefined) this.#leases.set(owner, [cidr]);
    else leases.push(cidr);
  }
}
