/**
 * The names of one overlay network, kept up to date change by change.
 * Pure. Invariants: a name that exists has an entry, perhaps without addresses; names are lower case; a
 * service is its VIP, or its ready tasks where it has none, and a task that has the same hostname adds
 * nothing to it; tasks that are starting are listed under `tasks.` and their own names, but get no balanced
 * traffic; a draining task keeps its own names unless another has them. A change costs as much as the names
 * of what changed, whatever the size of the network; addresses are put together when a name is next asked
 * for.
 * Source: Docker's documentation of swarm service discovery; docs/design/network-discovery.md.
 */
import type { EndpointResource, ServiceResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointMode } from "../../proto/gen/skein/v1/types.js";
import { formatAddress, parseAddress } from "../ipam/cidr.js";
import { ADDRESSES_MAX, NameRecords } from "./name-records.js";
import type { NameTable } from "./resolve.js";

/** A task on this network. */
interface TaskSource {
  readonly kind: "task";
  readonly name: string;
  readonly state: EndpointState;
  readonly addresses: readonly string[];
}

/** A service's name or alias, or the list of its tasks. */
interface ServiceSource {
  readonly kind: "balanced" | "listed";
  readonly member: ServiceMember;
}

/** A service on this network. */
interface ServiceMember {
  service: ServiceResource | undefined;
  /** Of the service on this network; none: its tasks are told. */
  vips: readonly string[];
  readonly tasks: Map<string, TaskSource>;
  /** The names it is known by now, with what each stands for. */
  names: readonly { readonly name: string; readonly source: ServiceSource }[];
}

interface Entry {
  readonly sources: (TaskSource | ServiceSource)[];
  records: NameRecords | undefined;
}

const LIST_PREFIX = "tasks.";

export class NetworkNames implements NameTable {
  readonly #networkId: string;
  readonly #entries = new Map<string, Entry>();
  /** Address -> the names it has, the first of which is told; two only while an address changes hands. */
  readonly #byAddress = new Map<string, string[]>();
  readonly #members = new Map<string, ServiceMember>();

  constructor(networkId: string) {
    this.#networkId = networkId;
  }

  find(name: string): NameRecords | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    entry.records ??= new NameRecords(addressesOf(entry.sources));
    return entry.records;
  }

  nameOf(address: string): string | undefined {
    return this.#byAddress.get(address)?.[0];
  }

  /** Whether it has tasks here whose service has not been told. */
  lacksService(id: string): boolean {
    const member = this.#members.get(id);
    return member !== undefined && member.service === undefined;
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0 && this.#members.size === 0;
  }

  /** @param before,after as they were and are on any network; undefined: not there. */
  changeEndpoint(before: EndpointResource | undefined, after: EndpointResource | undefined): void {
    if (before !== undefined && this.#isOn(before)) this.#removeEndpoint(before);
    if (after !== undefined && this.#isOn(after)) this.#addEndpoint(after);
  }

  /** @param after undefined when it is gone; a service without VIP, alias or task here has no name here. */
  changeService(id: string, after: ServiceResource | undefined): void {
    const isHere = after !== undefined && networksOfService(after).has(this.#networkId);
    const known = this.#members.get(id);
    if (known === undefined && !isHere) return;
    const member = known ?? newMember();
    const isMember = isHere || member.tasks.size > 0;
    if (isMember) this.#members.set(id, member);
    else this.#members.delete(id);
    this.#rename(member, isMember ? after : undefined);
  }

  #isOn(endpoint: EndpointResource): boolean {
    return endpoint.attachments.some(({ networkId }) => networkId === this.#networkId);
  }

  #addEndpoint(endpoint: EndpointResource): void {
    const source: TaskSource = {
      kind: "task",
      name: endpoint.taskName || endpoint.hostname,
      state: endpoint.state,
      addresses: this.#addressesOf(endpoint),
    };
    for (const name of this.#ownNames(endpoint)) this.#add(name, source);
    for (const address of source.addresses) this.#nameAddress(address, source.name);
    if (endpoint.serviceId === "") return;
    const member = this.#members.get(endpoint.serviceId) ?? newMember();
    this.#members.set(endpoint.serviceId, member);
    member.tasks.set(endpoint.taskId, source);
    this.#forgetRecords(member);
  }

  #removeEndpoint(endpoint: EndpointResource): void {
    const member = this.#members.get(endpoint.serviceId);
    const addresses = this.#addressesOf(endpoint);
    const name = endpoint.taskName || endpoint.hostname;
    for (const own of this.#ownNames(endpoint)) {
      this.#remove(own, (source) => source.kind === "task" && source.name === name);
    }
    for (const address of addresses) this.#unnameAddress(address, name);
    if (member === undefined) return;
    member.tasks.delete(endpoint.taskId);
    this.#forgetRecords(member);
    const isHere = member.service !== undefined && networksOfService(member.service).has(this.#networkId);
    if (member.tasks.size > 0 || isHere) return;
    this.#rename(member, undefined);
    this.#members.delete(endpoint.serviceId);
  }

  #rename(member: ServiceMember, after: ServiceResource | undefined): void {
    for (const { name, source } of member.names) this.#remove(name, (other) => other === source);
    for (const vip of member.vips) this.#unnameAddress(vip, member.service?.name ?? "");
    member.service = after;
    member.vips = after === undefined ? [] : vipsOf(after, this.#networkId);
    member.names = [];
    if (after === undefined) return;
    const balanced: ServiceSource = { kind: "balanced", member };
    const listed: ServiceSource = { kind: "listed", member };
    const aliases = after.aliases.filter(({ networkId }) => networkId === this.#networkId);
    const names = new Set([after.name, ...aliases.flatMap((alias) => alias.aliases)].map(lowered));
    names.delete("");
    member.names = [...names].flatMap((name) => [
      { name, source: balanced },
      { name: `${LIST_PREFIX}${name}`, source: listed },
    ]);
    for (const { name, source } of member.names) this.#add(name, source);
    for (const vip of member.vips) this.#nameAddress(vip, after.name);
  }

  /** A container of its own, of no service, has aliases that lead to it alone. */
  #ownNames(endpoint: EndpointResource): Set<string> {
    const names = [endpoint.taskName, endpoint.hostname];
    if (endpoint.slot > 0 && endpoint.serviceName !== "")
      names.push(`${endpoint.serviceName}.${endpoint.slot}`);
    if (endpoint.serviceId === "") {
      for (const { networkId, aliases } of endpoint.attachments)
        if (networkId === this.#networkId) names.push(...aliases);
    }
    const own = new Set(names.map(lowered));
    own.delete("");
    return own;
  }

  #addressesOf(endpoint: EndpointResource): string[] {
    return endpoint.attachments
      .filter(({ networkId }) => networkId === this.#networkId)
      .flatMap(({ addresses }) => addresses.flatMap(plainAddress));
  }

  #forgetRecords(member: ServiceMember): void {
    for (const { name } of member.names) {
      const entry = this.#entries.get(name);
      if (entry !== undefined) entry.records = undefined;
    }
  }

  #add(name: string, source: TaskSource | ServiceSource): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) this.#entries.set(name, { sources: [source], records: undefined });
    else {
      entry.sources.push(source);
      entry.records = undefined;
    }
  }

  #remove(name: string, isIt: (source: TaskSource | ServiceSource) => boolean): void {
    const entry = this.#entries.get(name);
    const index = entry?.sources.findIndex(isIt) ?? -1;
    if (entry === undefined || index < 0) return;
    entry.sources.splice(index, 1);
    entry.records = undefined;
    if (entry.sources.length === 0) this.#entries.delete(name);
  }

  #nameAddress(address: string, name: string): void {
    const names = this.#byAddress.get(address);
    if (names === undefined) this.#byAddress.set(address, [name]);
    else names.push(name);
  }

  #unnameAddress(address: string, name: string): void {
    const names = this.#byAddress.get(address);
    const index = names?.indexOf(name) ?? -1;
    if (names === undefined || index < 0) return;
    names.splice(index, 1);
    if (names.length === 0) this.#byAddress.delete(address);
  }
}

