/**
 * Everything the allocator leases, as a view of the store: node numbers, VNIs, subnets, addresses,
 * published ports.
 * Pure. Invariants: `sync…` makes an owner's leases equal to what its object in the store says,
 * so leases survive a change of leader and none leaks;
 * what was taken meanwhile counts until the next sync of its owner.
 */
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { AddressPool } from "../../net-overlay/ipam/address-pool.js";
import { formatAddress, type IpFamily, parseAddress, parseCidr } from "../../net-overlay/ipam/cidr.js";
import { IntegerPool } from "../../net-overlay/ipam/integer-pool.js";
import { SubnetPool } from "../../net-overlay/ipam/subnet-pool.js";
import { NODE_NUMBER_MAX, NODE_NUMBER_MIN } from "../../net-overlay/vxlan/transit.js";
import { OVERLAY_VNI_MAX, OVERLAY_VNI_MIN } from "../../net-overlay/vxlan/vni.js";
import type { Cluster, Network, Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { type IpamConfig, type PortConfig, PublishMode } from "../../proto/gen/skein/v1/types.js";
import { isTerminal } from "../orchestrator/task-state.js";

export const POOLS_DEFAULT = ["10.0.0.0/8"] as const;
/** Of a family for which the swarm names none: subnets of /64. */
const IPV6_POOLS_DEFAULT = ["fd53:6b65:696f::/48"] as const;
export const SUBNET_SIZE_DEFAULT = 24;
/** Published ports given out by the cluster. Source: Docker. */
export const PORT_MIN = 30_000;
export const PORT_MAX = 32_767;

interface Lease {
  readonly networkId: string;
  /** CIDR. */
  readonly address: string;
}

interface NetworkPools {
  /** What each pool was made from, to see a change. */
  readonly keys: readonly string[];
  readonly pools: readonly AddressPool[];
}

export class AddressSpace {
  readonly nodeNumbers = new IntegerPool({ min: NODE_NUMBER_MIN, max: NODE_NUMBER_MAX });
  readonly vnis = new IntegerPool({ min: OVERLAY_VNI_MIN, max: OVERLAY_VNI_MAX });
  /** Those below are users' to choose. */
  readonly #lowVnis = new IntegerPool({ min: 1, max: OVERLAY_VNI_MIN - 1 });
  readonly subnets: SubnetPool;
  readonly #networks = new Map<string, NetworkPools>();
  /** Leases whose network has no pools yet or no more are kept as well: they count again when it has. */
  readonly #leases = new Map<string, readonly Lease[]>();
  /** By network: who has leases on it. */
  readonly #ownersOf = new Map<string, Set<string>>();
  readonly #ports = new Map<string, IntegerPool>();
  readonly #portsOf = new Map<string, readonly PortConfig[]>();
  readonly #numberOf = new Map<string, number>();
  readonly #vniOf = new Map<string, number>();
  /** Networks with a subnet taken that the store does not know yet. */
  readonly #subnetsTaken = new Set<string>();

  constructor(cluster: Cluster | undefined) {
    const pools = cluster?.defaultAddressPool ?? [];
    this.subnets = new SubnetPool({
      pools: [...ofFamily(pools, 4, POOLS_DEFAULT), ...ofFamily(pools, 6, IPV6_POOLS_DEFAULT)],
      subnetSize: cluster?.subnetSize || SUBNET_SIZE_DEFAULT,
    });
  }

  syncNode(id: string, node: Node | undefined): void {
    this.#replaceNumber(() => this.nodeNumbers, this.#numberOf, id, node?.number ?? 0);
  }

  syncNetwork(id: string, network: Network | undefined): void {
    this.#replaceNumber((vni) => this.#vniPool(vni), this.#vniOf, id, network?.vni ?? 0);
    const ipam = network?.ipam ?? [];
    const keys = ipam.map((config) => JSON.stringify(config));
    const known = !this.#subnetsTaken.delete(id);
    const before = this.#networks.get(id);
    if (known && JSON.stringify(before?.keys ?? []) === JSON.stringify(keys)) return;
    this.#networks.delete(id);
    this.subnets.releaseAll(id);
    if (ipam.length === 0) return;
    for (const config of ipam) this.subnets.reserve(config.subnet, id);
    // A subnet that stays keeps its pool, and with it where the round was.
    const pools = ipam.map(
      (config, at) => before?.pools[before.keys.indexOf(keys[at] ?? "")] ?? poolOf(config),
    );
    this.#networks.set(id, { keys, pools });
    // Pools that stayed have their leases, and nobody has an address outside of them.
    if (before?.keys.every((key) => keys.includes(key)) === true) return;
    for (const owner of this.#ownersOf.get(id) ?? []) {
      for (const lease of this.#leases.get(owner) ?? [])
        if (lease.networkId === id) this.#poolOf(lease)?.reserve(lease.address, owner);
    }
  }

  /**
   * What a new leader reads off the store beside the leases: who got an address last, so that the round goes
   * on where the last leader was.
   */
  recall(object: Service | Task): void {
    const at = object.meta?.createdAtMs ?? 0;
    const attachments =
      "networks" in object
        ? object.networks.flatMap(({ networkId, addresses }) =>
            addresses.map((address) => ({ networkId, address })),
          )
        : (object.endpoint?.virtualIps ?? []);
    for (const lease of attachments) this.#poolOf(lease)?.seen(lease.address, at);
  }

  syncService(id: string, service: Service | undefined): void {
    const vips = service?.endpoint?.virtualIps ?? [];
    this.#replaceLeases(id, vips);
    for (const port of this.#portsOf.get(id) ?? []) this.#portPool(port).release(port.publishedPort, id);
    const ports = (service?.endpoint?.ports ?? []).filter(isIngress);
    for (const port of ports) this.#portPool(port).reserve(port.publishedPort, id);
    if (ports.length === 0) this.#portsOf.delete(id);
    else this.#portsOf.set(id, ports);
  }

  syncTask(id: string, task: Task | undefined): void {
    const held = task === undefined || isTerminal(task) ? [] : task.networks;
    this.#replaceLeases(
      id,
      held.flatMap(({ networkId, addresses }) => addresses.map((address) => ({ networkId, address }))),
    );
  }

  /**
   * @returns the pools of an allocated network, in the order of its subnets;
   * undefined before it is allocated.
   */
  pools(networkId: string): readonly AddressPool[] | undefined {
    return this.#networks.get(networkId)?.pools;
  }

  /** Of an allocated network. */
  families(networkId: string): readonly IpFamily[] {
    const pools = this.pools(networkId) ?? [];
    return ([4, 6] as const).filter((family) => pools.some(({ cidr }) => cidr.family === family));
  }

  /**
   * Takes an address of a family, from the first subnet with room.
   * @returns a CIDR, or the reason in words.
   */
  takeAddress(owner: string, networkId: string, family: IpFamily): { address: string } | { refusal: string } {
    const own = (this.pools(networkId) ?? []).filter((pool) => pool.cidr.family === family);
    const address = firstDefined(own, (pool) => pool.take(owner));
    if (address === undefined) return { refusal: own.map(exhausted).join("; ") };
    this.#hold(owner, { networkId, address });
    return { address };
  }

  /** @returns the address with its prefix length when it was free, or the reason in words. */
  reserveAddress(owner: string, lease: Lease): { address: string } | { refusal: string } {
    const bare = lease.address.replace(/\/.*$/, "");
    try {
      const { family, value } = parseAddress(bare);
      const pool = this.#poolOf(lease);
      if (pool === undefined) return { refusal: `address ${bare} is in no subnet of the network` };
      if (!pool.reserve(bare, owner)) return { refusal: `address ${bare} is already in use` };
      const address = `${formatAddress(family, value)}/${pool.cidr.prefix}`;
      this.#hold(owner, { networkId: lease.networkId, address });
      return { address };
    } catch (error) {
      if (error instanceof InvalidArgumentError) return { refusal: messageOf(error) };
      throw error;
    }
  }

  /** @returns a node number; undefined when all are in use. */
  takeNodeNumber(nodeId: string): number | undefined {
    return takeNumber(this.nodeNumbers, this.#numberOf, nodeId);
  }

  /** @returns an overlay's VNI; undefined when all are in use. */
  takeVni(networkId: string): number | undefined {
    return takeNumber(this.vnis, this.#vniOf, networkId);
  }

  /** @returns a subnet as CIDR; undefined when the pools of the family are empty. */
  takeSubnet(networkId: string, family: IpFamily): string | undefined {
    this.#subnetsTaken.add(networkId);
    return this.subnets.take(networkId, family);
  }

  /** @returns whether the network has this VNI now; not when another one has it. */
  reserveVni(networkId: string, vni: number): boolean {
    if (!this.#vniPool(vni).reserve(vni, networkId)) return false;
    this.#vniOf.set(networkId, vni);
    return true;
  }

  /**
   * @param port with the number asked for, or 0 for any of the cluster's range.
   * @returns the number, now the service's, or the service that has it ("" when the range is used up).
   */
  takePort(serviceId: string, port: PortConfig): { number: number } | { holder: string } {
    const pool = this.#portPool(port);
    const number = port.publishedPort === 0 ? lowestFreePort(pool) : port.publishedPort;
    if (number === undefined) return { holder: "" };
    if (!pool.reserve(number, serviceId)) return { holder: pool.ownerOf(number) ?? "" };
    this.#portsOf.set(serviceId, [
      ...(this.#portsOf.get(serviceId) ?? []),
      { ...port, publishedPort: number },
    ]);
    return { number };
  }

  /** Leases on one protocol's ports. */
  #portPool(port: Pick<PortConfig, "protocol">): IntegerPool {
    let pool = this.#ports.get(port.protocol);
    if (pool === undefined) {
      pool = new IntegerPool({ min: 1, max: 65_535 });
      this.#ports.set(port.protocol, pool);
    }
    return pool;
  }

  #hold(owner: string, lease: Lease): void {
    this.#setLeases(owner, [...(this.#leases.get(owner) ?? []), lease]);
  }

  #setLeases(owner: string, leases: readonly Lease[]): void {
    for (const { networkId } of this.#leases.get(owner) ?? []) {
      const owners = this.#ownersOf.get(networkId);
      owners?.delete(owner);
      if (owners?.size === 0) this.#ownersOf.delete(networkId);
    }
    for (const { networkId } of leases) {
      const owners = this.#ownersOf.get(networkId);
      if (owners === undefined) this.#ownersOf.set(networkId, new Set([owner]));
      else owners.add(owner);
    }
    if (leases.length === 0) this.#leases.delete(owner);
    else this.#leases.set(owner, leases);
  }

  #poolOf(lease: Lease): AddressPool | undefined {
    const bare = lease.address.replace(/\/.*$/, "");
    return this.pools(lease.networkId)?.find((pool) => pool.contains(bare));
  }

  #vniPool(vni: number): IntegerPool {
    return vni < OVERLAY_VNI_MIN ? this.#lowVnis : this.vnis;
  }

  #replaceNumber(
    poolOf: (value: number) => IntegerPool,
    held: Map<string, number>,
    owner: string,
    value: number,
  ): void {
    const old = held.get(owner);
    if (old === value) return;
    if (old !== undefined) poolOf(old).release(old, owner);
    held.delete(owner);
    if (value !== 0 && poolOf(value).reserve(value, owner)) held.set(owner, value);
  }

  #replaceLeases(owner: string, leases: readonly Lease[]): void {
    for (const old of this.#leases.get(owner) ?? []) this.#poolOf(old)?.release(old.address, owner);
    for (const lease of leases) this.#poolOf(lease)?.reserve(lease.address, owner);
    this.#setLeases(owner, leases);
  }
}

