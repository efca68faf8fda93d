/**
 * Which ports of the host a container's ports are published at.
 * Pure over a way to hold a port of the host. Invariants: a port of an address has one owner, a port of all
 * addresses is nobody else's; a chosen number is the same for both families; all or nothing.
 * Source: Docker's documentation of port publishing, and the words a Docker engine was seen to use.
 */
import { InternalError } from "../../base/errors/errors.js";
import type { ContainerNetworking, PortBinding } from "../../proto/engine/networks.js";
import { formatAddress, parseAddress } from "../ipam/cidr.js";

export type Protocol = PortBinding["protocol"];

/** One port of one host address, asked of the host. */
export interface HostPort {
  readonly protocol: Protocol;
  readonly hostAddress: string;
  readonly hostPort: number;
}

/** One of ours has it, another program of the host has it, or the host has no such address. */
export type Refusal = "allocated" | "in-use" | "no-such-address";

export interface HostPorts {
  /** @returns undefined once held. */
  hold(port: HostPort & { readonly owner: string; readonly containerPort: number }): Refusal | undefined;
  release(port: HostPort & { readonly owner: string }): void;
}

export interface PortPlanOptions {
  readonly owner: string;
  readonly containerName: string;
  readonly endpointId: string;
  /** Where the ports lead; for the words of a refusal. */
  readonly address: string;
  /** Of the network; "" for all. */
  readonly hostBinding: string;
  readonly hostHasIpv6: boolean;
  /** The first ones to try for ports without a number; counts on. */
  readonly ephemeral: EphemeralPorts;
}

/** Ports without a number come from here, one after the other, round and round. */
export class EphemeralPorts {
  readonly #min: number;
  readonly #max: number;
  #last: number;

  constructor(range: { min: number; max: number }) {
    this.#min = range.min;
    this.#max = range.max;
    this.#last = range.max;
  }

  get size(): number {
    return this.#max - this.#min + 1;
  }

  next(): number {
    this.#last = this.#last >= this.#max ? this.#min : this.#last + 1;
    return this.#last;
  }
}

/** Bindings asked for, and one for each exposed port when all are to be published. */
export function askedBindings(networking: ContainerNetworking): PortBinding[] {
  const asked = [...networking.portBindings];
  if (networking.publishAllPorts) {
    for (const exposed of networking.exposedPorts) {
      const match = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/.exec(exposed);
      if (match === null) continue;
      const protocol = (match[3] ?? "tcp") as Protocol; // the pattern's own words
      for (let port = Number(match[1]); port <= Number(match[2] ?? match[1]); port += 1) {
        if (!asked.some((binding) => binding.containerPort === port && binding.protocol === protocol))
          asked.push({ containerPort: port, protocol, hostAddress: "", hostPort: 0 });
      }
    }
  }
  // numbers that were chosen first, so that none of the others takes them
  const rank = ({ hostPort, hostPortEnd }: PortBinding): number =>
    hostPort === 0 ? 2 : hostPortEnd === undefined ? 0 : 1;
  return asked.sort((a, b) => rank(a) - rank(b) || a.containerPort - b.containerPort);
}

/**
 * @returns the bindings as bound, one for each address of the host.
 * @throws {InternalError} a port is taken (Docker's status and words); nothing is held then.
 */
export function publishPorts(
  networking: ContainerNetworking,
  ports: HostPorts,
  options: PortPlanOptions,
): PortBinding[] {
  const bound: PortBinding[] = [];
  try {
    for (const asked of askedBindings(networking)) bound.push(...bindOne(asked, ports, options));
  } catch (error) {
    for (const binding of bound) ports.release({ ...binding, owner: options.owner });
    throw error;
  }
  return bound;
}

function bindOne(asked: PortBinding, ports: HostPorts, options: PortPlanOptions): PortBinding[] {
  const addresses = hostAddresses(asked, options);
  let refusal: { readonly by: Refusal; readonly port: HostPort } | undefined;
  for (const hostPort of candidates(asked, options.ephemeral)) {
    const held: PortBinding[] = [];
    refusal = undefined;
    for (const hostAddress of addresses) {
      const port = { protocol: asked.protocol, hostAddress, hostPort };
      const by = ports.hold({ ...port, owner: options.owner, containerPort: asked.containerPort });
      if (by !== undefined) {
        refusal = { by, port };
        break;
      }
      held.push({ ...port, containerPort: asked.containerPort });
    }
    if (refusal === undefined) return held;
    for (const binding of held) ports.release({ ...binding, owner: options.owner });
  }
  throw new InternalError(refusalText(asked, refusal, options));
}

function hostAddresses(asked: PortBinding, options: PortPlanOptions): string[] {
  const address = asked.hostAddress || options.hostBinding;
  if (address !== "") {
    const { family, value } = parseAddress(address);
    return [formatAddress(family, value)]; // one text for one address
  }
  return options.hostHasIpv6 ? ["0.0.0.0", "::"] : ["0.0.0.0"];
}

function* candidates(asked: PortBinding, ephemeral: EphemeralPorts): Iterable<number> {
  if (asked.hostPort === 0) {
    for (let i = 0; i < ephemeral.size; i += 1) yield ephemeral.next();
    return;
  }
  for (let port = asked.hostPort; port <= (asked.hostPortEnd ?? asked.hostPort); port += 1) yield port;
}

function refusalText(
  asked: PortBinding,
  refusal: { readonly by: Refusal; readonly port: HostPort } | undefined,
  { containerName, endpointId, address }: PortPlanOptions,
): string {
  const where = `driver failed programming external connectivity on endpoint ${containerName} (${endpointId})`;
  if (refusal === undefined) return `${where}: no port is free`;
  const { hostAddress, hostPort, protocol } = refusal.port;
  const host = hostAddress.includes(":") ? `[${hostAddress}]:${hostPort}` : `${hostAddress}:${hostPort}`;
  if (refusal.by === "allocated") {
    if (asked.hostPort === 0 || asked.hostPortEnd !== undefined)
      return `${where}: Bind for ${host} failed: all ports are allocated`;
    return `${where}: Bind for ${host} failed: port is already allocated`;
  }
  return (
    `${where}: failed to bind host port for ${host}:${address}:${asked.containerPort}/${protocol}: ` +
    (refusal.by === "in-use" ? "address already in use" : "cannot assign requested address")
  );
}