function newMember(): ServiceMember {
  return { service: undefined, vips: [], tasks: new Map(), names: [] };
}

/** Networks on which a service has a VIP or an alias. */
export function networksOfService(service: ServiceResource): Set<string> {
  return new Set([...service.virtualIps, ...service.aliases].map(({ networkId }) => networkId));
}

function addressesOf(sources: readonly (TaskSource | ServiceSource)[]): string[] {
  const addresses = new Set<string>();
  let hasService = false;
  for (const source of sources) {
    if (source.kind === "task") continue;
    hasService = true;
    addService(addresses, source);
  }
  if (hasService) return [...addresses];
  const tasks = sources.filter((source) => source.kind === "task");
  const staying = tasks.filter(({ state }) => state !== EndpointState.DRAINING);
  for (const task of staying.length > 0 ? staying : tasks)
    for (const address of task.addresses) addresses.add(address);
  return [...addresses];
}

/** No more than an answer can hold, of each family: the rest would never be told. */
function addService(addresses: Set<string>, { kind, member }: ServiceSource): void {
  const { vips, tasks } = member;
  if (kind === "balanced" && vips.length > 0) {
    for (const vip of vips) addresses.add(vip);
    return;
  }
  for (const task of tasks.values()) {
    if (addresses.size >= 2 * ADDRESSES_MAX) return;
    const isMeant =
      kind === "balanced" ? task.state === EndpointState.READY : task.state !== EndpointState.DRAINING;
    if (isMeant) for (const address of task.addresses) addresses.add(address);
  }
}

function vipsOf(service: ServiceResource, networkId: string): string[] {
  if (service.mode !== EndpointMode.VIP) return [];
  return service.virtualIps
    .filter((vip) => vip.networkId === networkId)
    .flatMap(({ address }) => plainAddress(address));
}

/** Without prefix, IPv6 as it is compared; nothing for what is no address. */
function plainAddress(cidr: string): string[] {
  const address = cidr.split("/")[0] ?? "";
  if (!address.includes(":")) return address === "" ? [] : [address];
  try {
    return [formatAddress(6, parseAddress(address).value)];
  } catch {
    return []; // the store's word was checked where it came in; a wrong one is no answer
  }
}

function lowered(name: string): string {
  return name.toLowerCase();
}
