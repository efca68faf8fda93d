/**
 * Peers over the simulated network: the twin of grpc-transport.ts in simulated time. Pure. Messages,
 * announcements of addresses and portions of snapshots are all delayed, lost and cut off; what arrives while
 * the process stands still waits.
 */
import { CancelledError, UnavailableError } from "../../base/errors/errors.js";
import type { RaftId, RaftMember, RaftMessage } from "../../raft/core/types.js";
import type { KeyValuePair } from "../../raft/host/raft-node.js";
import type {
  RaftTransport,
  SnapshotTransfer,
  TransportEvents,
  TransportIdentity,
} from "../../raft/transport/transport.js";
import type { EventQueue } from "./event-queue.js";
import type { HostLife } from "./host-life.js";
import { PortionQueue } from "./portion-queue.js";
import type { Envelope, Receiver, SimNetwork } from "./sim-network.js";

/** Who listens now, by id. */
export type Directory = Map<RaftId, HostTransport>;

const RECONNECT_MS = 300;
/** Part of the lost messages that the sender hears of. */
const NOTICED = 0.1;

export interface HostTransportWorld {
  readonly queue: EventQueue;
  readonly network: SimNetwork;
  readonly directory: Directory;
  /** Planted: who is not known is not answered. */
  readonly isDeafToStrangers: boolean;
  /** Drawn for each lost message. */
  readonly chance: () => number;
}

export class HostTransport implements RaftTransport, Receiver {
  readonly #world: HostTransportWorld;
  readonly #life: HostLife;
  #self: RaftId = 0;
  #address: string | undefined;
  #events: TransportEvents | undefined;
  #peers = new Set<RaftId>();
  #removed = new Set<RaftId>();
  /** No members that we know of, but they talk to us: they joined while we were away. */
  readonly #strangers = new Set<RaftId>();

  constructor(world: HostTransportWorld, life: HostLife) {
    this.#world = world;
    this.#life = life;
  }

  start({ raftId, address }: TransportIdentity, events: TransportEvents): void {
    this.#self = raftId;
    this.#address = address;
    this.#events = events;
    this.#world.directory.set(raftId, this);
    this.#world.network.attach(raftId, this);
  }

