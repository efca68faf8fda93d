/**
 * Raft peers over gRPC: one long-lived stream per direction and peer, snapshots on connections of their own.
 * Edge: to @grpc/grpc-js. The server that `createRaftHandlers` is registered on,
 * TLS and the role check are the node's.
 */
import { Metadata, type ServerDuplexStream, type StatusObject } from "@grpc/grpc-js";
import type { Clock } from "../../base/clock/clock.js";
import { FailedPreconditionError, UnavailableError } from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { RaftFrame, RaftFrameAck, RaftServer } from "../../proto/gen/skein/v1/raft.js";
import type { RaftId, RaftMember, RaftMessage } from "../core/types.js";
import { AnnouncedAddresses } from "./announced-addresses.js";
import { createRaftClient, type Dial, GrpcPeer } from "./grpc-peer.js";
import { removalStatus, removedError } from "./grpc-refusal.js";
import { receiveSnapshotOver, sendSnapshotOver } from "./grpc-snapshot.js";
import type { RaftTransport, SnapshotTransfer, TransportEvents, TransportIdentity } from "./transport.js";

export interface GrpcTransportOptions {
  /** Credentials and further channel options for a peer's address (TLS name to expect, certificates). */
  readonly dial: Dial;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * Answers the Raft service with a transport's node.
 * Before the node has started every call is refused as unavailable.
 */
export function createRaftHandlers(transport: GrpcTransport): RaftServer {
  return {
    stream: (call) => transport.acceptStream(call),
    installSnapshot: (call) => transport.acceptSnapshot(call),
  };
}

export class GrpcTransport implements RaftTransport {
  readonly #options: GrpcTransportOptions;
  #started: { identity: TransportIdentity; events: TransportEvents } | undefined;
  readonly #peers = new Map<RaftId, GrpcPeer>();
  #members: readonly RaftMember[] = [];
  readonly #announced = new AnnouncedAddresses();
  /**
   * Who talks to us and is no member that we know of: one that joined while we were away, perhaps the leader. It gets
   * our answers at the address that it announced, for as long as its stream is up. Bound: one per incoming stream.
   */
  readonly #strangers = new Map<RaftId, RaftMember>();
  #removed: ReadonlySet<RaftId> = new Set();
  /** The newest stream of each peer that talks to us. */
  readonly #incoming = new Map<RaftId, ServerDuplexStream<RaftFrame, RaftFrameAck>>();

  constructor(options: GrpcTransportOptions) {
    this.#options = options;
  }

  start(identity: TransportIdentity, events: TransportEvents): void {
    this.#started = { identity, events };
  }

