/**
 * How Raft peers reach each other. Pure (interface only). Two implementations,
 * one contract suite: grpc-transport.ts, memory-transport.ts.
 * Guarantee: messages to one peer arrive in order or not at all; none waits for ever, none blocks the sender.
 */
import type { RaftId, RaftMember, RaftMessage, SnapshotMeta } from "../core/types.js";
import type { KeyValuePair } from "../host/raft-node.js";

export interface TransportIdentity {
  readonly raftId: RaftId;
  readonly clusterId: string;
  /** host:port at which this member is reached, told to every peer; undefined: what the membership says. */
  readonly address?: string | undefined;
}

/** A snapshot under way: the state at `meta`, in portions that each fit one chunk. */
export interface SnapshotTransfer {
  readonly meta: SnapshotMeta;
  /** Term of the leader that sends it. */
  readonly term: number;
  /** Names the frozen view: whoever holds a part of it may go on receiving the same one. */
  readonly id: number;
  /** What comes after the key, in order of the keys; undefined: all of it. To be called once. */
  portions(after: string | undefined): AsyncIterable<readonly KeyValuePair[]>;
}

/** What the transport tells its host. Called in the transport's turn: must not throw. */
export interface TransportEvents {
  receive(messages: readonly RaftMessage[]): void;
  /** A stream to or from a peer that was up has broken. */
  connectionLost(peer: RaftId): void;
  /** Messages to the peer were dropped. */
  unreachable(peer: RaftId): void;
  /** Resolves when the snapshot is in use; its rejection is told to the sender. */
  receiveSnapshot(from: RaftId, snapshot: SnapshotTransfer): Promise<void>;
  /**
   * A peer will not talk to us. `removed`: it holds the committed change that did it; else we are strangers.
   */
  refused(peer: RaftId, reason: string, why: { readonly removed: boolean }): void;
  /** Where a peer says it is reached, at the start of each of its streams. */
  announced?(peer: RaftId, address: string): void;
}

export interface RaftTransport {
  start(identity: TransportIdentity, events: TransportEvents): void;
  /** Whom to keep streams to (own id is ignored), and whose streams to refuse. Cheap to repeat. */
  setPeers(members: readonly RaftMember[], removed: readonly RaftId[]): void;
  /**
   * Sends what can be sent; messages to unreachable peers are dropped and reported. Who is no peer, but talks
   * to us and was not removed, gets them, too: it joined while we were away, and may be the leader.
   */
  send(messages: readonly RaftMessage[]): void;
  /**
   * Resolves when the peer uses the snapshot.
   * @throws {SkeinError} as the peer said; {UnavailableError}; {CancelledError}
   */
  sendSnapshot(to: RaftId, snapshot: SnapshotTransfer, options: { signal: AbortSignal }): Promise<void>;
  /** Our stream to the peer is up. */
  isReachable(peer: RaftId): boolean;
  close(): Promise<void>;
}

/**
 * Bytes of keys and values in one portion, unless one value is larger: making a chunk of it, or taking one
 * apart, holds the event loop for two milliseconds.
 */
export const PORTION_BYTES_MAX = 128 * 1024;