  setPeers(members: readonly RaftMember[], removed: readonly RaftId[]): void {
    const before = this.#peers;
    this.#peers = new Set(members.map(({ raftId }) => raftId).filter((id) => id !== this.#self));
    this.#removed = new Set(removed);
    for (const peer of this.#peers) if (!before.has(peer)) this.#announceTo(peer);
  }

  send(messages: readonly RaftMessage[]): void {
    if (this.#life.isDead || this.#events === undefined) return;
    for (const message of messages) {
      if (!this.#knows(message.to)) {
        queueMicrotask(() => this.#events?.unreachable(message.to));
        continue;
      }
      this.#world.network.send({ message }, (isDelivered) => {
        if (isDelivered || this.#world.chance() >= NOTICED) return;
        this.#life.through(() => this.#events?.unreachable(message.to));
      });
    }
  }

  receive({ message }: Envelope): void {
    if (this.#removed.has(message.from)) {
      this.#world.directory.get(message.from)?.refusedBy(this.#self);
      return;
    }
    if (!this.#peers.has(message.from)) this.#strangers.add(message.from);
    this.#life.through(() => this.#events?.receive([message]));
  }

  async sendSnapshot(
    to: RaftId,
    snapshot: SnapshotTransfer,
    { signal }: { signal: AbortSignal },
  ): Promise<void> {
    const target = this.#world.directory.get(to);
    if (target === undefined || !this.isReachable(to))
      throw new UnavailableError(`member ${to} cannot be reached`);
    const stream = new PortionQueue();
    const onAbort = (): void => stream.fail(new CancelledError("the snapshot is not wanted any more"));
    signal.addEventListener("abort", onAbort, { once: true });
    let received: Promise<void> = Promise.resolve();
    try {
      // The receiver says what it holds already, when it has any use for the rest.
      const wanted = new Promise<string | undefined>((resolve) => {
        const portions = (after: string | undefined): PortionQueue => {
          this.#answer(() => resolve(after));
          return stream;
        };
        received = target.#takeSnapshot(this.#self, { ...snapshot, portions }, this);
      });
      // It is awaited below; until then its failure ends the stream.
      received.catch((error: unknown) => stream.fail(error));
      const after = await Promise.race([wanted, received]);
      for await (const portion of snapshot.portions(after ?? undefined)) {
        await this.#carry(to, target, stream, portion);
      }
      await this.#carry(to, target, stream, undefined);
      await received;
    } catch (error) {
      stream.fail(error);
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  isReachable(peer: RaftId): boolean {
    const { network, directory } = this.#world;
    if (network.isCut(this.#self, peer) || network.isCut(peer, this.#self)) return false;
    return directory.get(peer)?.isListening === true;
  }

  #knows(peer: RaftId): boolean {
    if (this.#world.isDeafToStrangers) return this.#peers.has(peer);
    return this.#peers.has(peer) || (this.#strangers.has(peer) && !this.#removed.has(peer));
  }

  get isListening(): boolean {
    return !this.#life.isDead && this.#events !== undefined;
  }

  connectionLost(peer: RaftId): void {
    this.#life.through(() => this.#events?.connectionLost(peer));
  }

  refusedBy(peer: RaftId): void {
    this.#life.through(() => this.#events?.refused(peer, "this member was removed", { removed: true }));
  }

  async close(): Promise<void> {
    this.#events = undefined;
  }

  /** One portion on its way; the end of all when there is none. */
  #carry(
    to: RaftId,
    target: HostTransport,
    stream: PortionQueue,
    portion: readonly KeyValuePair[] | undefined,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const { queue, network } = this.#world;
      queue.after(network.drawDelayMs(), () => {
        const isBroken = network.isCut(this.#self, to) || !target.isListening;
        if (isBroken) stream.fail(new UnavailableError("the stream of the snapshot broke"));
        else if (portion === undefined) stream.end();
        else stream.put(portion);
        this.#life.through(() => {
          if (isBroken) reject(new UnavailableError(`member ${to} cannot be reached`));
          else resolve();
        });
      });
    });
  }

  /** On the receiver's side. Resolves, on the sender's, when it is in use. */
  #takeSnapshot(from: RaftId, snapshot: SnapshotTransfer, sender: HostTransport): Promise<void> {
    return new Promise((resolve, reject) => {
      const { queue } = this.#world;
      // A receiver that dies never answers: the sender's stream breaks some time later.
      const giveUp = (): void => {
        if (!this.isListening || !sender.isReachable(this.#self))
          sender.#life.through(() => reject(new UnavailableError("the stream of the snapshot broke")));
        else queue.after(RECONNECT_MS, giveUp);
      };
      queue.after(RECONNECT_MS, giveUp);
      const answer = (run: () => void): void => sender.#answer(run);
      this.#life.through(() => {
        if (this.#events === undefined) return;
        this.#events.receiveSnapshot(from, snapshot).then(
          () => answer(resolve),
          (error: unknown) => answer(() => reject(error)),
        );
      });
    });
  }

  /** News from the other end of a stream. */
  #answer(run: () => void): void {
    const { queue, network } = this.#world;
    queue.after(network.drawDelayMs(), () => this.#life.through(run));
  }

  /** At the start of each stream; a stream that cannot be made is tried again. */
  #announceTo(peer: RaftId): void {
    const { queue, network, directory } = this.#world;
    const address = this.#address;
    if (address === undefined) return;
    const tryOnce = (): void => {
      if (!this.isListening || !this.#peers.has(peer)) return;
      const target = directory.get(peer);
      if (target === undefined || !this.isReachable(peer)) queue.after(RECONNECT_MS, tryOnce);
      else target.#life.through(() => target.#events?.announced?.(this.#self, address));
    };
    queue.after(network.drawDelayMs(), tryOnce);
  }
}
