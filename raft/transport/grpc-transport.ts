/**
 * Raft peers over gRPC: one long-lived stream per direction and peer, snapshots on connections of their own.
 * Edge: to @grpc/grpc-js. The server that `createRaftHandlers` is registered on,
 * TLS and the role check are the node's.
 */
import { Metadata, type ServerDuplexStream, type StatusObject } from "@grpc/grpc-js";
import type { Clock } from "../../base/clock/clock.js";
import {
  FailedPreconditionError,
  PermissionDeniedError,
  type SkeinError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import { directPeer } from "../../base/grpc/peer-identity.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { RaftFrame, RaftFrameAck, RaftServer } from "../../proto/gen/skein/v1/raft.js";
import type { RaftId, RaftMember, RaftMessage } from "../core/types.js";
import { AnnouncedAddresses } from "./announced-addresses.js";
import { createRaftClient, type Dial, GrpcPeer } from "./grpc-peer.js";
import { removalStatus, removedError } from "./grpc-refusal.js";
import { receiveSnapshotOver, sendSnapshotOver } from "./grpc-snapshot.js";
import { admit, type Roster } from "./peer-admission.js";
import type { RaftTransport, SnapshotTransfer, TransportEvents, TransportIdentity } from "./transport.js";

/** Longer than any peer in reach takes to be connected again: 1 s of pause at most, 3 s of a try. */
const ALONE_MS = 10_000;
/** Refused peers that are logged. */
const TOLD_MAX = 64;

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
   * Who talks to us and is no member that we know of: one that joined while we were away, perhaps the
   * leader. It gets our answers at the address that it announced, for as long as its stream is up. Bound:
   * one per incoming stream.
   */
  readonly #strangers = new Map<RaftId, RaftMember>();
  #removed: ReadonlySet<RaftId> = new Set();
  /** The newest stream of each peer that talks to us. */
  readonly #incoming = new Map<RaftId, ServerDuplexStream<RaftFrame, RaftFrameAck>>();
  /** Where they say that they are reached. */
  readonly #heard = new Map<RaftId, string>();
  readonly #told = new Set<string>();
  /** When a member was last in reach, or we started. */
  #companyMs = 0;

  constructor(options: GrpcTransportOptions) {
    this.#options = options;
  }

  start(identity: TransportIdentity, events: TransportEvents): void {
    this.#started = { identity, events };
    this.#companyMs = this.#options.clock.monotonicMs();
  }

  setPeers(members: readonly RaftMember[], removed: readonly RaftId[]): void {
    if (this.#started === undefined) return;
    const { identity, events } = this.#started;
    this.#removed = new Set(removed);
    const isChanged = members !== this.#members;
    this.#members = members;
    if (isChanged) this.#tellRoster();
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
      const onRoster = (): void => this.#listenToOthers();
      this.#peers.set(member.raftId, new GrpcPeer(member, { ...this.#options, identity, events, onRoster }));
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

  /** Every peer is connected anew, with the certificate that `dial` gives now; no stream breaks by that. */
  renewConnections(): void {
    for (const peer of this.#peers.values()) peer.renew();
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
    this.#heard.clear();
  }

  acceptStream(call: ServerDuplexStream<RaftFrame, RaftFrameAck>): void {
    let from: RaftId = 0;
    call.on("data", (frame: RaftFrame) => {
      if (from !== 0) {
        if (this.#incoming.get(from) === call) this.#receive(from, frame.messages);
        return;
      }
      const refusal = this.#refusal(frame, directPeer(call)?.nodeId);
      if (refusal !== undefined) {
        call.emit("error", refusal);
        return;
      }
      from = frame.from;
      this.#incoming.set(from, call);
      if (frame.address === "") this.#heard.delete(from);
      else this.#heard.set(from, frame.address);
      call.sendMetadata(new Metadata()); // tells the peer that it was accepted
      this.#tellRoster();
      this.#noteAddress(from, frame.address);
      this.#receive(from, frame.messages);
    });
    const ended = (): void => {
      if (from === 0 || this.#incoming.get(from) !== call) return;
      this.#incoming.delete(from);
      if (this.#started === undefined) return;
      if (this.#heard.delete(from)) this.#tellRoster();
      this.#listenToOthers();
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
    const { nodeId } = directPeer(call) ?? {};
    void receiveSnapshotOver(call, started.events, (from) => this.#admissionRefusal(from, nodeId));
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

  #roster(): RaftFrameAck {
    const heard = [...this.#heard].map(([raftId, address]) => ({ raftId, address }));
    return { received: 0, members: this.#members, removed: [...this.#removed], heard };
  }

  #tellRoster(): void {
    const roster = this.#roster();
    for (const call of this.#incoming.values()) call.write(roster);
  }

  /** Two members that have moved, each while the other was away, find each other through a third. */
  #listenToOthers(): void {
    if (this.#started === undefined) return;
    const said = new Map<RaftId, string>();
    for (const peer of this.#peers.values())
      for (const { raftId, address } of peer.roster?.heard ?? []) said.set(raftId, address);
    const isSettled = (peer: RaftId): boolean => this.#incoming.has(peer) || this.isReachable(peer);
    if (this.#announced.hear(this.#members, said, isSettled))
      this.setPeers(this.#members, [...this.#removed]);
  }

  #refusal(frame: RaftFrame, nodeId: string | undefined): Partial<StatusObject> | undefined {
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
    if (this.#removed.has(frame.from)) return removalStatus(frame.from);
    const refusal = this.#admissionRefusal(frame.from, nodeId);
    if (refusal === undefined) return undefined;
    this.#tellRefusal(frame.from, nodeId, refusal);
    return toGrpcStatus(refusal);
  }

  /** Whoever is refused comes again every second: it is told once. */
  #tellRefusal(peer: RaftId, nodeId: string | undefined, refusal: SkeinError): void {
    const what = `${peer} ${nodeId}`;
    if (this.#told.has(what) || this.#told.size >= TOLD_MAX) return;
    this.#told.add(what);
    this.#options.log.warn("raft stream refused", { peer, nodeId, error: refusal.message });
  }

  #admissionRefusal(from: RaftId, nodeId: string | undefined): SkeinError | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    const rosters: Roster[] = [];
    for (const { raftId } of this.#members) {
      const roster = this.#peers.get(raftId)?.roster;
      if (roster !== undefined) rosters.push(roster);
    }
    if (rosters.length > 0) this.#companyMs = nowMs;
    const own = { members: this.#members, removed: [...this.#removed] };
    const isAlone = nowMs - this.#companyMs >= ALONE_MS;
    switch (admit(from, nodeId, { own, rosters, isAlone })) {
      case "served":
        return undefined;
      case "removed":
        return removedError(from);
      case "impostor":
        return new PermissionDeniedError(`raft refused: node ${nodeId} is not the one of member ${from}`);
      case "unknown":
        return new UnavailableError(`raft refused for now: no member here knows ${from} of node ${nodeId}`);
    }
  }
}

function notStartedError(): UnavailableError {
  return new UnavailableError("raft is not running here yet");
}
