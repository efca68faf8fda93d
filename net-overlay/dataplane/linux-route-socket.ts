/**
 * A routing socket that knows which refusals are no failures.
 * Edge: to the kernel's routing tables by the Linux port.
 */
import { codeOf, messageOf } from "../../base/errors/errors.js";
import type { Linux, NetlinkSocket } from "../../base/linux/linux-ports.js";
import type { KernelRoute, KernelRule, Link, LinkAddress, Neighbour } from "./rtnetlink-messages.js";
import {
  decodeAddress,
  decodeLink,
  decodeNeighbour,
  decodeRoute,
  decodeRule,
  dumpAddresses,
  dumpLinks,
  dumpNeighbours,
  dumpRoutes,
  dumpRules,
  getLinkByName,
} from "./rtnetlink-messages.js";

/** Whether the kernel refused with one of these errno names. */
export function isRefusal(error: unknown, ...names: string[]): boolean {
  return codeOf(error) === "internal" && names.some((name) => messageOf(error).endsWith(` ${name}`));
}

export class RouteSocket {
  readonly #socket: NetlinkSocket;

  constructor(linux: Linux, netnsPath: string | undefined) {
    this.#socket = linux.netlink(netnsPath);
  }

  send(message: Uint8Array): void {
    this.#socket.request(message);
  }

  /** @returns the answers' payloads. */
  request(message: Uint8Array): Uint8Array[] {
    return this.#socket.request(message);
  }

  /** Adds what may be there already. */
  ensure(message: Uint8Array): void {
    try {
      this.#socket.request(message);
    } catch (error) {
      if (!isRefusal(error, "EEXIST")) throw error;
    }
  }

  /** Removes what may be gone already, with its link or by itself. */
  discard(message: Uint8Array): void {
    try {
      this.#socket.request(message);
    } catch (error) {
      if (!isRefusal(error, "ENOENT", "ESRCH", "ENODEV", "EADDRNOTAVAIL", "ENXIO")) throw error;
    }
  }

  findLink(name: string): Link | undefined {
    try {
      const answer = this.#socket.request(getLinkByName(name))[0];
      return answer === undefined ? undefined : decodeLink(answer);
    } catch (error) {
      if (isRefusal(error, "ENODEV")) return undefined;
      throw error;
    }
  }

  listLinks(): Link[] {
    return this.#socket.request(dumpLinks()).map(decodeLink);
  }

  listAddresses(): LinkAddress[] {
    return this.#socket.request(dumpAddresses()).map(decodeAddress);
  }

  listRoutes(): KernelRoute[] {
    return this.#socket.request(dumpRoutes()).map(decodeRoute);
  }

  listNeighbours(kind: "ipv4" | "forwarding"): Neighbour[] {
    return this.#socket.request(dumpNeighbours(kind)).map(decodeNeighbour);
  }

  listRules(): KernelRule[] {
    return this.#socket.request(dumpRules()).map(decodeRule);
  }

  close(): void {
    this.#socket.close();
  }
}
