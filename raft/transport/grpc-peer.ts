/**
 * The stream of Raft messages to one peer, kept up for as long as the peer is a member.
 * Edge: to @grpc/grpc-js. Invariant: sending never waits; the queue is bounded,
 * and when it overflows or the stream breaks, all of it is dropped and reported once,
 * because a gap makes what follows useless.
 */
import { type ChannelCredentials, type ChannelOptions, type ClientDuplexStream, status } from "@grpc/grpc-js";
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { Backoff } from "../../base/loop/backoff.js";
import type { Random } from "../../base/random/random.js";
import { RaftClient, type RaftFrame, type RaftFrameAck } from "../../proto/gen/skein/v1/raft.js";
import type { RaftId, RaftMessage } from "../core/types.js";
import { PEER_CHANNEL_OPTIONS, RECONNECT_BACKOFF } from "./grpc-options.js";
import { isRemoval } from "./grpc-refusal.js";
import type { TransportEvents, TransportIdentity } from "./transport.js";

/** The core keeps at most 256 appends and 4 MiB in flight to a peer; heartbeats and answers come on top. */
const QUEUE_MESSAGES_MAX = 2_048;
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;
/**
 * While the stream is not up: enough for an election,
 * and not a heap of stale heartbeats when it comes up at last.
 */
const QUEUE_MESSAGES_CONNECTING_MAX = 64;
/** A host that does not answer is dialled anew, because TCP's own pauses between tries grow fast. */
const CONNECT_TIMEOUT_MS = 3_000;
/** Messages go together in one frame up to this size. */
const FRAME_BYTES_MAX = 1024 * 1024;
const RETIRE_MS = 500;
const MESSAGE_OVERHEAD_BYTES = 64;

export type Dial = (address: string) => { credentials: ChannelCredentials; options: ChannelOptions };

export interface GrpcPeerComponents {
  readonly identity: TransportIdentity;
  readonly events: TransportEvents;
  /** `roster` has changed, or is no more. */
  readonly onRoster: () => void;
  readonly dial: Dial;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export function createRaftClient(address: string, dial: Dial): RaftClient {
  const { credentials, options } = dial(address);
  return new RaftClient(address, credentials, { ...PEER_CHANNEL_OPTIONS, ...options });
}

function messageBytes(message: RaftMessage): number {
  let bytes = MESSAGE_OVERHEAD_BYTES;
  for (const entry of message.entries) bytes += entry.data.length + MESSAGE_OVERHEAD_BYTES;
  return bytes;
}

export class GrpcPeer {
  readonly raftId: RaftId;
  readonly address: string;
  readonly #components: GrpcPeerComponents;
  #client: RaftClient | undefined;
  readonly #backoff: Backoff;
  #call: ClientDuplexStream<RaftFrame, RaftFrameAck> | undefined;
  #up = false;
  #roster: RaftFrameAck | undefined;
  #writable = true;
  #queue: RaftMessage[] = [];
  #queueBytes = 0;
  /** Ends the pause before the next try, or a try that takes too long. */
  #retry: Timer | undefined;
  #closed = false;
  /** A stream with the newest certificate, until the peer has accepted it. */
  #renewal:
    | { readonly client: RaftClient; readonly call: ClientDuplexStream<RaftFrame, RaftFrameAck> }
    | undefined;

  constructor(peer: { raftId: RaftId; address: string }, components: GrpcPeerComponents) {
    this.raftId = peer.raftId;
    this.address = peer.address;
    this.#components = components;
    this.#backoff = new Backoff(components.random, RECONNECT_BACKOFF);
    this.#connect();
  }

  /** The peer has accepted our stream. */
  get isUp(): boolean {
    return this.#up;
  }

  /** What the peer said last about the membership and its company, while its stream is up. */
  get roster(): RaftFrameAck | undefined {
    return this.#up ? this.#roster : undefined;
  }

  send(message: RaftMessage): void {
    this.#queue.push(message);
    this.#queueBytes += messageBytes(message);
    const messagesMax = this.#up ? QUEUE_MESSAGES_MAX : QUEUE_MESSAGES_CONNECTING_MAX;
    if (this.#queue.length > messagesMax || this.#queueBytes > QUEUE_BYTES_MAX) this.#drop();
  }

  /** Writes what is queued, as far as the stream takes it. */
  flush(): void {
    if (this.#call === undefined) this.#drop();
    while (this.#up && this.#writable && this.#call !== undefined && this.#queue.length > 0) {
      this.#writable = this.#call.write({
        messages: this.#takeFrame(),
        from: 0,
        clusterId: "",
        address: "",
      });
    }
  }

  /**
   * The peer is a member no more: what was written may still arrive (it tells it so), then the stream closes.
   */
  retire(): void {
    this.#closed = true;
    this.#abandonRenewal();
    this.#retry?.cancel();
    this.#call?.end();
    this.#components.clock.setTimer(RETIRE_MS, () => this.close());
  }

