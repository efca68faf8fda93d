/**
 * A routing socket that knows which refusals are no failures.
 * Edge: to the kernel's routing tables by the Linux port.
 */
import { codeOf, messageOf } from "../../base/errors/errors.js";
import type { Linux, NetlinkSocket } from "../../base/linux/linux-ports.js";
import type {
  DumpFamily,
  KernelRoute,
  KernelRule,
  Link,
  LinkAddress,
  Neighbour,
} from "./rtnetlink-messages.js";
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

const GONE = ["ENOENT", "ESRCH", "ENODEV", "EADDRNOTAVAIL", "ENXIO"];
/** Even if all were refused, the refusals fit into the socket's buffer. */
const MESSAGES_AT_ONCE_MAX = 128;

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
      if (!isRefusal(error, ...GONE)) throw error;
    }
  }

  /** Many changes at once. @param options.discards which of them may be refused because it is gone already. */
  sendAll(messages: readonly Uint8Array[], options: { discards: boolean } = { discards: false }): void {
    for (let from = 0; from < messages.length; from += MESSAGES_AT_ONCE_MAX) {
      const burst = messages.slice(from, from + MESSAGES_AT_ONCE_MAX);
      for (const { error } of this.#socket.requestAll(burst))
        if (!options.discards || !isRefusal(error, ...GONE)) throw error;
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

  listAddresses(family: DumpFamily = 4): LinkAddress[] {
    return this.#socket.request(dumpAddresses(family)).map(decodeAddress);
  }

  listRoutes(family: DumpFamily = 4): KernelRoute[] {
    return this.#socket.request(dumpRoutes(family)).map(decodeRoute);
  }

  listNeighbours(kind: "ipv4" | "ipv6" | "forwarding"): Neighbour[] {
    return this.#socket.request(dumpNeighbours(kind)).map(decodeNeighbour);
  }

  listRules(family: 4 | 6 = 4): KernelRule[] {
    return this.#socket.request(dumpRules(family)).map(decodeRule);
  }

  close(): void {
    this.#socket.close();
  }
}
