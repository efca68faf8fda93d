/**
 * The guard in front of every RPC of a manager: role check, then leader forwarding, then a read barrier.
 * Edge: to @grpc/grpc-js. A follower passes the call on with the original caller's identity; while no leader
 * is known it waits, so that a failover looks like a slow call. A call that may have been carried out by a
 * leader that died is not repeated: its caller is told.
 */
import {
  Client,
  Metadata,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import type { Clock } from "../base/clock/clock.js";
import {
  messageOf,
  NotLeaderError,
  PermissionDeniedError,
  type SkeinError,
  UnavailableError,
} from "../base/errors/errors.js";
import { fromGrpcError, toGrpcStatus } from "../base/grpc/grpc-errors.js";
import { leaderWaitOf } from "../base/grpc/leader-wait.js";
import {
  directPeer,
  type IdentifiableCall,
  isForwarded,
  markForwarded,
  type PeerIdentity,
  peerOf,
} from "../base/grpc/peer-identity.js";
import type { Logger } from "../base/log/logger.js";
import { NodeCaService } from "../proto/gen/skein/v1/ca.js";
import { isCertainlyNotDone, isNotLeader, isToldByState, unknownOutcome } from "./call-outcomes.js";
import type { ManagerChannels } from "./manager-channels.js";
import type { Guard } from "./rpc-host.js";

/** What the gate needs to know about consensus. */
export interface LeaderView {
  readonly isLeader: boolean;
  /** host:port; undefined while unknown. */
  readonly leaderAddress: string | undefined;
  /** Calls back when either changes. */
  onChange(listener: () => void): () => void;
  readBarrier(options?: { signal?: AbortSignal }): Promise<unknown>;
}

export interface LeaderGateOptions {
  /** Methods by full path, to forward them as they are. */
  readonly definitions: readonly ServiceDefinition[];
  /** Full paths of what only the leader answers. */
  readonly leaderOnly: ReadonlySet<string>;
  /** Full paths of reads that must see every acknowledged write. */
  readonly linearizable: ReadonlySet<string>;
  /** Full paths of what tells of the whole cluster from this replica: it must know who calls. */
  readonly fromReplica: ReadonlySet<string>;
  readonly authorize: (path: string, peer: PeerIdentity | undefined) => void;
  /**
   * A node that was removed, or is a manager no more,
   * keeps a valid certificate until it expires: the leader looks the caller up.
   */
  readonly isKnown: (peer: PeerIdentity) => boolean;
  readonly leader: LeaderView;
  readonly channels: Pick<ManagerChannels, "credentials" | "to">;
  /** This manager: on whose behalf calls from the daemon beside it are passed on. */
  readonly self: PeerIdentity;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The CA looks its caller up itself: a removed node gets nothing, and a demoted manager only the certificate
 * of a worker. It must get that with the old one, when its process died after the CA had noted the new role
 * and before the new certificate was on its disk.
 */
const RENEWALS: ReadonlySet<string> = new Set([NodeCaService.issue.path]);
/** How long a call waits for a leader before it gives up; longer than two election timeouts. */
const LEADER_WAIT_MS = 8_000;
/** Between two tries of a call that found no leader where one should be. */
const RETRY_MS = 20;
/** Calls waiting for a leader; more are refused at once. */
const WAITING_MAX = 4_096;

type UnaryCall = ServerUnaryCall<unknown, unknown> & IdentifiableCall;

/**
 * A leader that has lost its quorum cannot confirm anything, and steps down: the call then looks for the next
 * one, or is told that there is none, instead of waiting for as long as its caller does.
 * @returns false when the leadership was lost meanwhile.
 */
async function barrierWhileLeading(leader: LeaderView): Promise<boolean> {
  const lost = new AbortController();
  const unsubscribe = leader.onChange(() => {
    if (!leader.isLeader) lost.abort();
  });
  try {
    await leader.readBarrier({ signal: lost.signal });
    return true;
  } catch (error) {
    if (lost.signal.aborted) return false;
    throw error;
  } finally {
    unsubscribe();
  }
}

export function createLeaderGate(options: LeaderGateOptions): Guard {
  const { leader, channels, clock, log } = options;
  const methods = new Map(
    options.definitions.flatMap((definition) => Object.values(definition).map((m) => [m.path, m] as const)),
  );
  let waitingCount = 0;

  /** Resolves when a leader other than `except` is known, or when this node leads. */
  async function waitForLeader(deadlineMs: number, except: string | undefined): Promise<void> {
    const usable = (): boolean =>
      leader.isLeader || (leader.leaderAddress !== undefined && leader.leaderAddress !== except);
    if (usable()) return;
    if (waitingCount >= WAITING_MAX)
      throw new UnavailableError("the cluster has no leader, and too many calls wait for one");
    waitingCount += 1;
    try {
      await new Promise<void>((resolve, reject) => {
        const finish = (settle: () => void): void => {
          timer.cancel();
          unsubscribe();
          settle();
        };
        const unsubscribe = leader.onChange(() => {
          if (usable()) finish(resolve);
        });
        const timer = clock.setTimer(Math.max(0, deadlineMs - clock.monotonicMs()), () =>
          finish(() =>
            reject(
              new UnavailableError(
                "the swarm has no leader: it is possible that too few managers are online to keep a quorum",
              ),
            ),
          ),
        );
      });
    } finally {
      waitingCount -= 1;
    }
  }

  function forward(
    path: string,
    call: UnaryCall,
    caller: PeerIdentity | undefined,
    address: string,
  ): Promise<{ value: unknown }> {
    const method = methods.get(path);
    if (method === undefined) throw new UnavailableError(`${path} cannot be forwarded`);
    const metadata = new Metadata();
    markForwarded(metadata, caller);
    const client = new Client(address, channels.credentials(), { channelOverride: channels.to(address) });
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        method.requestSerialize,
        method.responseDeserialize,
        call.request,
        metadata,
        { deadline: call.getDeadline() },
        (error: ServiceError | null, value: unknown) =>
          error ? reject(fromGrpcError(error)) : resolve({ value }),
      );
    });
  }

  function leadsNot(): NotLeaderError {
    return new NotLeaderError("this manager does not lead", { leaderAddress: leader.leaderAddress });
  }

  /** @throws {PermissionDeniedError} */
  function assertKnownHere(peer: PeerIdentity | undefined): void {
    if (peer === undefined || options.isKnown(peer)) return;
    const certificate = `the certificate of node ${peer.nodeId} is void`;
    throw new PermissionDeniedError(
      `${certificate}: it was removed from this swarm, or is a manager no more`,
    );
  }

  /**
   * As above, but a new leader may not have applied yet what made the node known.
   * @returns false when the leadership was lost meanwhile.
   */
  async function assertKnown(peer: PeerIdentity | undefined): Promise<boolean> {
    if (peer !== undefined && !options.isKnown(peer) && !(await barrierWhileLeading(leader))) return false;
    assertKnownHere(peer);
    return true;
  }

  /**
   * For what is answered here: that is never forwarded, so the word of who says it forwards does not count.
   * @throws {UnauthenticatedError} {PermissionDeniedError}
   */
  function assertAnsweredHere(path: string, call: IdentifiableCall): void {
    const peer = directPeer(call);
    options.authorize(path, peer);
    if (options.fromReplica.has(path)) assertKnownHere(peer);
  }

  /**
   * Runs a call here. When it is refused by what this replica knows, that may be old: a leader that was just
   * elected may not have applied all that was acknowledged, one that was deposed has not heard of it yet. So
   * a refusal is treated as a read: it counts when it is given again behind a barrier.
   */
  async function refusedTwice(
    path: string,
    call: UnaryCall,
    local: (call: UnaryCall) => Promise<{ value: unknown }>,
  ): Promise<{ value: unknown }> {
    try {
      return await local(call);
    } catch (error) {
      if (options.linearizable.has(path) || !isToldByState(path, error)) throw error;
    }
    if (!(await barrierWhileLeading(leader))) throw leadsNot();
    return local(call);
  }

  async function viaLeader(
    path: string,
    call: UnaryCall,
    caller: PeerIdentity | undefined,
    local: (call: UnaryCall) => Promise<{ value: unknown }>,
  ): Promise<{ value: unknown }> {
    const deadlineMs = clock.monotonicMs() + leaderWaitOf(call.metadata, LEADER_WAIT_MS);
    let failedAt: string | undefined;
    for (;;) {
      if (leader.isLeader) {
        // the word of who forwards counts for whom it calls
        if (isForwarded(call) && !(await assertKnown(directPeer(call)))) continue;
        if (!RENEWALS.has(path) && !(await assertKnown(peerOf(call)))) continue;
        if (options.linearizable.has(path) && !(await barrierWhileLeading(leader))) continue;
        try {
          return await refusedTwice(path, call, local);
        } catch (error) {
          // Leadership is on its way to another: whoever forwarded the call asks there, and so do we.
          if (isForwarded(call) || clock.monotonicMs() >= deadlineMs || !isNotLeader(error)) throw error;
          await clock.sleep(RETRY_MS);
          continue;
        }
      }
      if (isForwarded(call)) throw leadsNot();
      await waitForLeader(deadlineMs, failedAt);
      const address = leader.leaderAddress;
      if (leader.isLeader || address === undefined) continue;
      try {
        return await forward(path, call, caller, address);
      } catch (error) {
        const failure = error as SkeinError; // forward() rejects with fromGrpcError's result only
        const repeatable =
          isCertainlyNotDone(failure) || (failure.code === "unavailable" && options.linearizable.has(path));
        if (!repeatable) throw failure.code === "unavailable" ? unknownOutcome(address, failure) : failure;
        if (clock.monotonicMs() >= deadlineMs) throw failure;
        log.debug("forwarding again", { path, leader: address, error: failure.message });
        failedAt = failure.code === "not-leader" ? undefined : address;
        await clock.sleep(RETRY_MS);
        if (leader.leaderAddress === failedAt && clock.monotonicMs() + 500 > deadlineMs) throw failure;
      }
    }
  }

  return (path, handler, { local, streaming }) => {
    if (streaming) {
      const guarded = (
        call: IdentifiableCall & { emit(event: string, error: unknown): boolean },
        ...rest: unknown[]
      ): void => {
        try {
          if (!local) assertAnsweredHere(path, call);
        } catch (error) {
          refuseStream(call, error, rest);
          return;
        }
        (handler as (call: unknown, ...rest: unknown[]) => void)(call, ...rest);
      };
      // grpc-js types handlers by shape; the call passes through untouched
      return guarded as unknown as UntypedHandleCall;
    }
    const runLocal = (call: UnaryCall): Promise<{ value: unknown }> =>
      new Promise((resolve, reject) => {
        const callback: sendUnaryData<unknown> = (error, value) =>
          error ? reject(error) : resolve({ value });
        (handler as (call: UnaryCall, callback: sendUnaryData<unknown>) => void)(call, callback);
      });
    const guarded = (call: UnaryCall, callback: sendUnaryData<unknown>): void => {
      const run = async (): Promise<{ value: unknown }> => {
        if (!options.leaderOnly.has(path)) {
          if (!local) assertAnsweredHere(path, call);
          return runLocal(call);
        }
        const caller = local ? options.self : peerOf(call);
        if (!local) options.authorize(path, caller);
        return viaLeader(path, call, caller, runLocal);
      };
      run().then(
        ({ value }) => callback(null, value),
        (error: unknown) => {
          // A handler's own answer passes unchanged; anything else is translated here.
          if (
            typeof error === "object" &&
            error !== null &&
            "code" in error &&
            typeof error.code === "number"
          ) {
            callback(error as ServiceError);
            return;
          }
          const status = toGrpcStatus(error);
          if (status.code === 13) log.error("rpc failed", { path, error: messageOf(error) });
          callback(status);
        },
      );
    };
    return guarded as unknown as UntypedHandleCall; // see above
  };
}

/**
 * Ends a streaming call before its handler saw it: client-streaming calls have a callback,
 * the others an error event.
 */
function refuseStream(
  call: { emit(event: string, error: unknown): boolean },
  error: unknown,
  rest: readonly unknown[],
): void {
  const status = toGrpcStatus(error);
  const callback = rest[0];
  if (typeof callback === "function") callback(status);
  else call.emit("error", status);
}