function ofFamily(
  pools: readonly string[],
  family: IpFamily,
  otherwise: readonly string[],
): readonly string[] {
  const own = pools.filter((pool) => parseCidr(pool).family === family);
  return own.length > 0 ? own : otherwise;
}

/** @throws {InvalidArgumentError} parts that do not fit each other. */
export function poolOf(config: IpamConfig): AddressPool {
  return new AddressPool({ ...config, reserved: Object.values(config.reserved) });
}

export function isIngress(port: PortConfig): boolean {
  return port.publishMode === PublishMode.INGRESS;
}

/** "no free address in 10.0.1.0/24 (254 of 254 in use)" */
export function exhausted(pool: AddressPool): string {
  return `no free address in ${pool.subnet} (${pool.usedCount} of ${pool.capacity} in use)`;
}

function takeNumber(pool: IntegerPool, held: Map<string, number>, owner: string): number | undefined {
  const value = held.get(owner) ?? pool.take(owner);
  if (value !== undefined) held.set(owner, value);
  return value;
}

function lowestFreePort(pool: IntegerPool): number | undefined {
  for (let number = PORT_MIN; number <= PORT_MAX; number++) {
    if (pool.ownerOf(number) === undefined) return number;
  }
  return undefined;
}

function firstDefined<T, R>(items: readonly T[], get: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const value = get(item);
    if (value !== undefined) return value;
  }
  return undefined;
}
