/**
 * When a leader's disk is in trouble and another member's is not, the other shall lead. Pure over its ports.
 * Invariant: at most one attempt in ten seconds, so that leadership does not wander over disks that are all
 * slow.
 *
 *   a sync runs for 0.8 s, and a voter has synced the very entries   told to campaign at once, past the own
 *   log
 *   log or state get no more room                                    orderly transfer (the log still works)
 *   the log has failed                                               told to campaign at once, while stopping
 *
 * Telling a voter to campaign is safe at any time: it wins only with the whole committed log (Raft paper,
 * 5.4.1).
 */
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { MessageKind, makeMessage } from "../core/message.js";
import type { CoreStatus, ProgressView, RaftId } from "../core/types.js";
import type { RaftTransport } from "../transport/transport.js";
import type { DiskHealth } from "./disk-health.js";

const PAUSE_MS = 10_000;

export interface HandOverComponents {
  readonly status: () => CoreStatus;
  readonly transport: RaftTransport;
  readonly health: DiskHealth;
  /** What is wrong beside slow syncs: those count only when somebody else's are quicker. */
  readonly trouble: () => string | undefined;
  readonly transfer: (to: RaftId) => Promise<void>;
  /** No read may be answered by lease once somebody was told to campaign. */
  readonly forfeitLease: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class HandOver {
  readonly #components: HandOverComponents;
  #triedMs = Number.NEGATIVE_INFINITY;

  constructor(components: HandOverComponents) {
    this.#components = components;
  }

  tick(): void {
    const { health, trouble, transfer, clock, log } = this.#components;
    const held = health.heldIndex;
    const why = trouble();
    if ((held === undefined && why === undefined) || clock.monotonicMs() - this.#triedMs < PAUSE_MS) return;
    const status = this.#components.status();
    if (status.role !== "leader") return;
    const to = this.#successor(status, held ?? status.commitIndex);
    if (to === undefined) return;
    this.#triedMs = clock.monotonicMs();
    log.warn("handing leadership over", { to, why: why ?? "the log's sync takes long" });
    if (held !== undefined) this.#call(status, to);
    else
      transfer(to).catch((error: unknown) => {
        log.warn("leadership was not handed over", { to, error: messageOf(error) });
      });
  }

  /** The own log takes nothing any more. @returns whether anybody was asked to lead. */
  logFailed(): boolean {
    const status = this.#components.status();
    const to = status.role === "leader" ? this.#successor(status, status.commitIndex) : undefined;
    if (to !== undefined) this.#call(status, to);
    return to !== undefined;
  }

  #call(status: CoreStatus, to: RaftId): void {
    const message = makeMessage(MessageKind.TIMEOUT_NOW, { from: status.id, to, term: status.term });
    this.#components.forfeitLease();
    this.#components.transport.send([message]);
  }

  /** The voter in reach that has most of the log, `index` at least. */
  #successor(status: CoreStatus, index: number): RaftId | undefined {
    const { transport } = this.#components;
    const fits = ({ raftId, learner, match, recentlyActive }: ProgressView): boolean =>
      raftId !== status.id && !learner && recentlyActive && match >= index && transport.isReachable(raftId);
    return status.progress.filter(fits).sort((a, b) => b.match - a.match || a.raftId - b.raftId)[0]?.raftId;
  }
}