  close(): void {
    this.#closed = true;
    this.#abandonRenewal();
    this.#retry?.cancel();
    const call = this.#call;
    this.#call = undefined;
    this.#up = false;
    call?.end();
    call?.cancel();
    this.#client?.close();
  }

  /**
   * Goes over to a new connection, which shows the certificate of now, without a moment between: the peer
   * takes the newest stream for ours. What it still had to read of the old one is lost, as messages may be.
   */
  renew(): void {
    if (this.#closed || !this.#up) return; // the next try dials with what is there then
    this.#abandonRenewal();
    const client = createRaftClient(this.address, this.#components.dial);
    const call = client.stream();
    const renewal = { client, call };
    this.#renewal = renewal;
    const giveUp = (): void => {
      if (this.#renewal === renewal) this.#abandonRenewal();
    };
    call.on("error", giveUp);
    call.on("end", giveUp);
    call.once("metadata", () => {
      if (this.#renewal !== renewal || this.#closed) return;
      this.#renewal = undefined;
      call.removeListener("error", giveUp);
      call.removeListener("end", giveUp);
      const [oldCall, oldClient] = [this.#call, this.#client];
      this.#retry?.cancel();
      this.#adopt(client, call);
      this.#becomeUp(call);
      oldCall?.end();
      oldCall?.cancel();
      oldClient?.close();
    });
    const { raftId, clusterId, address } = this.#components.identity;
    call.write({ messages: [], from: raftId, clusterId, address: address ?? "" });
    this.#components.clock.setTimer(CONNECT_TIMEOUT_MS, giveUp);
  }

  #abandonRenewal(): void {
    const renewal = this.#renewal;
    this.#renewal = undefined;
    renewal?.call.cancel();
    renewal?.client.close();
  }

  #takeFrame(): readonly RaftMessage[] {
    let count = 0;
    let bytes = 0;
    for (const message of this.#queue) {
      const more = messageBytes(message);
      if (count > 0 && bytes + more > FRAME_BYTES_MAX) break;
      bytes += more;
      count += 1;
    }
    this.#queueBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  #drop(): void {
    if (this.#queue.length === 0) return;
    this.#queue = [];
    this.#queueBytes = 0;
    this.#components.events.unreachable(this.raftId);
  }

  #connect(): void {
    // Dialled anew each time: certificates are renewed, and the pauses between tries are ours alone.
    const client = createRaftClient(this.address, this.#components.dial);
    const call = client.stream();
    this.#adopt(client, call);
    this.#retry = this.#components.clock.setTimer(CONNECT_TIMEOUT_MS, () => call.cancel());
    call.on("metadata", () => {
      if (this.#call === call) this.#becomeUp(call);
    });
    const { raftId, clusterId, address } = this.#components.identity;
    call.write({ messages: [], from: raftId, clusterId, address: address ?? "" });
  }

  #adopt(client: RaftClient, call: ClientDuplexStream<RaftFrame, RaftFrameAck>): void {
    this.#client = client;
    this.#call = call;
    this.#roster = undefined;
    this.#writable = true;
    call.on("drain", () => {
      if (this.#call !== call) return;
      this.#writable = true;
      this.flush();
    });
    call.on("data", (roster) => {
      if (this.#call !== call) return;
      this.#roster = roster;
      this.#components.onRoster();
    });
    call.on("error", (error) => this.#broken(call, error));
    call.on("end", () => this.#broken(call, undefined));
  }

  #becomeUp(call: ClientDuplexStream<RaftFrame, RaftFrameAck>): void {
    if (this.#call !== call) return;
    this.#retry?.cancel();
    this.#up = true;
    this.#backoff.reset();
    this.#components.log.info("raft stream is up", { peer: this.raftId, address: this.address });
    this.flush();
  }

  #broken(call: ClientDuplexStream<RaftFrame, RaftFrameAck>, error: Error | undefined): void {
    if (this.#call !== call || this.#closed) return;
    const { clock, events, log } = this.#components;
    const wasUp = this.#up;
    this.#call = undefined;
    this.#up = false;
    this.#client?.close();
    this.#retry?.cancel();
    const pauseMs = this.#backoff.nextMs();
    this.#retry = clock.setTimer(pauseMs, () => this.#connect());
    const fields = {
      peer: this.raftId,
      address: this.address,
      error: messageOf(error ?? "ended by the peer"),
    };
    if (wasUp) log.warn("raft stream broke", fields);
    else log.debug("raft stream does not come up", fields);
    this.#drop();
    if (wasUp) events.connectionLost(this.raftId);
    if (error !== undefined && "code" in error && error.code === status.FAILED_PRECONDITION) {
      const removed = "metadata" in error && isRemoval(error.metadata);
      events.refused(this.raftId, messageOf(error), { removed });
    }
    if (wasUp) this.#components.onRoster();
  }
}