  setPeers(members: readonly RaftMember[], removed: readonly RaftId[]): void {
    if (this.#started === undefined) return;
    const { identity, events } = this.#started;
    this.#removed = new Set(removed);
    this.#members = members;
    const wanted = new Map(this.#announced.over(members).map((member) => [member.raftId, member]));
    for (const stranger of this.#strangers.values()) {
      if (wanted.has(stranger.raftId) || this.#removed.has(stranger.raftId))
        this.#strangers.delete(stranger.raftId);
      else wanted.set(stranger.raftId, stranger);
    }
    wanted.delete(identity.raftId);
    for (const [raftId, peer] of this.#peers) {
      const member = wanted.get(raftId);
      if (member?.address === peer.address) continue;
      if (member === undefined) peer.retire();
      else peer.close();
      this.#peers.delete(raftId);
    }
    for (const member of wanted.values()) {
      if (this.#peers.has(member.raftId)) continue;
      this.#peers.set(member.raftId, new GrpcPeer(member, { ...this.#options, identity, events }));
    }
    for (const raftId of this.#removed) this.#incoming.get(raftId)?.emit("error", removalStatus(raftId));
  }

  send(messages: readonly RaftMessage[]): void {
    const touched = new Set<GrpcPeer>();
    for (const message of messages) {
      const peer = this.#peers.get(message.to);
      if (peer === undefined) continue;
      peer.send(message);
      touched.add(peer);
    }
    for (const peer of touched) peer.flush();
  }

  async sendSnapshot(
    to: RaftId,
    snapshot: SnapshotTransfer,
    options: { signal: AbortSignal },
  ): Promise<void> {
    const peer = this.#peers.get(to);
    if (peer === undefined || this.#started === undefined)
      throw new UnavailableError(`member ${to} is not a peer`);
    const client = createRaftClient(peer.address, this.#options.dial);
    try {
      const { signal } = options;
      await sendSnapshotOver(client, this.#started.identity.raftId, snapshot, {
        signal,
        clock: this.#options.clock,
      });
    } finally {
      client.close();
    }
  }

  isReachable(peer: RaftId): boolean {
    return this.#peers.get(peer)?.isUp === true;
  }

  async close(): Promise<void> {
    this.#started = undefined;
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
    for (const call of this.#incoming.values()) {
      call.emit("error", toGrpcStatus(new UnavailableError("this manager is stopping")));
    }
    this.#incoming.clear();
  }

  acceptStream(call: ServerDuplexStream<RaftFrame, RaftFrameAck>): void {
    let from: RaftId = 0;
    call.on("data", (frame: RaftFrame) => {
      if (from !== 0) {
        if (this.#incoming.get(from) === call) this.#receive(from, frame.messages);
        return;
      }
      const refusal = this.#refusal(frame);
      if (refusal !== undefined) {
        call.emit("error", refusal);
        return;
      }
      from = frame.from;
      this.#incoming.set(from, call);
      this.#noteAddress(from, frame.address);
      call.sendMetadata(new Metadata()); // tells the peer that it was accepted
      this.#receive(from, frame.messages);
    });
    const ended = (): void => {
      if (from === 0 || this.#incoming.get(from) !== call) return;
      this.#incoming.delete(from);
      if (this.#strangers.delete(from)) this.setPeers(this.#members, [...this.#removed]);
      this.#started?.events.connectionLost(from);
    };
    call.on("cancelled", ended);
    call.on("error", ended);
    call.on("end", () => {
      ended();
      call.end();
    });
  }

  acceptSnapshot(call: Parameters<RaftServer["installSnapshot"]>[0]): void {
    const started = this.#started;
    if (started === undefined) {
      call.emit("error", toGrpcStatus(notStartedError()));
      return;
    }
    void receiveSnapshotOver(call, started.events, (from) => this.#removedRefusal(from));
  }

  /** A peer that came back with another address is dialled there at once, before the membership says so. */
  #noteAddress(from: RaftId, address: string): void {
    if (address === "" || this.#started === undefined) return;
    const isMember = this.#members.some(({ raftId }) => raftId === from);
    if (!isMember) this.#strangers.set(from, { raftId: from, nodeId: "", address, learner: false });
    if (!isMember || this.#announced.note(this.#members, from, address)) {
      if (isMember) this.#options.log.info("a raft peer has another address", { peer: from, address });
      this.setPeers(this.#members, [...this.#removed]);
    }
    this.#started.events.announced?.(from, address);
  }

  #receive(from: RaftId, messages: readonly RaftMessage[]): void {
    const own = messages.filter((message) => message.from === from);
    if (own.length > 0) this.#started?.events.receive(own);
  }

  #refusal(frame: RaftFrame): Partial<StatusObject> | undefined {
    const started = this.#started;
    if (started === undefined) return toGrpcStatus(notStartedError());
    if (frame.clusterId !== started.identity.clusterId) {
      return toGrpcStatus(
        new FailedPreconditionError("raft stream refused: the peer belongs to another cluster"),
      );
    }
    if (frame.from <= 0 || frame.from === started.identity.raftId) {
      return toGrpcStatus(
        new FailedPreconditionError(`raft stream refused: ${frame.from} is not a peer's id`),
      );
    }
    return this.#removed.has(frame.from) ? removalStatus(frame.from) : undefined;
  }

  #removedRefusal(from: RaftId): FailedPreconditionError | undefined {
    return this.#removed.has(from) ? removedError(from) : undefined;
  }
}

function notStartedError(): UnavailableError {
  return new UnavailableError("raft is not running here yet");
}
