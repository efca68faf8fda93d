/**
 * The relays as the mesh's plan needs them: where they listen before, where they lead to after it was
 * applied.
 * Pure (the world comes as ports). Invariant: nothing is loaded while no port needs one.
 * Source: docs/design/network-proxy.md.
 */
import type { MeshBackend, MeshPlan } from "../endpoints/mesh-plan.js";
import type { NetworkState } from "../endpoints/network-state.js";
import type { NodeNetworkIdentity } from "../network-plane.js";
import { type PortRelays, relayedPorts } from "./port-relays.js";

export class MeshRelays {
  readonly #open: (() => Promise<PortRelays>) | undefined;
  #relays: PortRelays | undefined;
  #places: ReadonlyMap<string, MeshBackend> = new Map();

  /** @param open undefined: ports that need a relay stay closed. */
  constructor(open: (() => Promise<PortRelays>) | undefined) {
    this.#open = open;
  }

  /** Listeners by port ("80/tcp"). */
  get places(): ReadonlyMap<string, MeshBackend> {
    return this.#places;
  }

  /** @returns whether `places` has changed. */
  async listen(state: Pick<NetworkState, "services">, identity: NodeNetworkIdentity): Promise<boolean> {
    const ports = relayedPorts(state);
    if (this.#relays === undefined && (ports.length === 0 || this.#open === undefined)) return false;
    this.#relays ??= await this.#open?.();
    const before = this.#places;
    this.#places = this.#relays?.listen(identity, ports) ?? before;
    return !isSame(before, this.#places);
  }

  /** The plan is in the kernel. */
  aim({ ports }: MeshPlan): void {
    this.#relays?.aim(ports);
  }

  close(): void {
    this.#relays?.close();
    this.#relays = undefined;
    this.#places = new Map();
  }
}

function isSame(a: ReadonlyMap<string, MeshBackend>, b: ReadonlyMap<string, MeshBackend>): boolean {
  if (a.size !== b.size) return false;
  return [...a].every(([port, { address, port: at }]) => {
    const other = b.get(port);
    return other?.address === address && other.port === at;
  });
}
