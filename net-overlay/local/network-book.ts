/**
 * The local networks of a node: which there are, and which may come and go.
 * Pure over a way to keep them. Invariants: bridge, host and none are always there; names are unique;
 * subnets do not overlap; what is returned from a change has been saved.
 * Source: Docker's documentation of networks; words and statuses as a Docker engine was seen to answer.
 */
import {
  AlreadyExistsError,
  InternalError,
  NotFoundError,
  NotImplementedError,
  PermissionDeniedError,
  ResourceExhaustedError,
} from "../../base/errors/errors.js";
import { newHexId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type {
  IpamConfiguration,
  LocalNetworkRecord,
  LocalNetworkRequest,
} from "../../proto/engine/networks.js";
import { type Cidr, cidrsOverlap, formatAddress, formatCidr, parseCidr } from "../ipam/cidr.js";
import { BRIDGE_OPTION, bridgeNetwork } from "./bridge-network.js";
import { refuseUsedSettings, withSettings } from "./network-settings.js";
import { type AddressPoolOption, chooseSubnet, DEFAULT_POOLS } from "./subnet-leases.js";

export const DEFAULT_LINK = "skein0";
export const PREDEFINED = ["bridge", "host", "none"] as const;

/** Of the default bridge and of subnets that nobody chose. */
export interface LocalNetworkOptions {
  /** @default skein0 */
  readonly link?: string;
  /**
   * Gateway and prefix of the default bridge, "172.17.0.1/16". @default the first free subnet of the pools
   */
  readonly bip?: string;
  /** Automatic addresses of the default bridge come from this part of its subnet. */
  readonly fixedCidr?: string;
  /** An IPv6 subnet for the default bridge. */
  readonly fixedCidrV6?: string;
  /** @default 1500 */
  readonly mtuBytes?: number;
  /** @default true */
  readonly icc?: boolean;
  /** @default true */
  readonly masquerade?: boolean;
  /** For ports published without an address. @default all */
  readonly hostBinding?: string;
  readonly pools?: readonly AddressPoolOption[];
}

export interface NetworkBookParts {
  readonly load: () => readonly LocalNetworkRecord[];
  readonly save: (records: readonly LocalNetworkRecord[]) => void;
  /** Subnets that the host reaches by links that are not ours. */
  readonly foreignSubnets: (ourLinks: ReadonlySet<string>) => readonly Cidr[];
  readonly random: Random;
  readonly nowMs: () => number;
}

export class NetworkBook {
  readonly #parts: NetworkBookParts;
  readonly #options: LocalNetworkOptions;
  #records: readonly LocalNetworkRecord[];

  constructor(parts: NetworkBookParts, options: LocalNetworkOptions = {}) {
    this.#parts = parts;
    this.#options = options;
    this.#records = parts.load();
    const before = this.#records;
    for (const name of PREDEFINED) this.#ensurePredefined(name);
    if (this.#records !== before) parts.save(this.#records);
  }

  list(): readonly LocalNetworkRecord[] {
    return this.#records;
  }

  /** By id, name, or unique id prefix. */
  find(idOrName: string): LocalNetworkRecord | undefined {
    const exact =
      this.#records.find(({ id }) => id === idOrName) ?? this.#records.find(({ name }) => name === idOrName);
    if (exact !== undefined || !/^[0-9a-f]+$/.test(idOrName)) return exact;
    const begin = this.#records.filter(({ id }) => id.startsWith(idOrName));
    return begin.length === 1 ? begin[0] : undefined;
  }

  /** @throws {NotFoundError} */
  get(idOrName: string): LocalNetworkRecord {
    const record = this.find(idOrName);
    if (record === undefined) throw new NotFoundError(`network ${idOrName} not found`);
    return record;
  }

  /** @throws {AlreadyExistsError} name; {PermissionDeniedError} overlapping subnet; {InvalidArgumentError} */
  create(asked: LocalNetworkRequest): LocalNetworkRecord {
    this.#admitName(asked.name);
    const request = withSettings(asked, this.#records);
    const id = newHexId(this.#parts.random);
    const made = { id, createdMs: this.#parts.nowMs() };
    if (request.configOnly === true) {
      for (const { subnet } of request.ipam) if (subnet !== "") subnetOf(subnet);
      const record: LocalNetworkRecord = { ...request, ...made, driver: "null" };
      this.#keep([...this.#records, record]);
      return record;
    }
    this.#admit(request);
    const record: LocalNetworkRecord = {
      ...request,
      ...made,
      driver: "bridge",
      ipam: this.#completeIpam(request),
    };
    const { link } = bridgeNetwork(record);
    const bridges = this.#records.filter(({ driver }) => driver === "bridge");
    const other = bridges.find((one) => bridgeNetwork(one).link === link);
    if (other !== undefined)
      throw new PermissionDeniedError(
        `cannot create network ${id} (${link}): conflicts with network ${other.id} (${link}): ` +
          "networks have same bridge name",
      );
    this.#keep([...this.#records, record]);
    return record;
  }

  /** @throws {PermissionDeniedError} predefined; {NotFoundError} */
  remove(idOrName: string): LocalNetworkRecord {
    const record = this.get(idOrName);
    if (isPredefined(record.name))
      throw new PermissionDeniedError(`${record.name} is a pre-defined network and cannot be removed`);
    if (record.configOnly === true) refuseUsedSettings(record, this.#records);
    this.#keep(this.#records.filter(({ id }) => id !== record.id));
    return record;
  }

  #keep(records: readonly LocalNetworkRecord[]): void {
    this.#parts.save(records);
    this.#records = records;
  }

  #bridges(): ReturnType<typeof bridgeNetwork>[] {
    return this.#records.filter(({ driver }) => driver === "bridge").map(bridgeNetwork);
  }

  #admitName(name: string): void {
    if (name.trim() === "") throw new InternalError(`invalid name: ${name}`);
    if (isPredefined(name) || name === "default")
      throw new PermissionDeniedError(`operation is not permitted on predefined ${name} network `);
    if (this.#records.some((record) => record.name === name))
      throw new AlreadyExistsError(`network with name ${name} already exists`);
  }

  #admit(request: LocalNetworkRequest): void {
    const { driver } = request;
    if (driver === "host" || driver === "null")
      throw new PermissionDeniedError(`only one instance of "${driver}" network is allowed`);
    if (driver === "macvlan" || driver === "ipvlan")
      throw new NotImplementedError(
        `network driver ${JSON.stringify(driver)} is not supported yet: use bridge`,
      );
    if (driver !== "bridge" && driver !== "")
      throw new NotFoundError(`plugin ${JSON.stringify(driver)} not found`);
    if (request.ipamDriver !== "" && request.ipamDriver !== "default")
      throw new NotFoundError(`plugin ${JSON.stringify(request.ipamDriver)} not found`);
  }

  /** Subnets that were chosen, checked, and one for each family that wants one and has none. */
  #completeIpam(request: LocalNetworkRequest): readonly IpamConfiguration[] {
    const chosen = request.ipam.filter(({ subnet }) => subnet !== "");
    const taken = this.#bridges().flatMap(({ subnet4, subnet6 }) =>
      [subnet4, subnet6].flatMap((subnet) => (subnet === undefined ? [] : [subnet.cidr])),
    );
    for (const { subnet } of chosen) {
      const cidr = subnetOf(subnet);
      if (taken.some((other) => cidrsOverlap(other, cidr)))
        throw new PermissionDeniedError("Pool overlaps with other one on this address space");
    }
    const has = (isV6: boolean): boolean => chosen.some(({ subnet }) => subnet.includes(":") === isV6);
    const automatic: IpamConfiguration[] = [];
    if (request.enableIpv4 && !has(false)) {
      const others = [...taken, ...chosen.map(({ subnet }) => subnetOf(subnet))];
      automatic.push(this.#takeSubnet(4, this.#options.pools ?? DEFAULT_POOLS, others));
    }
    if (request.enableIpv6 && !has(true)) {
      const base = this.#uniqueLocalPrefix();
      const pools = this.#options.pools?.filter((pool) => pool.base.includes(":")) ?? [];
      automatic.push(this.#takeSubnet(6, pools.length > 0 ? pools : [{ base, size: 64 }], taken));
    }
    return [...automatic, ...chosen];
  }

  #takeSubnet(family: 4 | 6, pools: readonly AddressPoolOption[], taken: readonly Cidr[]): IpamConfiguration {
    const links = new Set(this.#bridges().map(({ link }) => link));
    const foreign = this.#parts.foreignSubnets(links);
    const ofFamily = pools.filter(({ base }) => base.includes(":") === (family === 6));
    const cidr = chooseSubnet(ofFamily, [...taken, ...foreign]);
    if (cidr === undefined)
      throw new ResourceExhaustedError("all predefined address pools have been fully subnetted");
    return {
      subnet: formatCidr(cidr),
      ipRange: "",
      gateway: formatAddress(family, cidr.base + 1n),
      auxiliaryAddresses: {},
      automatic: true,
    };
  }

  /** RFC 4193: 40 bits that are this node's own, from an id that was drawn once. */
  #uniqueLocalPrefix(): string {
    const id = this.#records.find(({ name }) => name === "bridge")?.id ?? newHexId(this.#parts.random);
    return `fd${id.slice(0, 2)}:${id.slice(2, 6)}:${id.slice(6, 10)}::/48`;
  }

  #ensurePredefined(name: (typeof PREDEFINED)[number]): void {
    const kept = this.#records.find((record) => record.name === name);
    const wanted = this.#predefined(name, kept);
    if (JSON.stringify(kept) === JSON.stringify(wanted)) return;
    this.#records = [...this.#records.filter((record) => record.name !== name), wanted];
  }

  #predefined(name: (typeof PREDEFINED)[number], kept: LocalNetworkRecord | undefined): LocalNetworkRecord {
    const plain: LocalNetworkRecord = {
      name,
      driver: name === "none" ? "null" : name,
      internal: false,
      attachable: false,
      enableIpv4: true,
      enableIpv6: false,
      ipamDriver: "default",
      ipamOptions: {},
      ipam: [],
      options: {},
      labels: {},
      id: kept?.id ?? newHexId(this.#parts.random),
      createdMs: kept?.createdMs ?? this.#parts.nowMs(),
    };
    if (name !== "bridge") return plain;
    const { fixedCidrV6 } = this.#options;
    const options = {
      [BRIDGE_OPTION.default]: "true",
      [BRIDGE_OPTION.icc]: String(this.#options.icc ?? true),
      [BRIDGE_OPTION.masquerade]: String(this.#options.masquerade ?? true),
      [BRIDGE_OPTION.hostBinding]: this.#options.hostBinding ?? "0.0.0.0",
      [BRIDGE_OPTION.name]: this.#options.link ?? DEFAULT_LINK,
      [BRIDGE_OPTION.mtu]: String(this.#options.mtuBytes ?? 1500),
    };
    const v6 = { subnet: fixedCidrV6 ?? "", ipRange: "", gateway: "", auxiliaryAddresses: {} };
    return {
      ...plain,
      enableIpv6: fixedCidrV6 !== undefined,
      options,
      ipam: [this.#defaultSubnet(kept), ...(fixedCidrV6 === undefined ? [] : [v6])],
    };
  }

  #defaultSubnet(kept: LocalNetworkRecord | undefined): IpamConfiguration {
    const { bip, fixedCidr } = this.#options;
    const ipRange = fixedCidr ?? "";
    if (bip !== undefined) {
      const gateway = bip.replace(/\/.*$/, "");
      return { subnet: formatCidr(parseCidr(bip)), ipRange, gateway, auxiliaryAddresses: {} };
    }
    const before = kept?.ipam.find(({ subnet }) => !subnet.includes(":"));
    if (before !== undefined) return { ...before, ipRange };
    const taken = this.#bridges().flatMap(({ subnet4 }) => (subnet4 === undefined ? [] : [subnet4.cidr]));
    const chosen = this.#takeSubnet(4, this.#options.pools ?? DEFAULT_POOLS, taken);
    return { ...chosen, ipRange };
  }
}

export function isPredefined(name: string): boolean {
  return (PREDEFINED as readonly string[]).includes(name);
}

function subnetOf(text: string): Cidr {
  try {
    return parseCidr(text);
  } catch (error) {
    throw new InternalError(`Invalid subnet ${text} : invalid CIDR address: ${text}`, { cause: error });
  }
}
