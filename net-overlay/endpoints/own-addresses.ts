/**
 * The addresses by which other nodes and clients know this node: those of the interface with the data path.
 * Pure. Invariants: sorted; listeners hear of changes only; at most `NODE_ADDRESSES_MAX`.
 */
import { isIpv6 } from "../ipam/host-addresses.js";

/** More are left out, the last of the sorted ones. */
export const NODE_ADDRESSES_MAX = 16;

export class OwnAddresses {
  readonly #listeners = new Set<() => void>();
  #list: readonly string[] = [];

  get list(): readonly string[] {
    return this.#list;
  }

  /** @returns whether they changed. */
  learn(addresses: Iterable<string>): boolean {
    const list = [...new Set(addresses)].sort().slice(0, NODE_ADDRESSES_MAX);
    if (list.join() === this.#list.join()) return false;
    this.#list = list;
    for (const listener of [...this.#listeners]) listener();
    return true;
  }

  /** @returns what stops it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}

/** Tasks of a node with an IPv6 address of its own have one on the transit network, too. */
export function hasIpv6(nodeAddresses: readonly string[]): boolean {
  return nodeAddresses.some(isIpv6);
}

/** Addresses that mean something beyond their link and their host. */
export function isGlobal(address: string): boolean {
  return !/^(127\.|169\.254\.|fe[89ab][0-9a-f]:)/i.test(address) && address !== "::1";
}
