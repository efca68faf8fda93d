/**
 * Peers in one process: the twin of grpc-transport.ts for tests and simulation.
 * Pure. Messages are delivered in the order sent, each in a turn of its own;
 * `setCut` and `detach` break connections.
 */
import { CancelledError, UnavailableError } from "../../base/errors/errors.js";
import type { RaftId, RaftMember, RaftMessage } from "../core/types.js";
import type { KeyValuePair } from "../host/raft-node.js";
import type { RaftTransport, SnapshotTransfer, TransportEvents, TransportIdentity } from "./transport.js";

export interface MemoryNetworkOptions {
  /** Runs a delivery later. @default in a microtask */
  readonly deliver?: (from: RaftId, to: RaftId, delivery: () => void) => void;
  /** Waited for before each portion of a snapshot: a test interferes here. @default nothing */
  readonly beforePortion?: (from: RaftId, to: RaftId) => Promise<void> | void;
}

export class MemoryNetwork {
  readonly #deliver: (from: RaftId, to: RaftId, delivery: () => void) => void;
  beforePortion: (from: RaftId, to: RaftId) => Promise<void> | void;
  readonly #nodes = new Map<RaftId, { transport: MemoryTransport; events: TransportEvents }>();
  readonly #cuts = new Set<string>();
  readonly #silent = new Set<RaftId>();

  constructor(options: MemoryNetworkOptions = {}) {
    this.#deliver = options.deliver ?? ((_from, _to, delivery) => queueMicrotask(delivery));
    this.beforePortion = options.beforePortion ?? (() => undefined);
  }

  createTransport(): RaftTransport {
    return new MemoryTransport(this);
  }

  /** Breaks, or mends, what connects two members. Both notice a break. */
  setCut(a: RaftId, b: RaftId, isCut: boolean): void {
    const wasConnected = this.isConnected(a, b);
    const key = pairKey(a, b);
    if (isCut) this.#cuts.add(key);
    else this.#cuts.delete(key);
    if (wasConnected && isCut) {
      this.#nodes.get(a)?.events.connectionLost(b);
      this.#nodes.get(b)?.events.connectionLost(a);
    }
  }

  /** A process that stands still: connected, but nothing reaches it and it says nothing. */
  setSilent(raftId: RaftId, isSilent: boolean): void {
    if (isSilent) this.#silent.add(raftId);
    else this.#silent.delete(raftId);
  }

  isConnected(a: RaftId, b: RaftId): boolean {
    return this.#nodes.has(a) && this.#nodes.has(b) && !this.#cuts.has(pairKey(a, b));
  }

  attach(identity: TransportIdentity, transport: MemoryTransport, events: TransportEvents): void {
    this.#nodes.set(identity.raftId, { transport, events });
    const { raftId, address } = identity;
    if (address === undefined) return;
    for (const [peer, node] of this.#nodes)
      if (this.isConnected(raftId, peer) && peer !== raftId) node.events.announced?.(raftId, address);
  }

  /** Also what a test calls for a process that dies: its peers notice. */
  detach(raftId: RaftId): void {
    if (!this.#nodes.delete(raftId)) return;
    for (const { events } of this.#nodes.values()) events.connectionLost(raftId);
  }

  carry(message: RaftMessage): boolean {
    const { from, to } = message;
    if (!this.isConnected(from, to)) return false;
    if (this.#silent.has(from) || this.#silent.has(to)) return true;
    this.#deliver(from, to, () => {
      const target = this.#nodes.get(to);
      if (target !== undefined && this.isConnected(from, to) && !target.transport.refuses(from)) {
        target.transport.hears(from);
        target.events.receive([message]);
      }
    });
    return true;
  }

  async carrySnapshot(
    from: RaftId,
    to: RaftId,
    snapshot: SnapshotTransfer,
    signal: AbortSignal,
  ): Promise<void> {
    const target = this.#nodes.get(to);
    const check = (): void => {
      if (signal.aborted) throw new CancelledError("the snapshot transfer was cancelled");
      if (target === undefined || this.#nodes.get(to) !== target || !this.isConnected(from, to))
        throw new UnavailableError(`member ${to} cannot be reached`);
    };
    check();
    const { beforePortion } = this;
    const portions = async function* (after: string | undefined): AsyncGenerator<readonly KeyValuePair[]> {
      for await (const portion of snapshot.portions(after)) {
        await beforePortion(from, to);
        check();
        yield portion;
      }
      check();
    };
    await target?.events.receiveSnapshot(from, { ...snapshot, portions });
  }
}

function pairKey(a: RaftId, b: RaftId): string {
  return `${Math.min(a, b)}-${Math.max(a, b)}`;
}

class MemoryTransport implements RaftTransport {
  readonly #network: MemoryNetwork;
  #self: RaftId = 0;
  #events: TransportEvents | undefined;
  #peers = new Set<RaftId>();
  readonly #heard = new Set<RaftId>();
  #removed = new Set<RaftId>();

  constructor(network: MemoryNetwork) {
    this.#network = network;
  }

  start(identity: TransportIdentity, events: TransportEvents): void {
    this.#self = identity.raftId;
    this.#events = events;
    this.#network.attach(identity, this, events);
  }

  setPeers(members: readonly RaftMember[], removed: readonly RaftId[]): void {
    this.#peers = new Set(members.map((member) => member.raftId));
    this.#removed = new Set(removed);
  }

  /** Who talks to us may be answered, member or not: it may have joined while we were away. */
  hears(from: RaftId): void {
    this.#heard.add(from);
  }

  refuses(from: RaftId): boolean {
    return this.#removed.has(from);
  }

  send(messages: readonly RaftMessage[]): void {
    for (const message of messages) {
      const { to } = message;
      const isKnown = this.#peers.has(to) || (this.#heard.has(to) && !this.#removed.has(to));
      if (isKnown && this.#network.carry(message)) continue;
      queueMicrotask(() => this.#events?.unreachable(message.to));
    }
  }

  async sendSnapshot(
    to: RaftId,
    snapshot: SnapshotTransfer,
    options: { signal: AbortSignal },
  ): Promise<void> {
    await this.#network.carrySnapshot(this.#self, to, snapshot, options.signal);
  }

  isReachable(peer: RaftId): boolean {
    return this.#network.isConnected(this.#self, peer);
  }

  async close(): Promise<void> {
    this.#events = undefined;
    this.#network.detach(this.#self);
  }
}
