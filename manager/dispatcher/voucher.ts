/**
 * A manager's word for its sessions: once a period one message of one size says that all of them are well.
 * Pure over the sink. Invariants: the word counts exactly the sessions whose beginning the leader has
 * confirmed, or was told with this very word; one word is under way at a time; what the leader did not get
 * shows in `unheardSinceMs`.
 */
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { NodeReport } from "../../proto/gen/skein/v1/dispatcher.js";
import type { ReportSink } from "./report-sink.js";
import { SessionDigest } from "./session-digest.js";

/** What it vouches for. */
export interface Vouched {
  readonly id: string;
  readonly nodeId: string;
  /** As the leader is told that the session goes on. */
  presence(): NodeReport;
}

export interface VoucherComponents {
  readonly sink: ReportSink;
  /** Of this life of the dispatcher. */
  readonly epoch: string;
  /** All sessions that have begun and not ended. */
  readonly sessions: () => Iterable<Vouched>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Voucher {
  readonly #components: VoucherComponents;
  readonly #told = new Set<Vouched>();
  readonly #digest = new SessionDigest();
  #isUnderWay = false;
  #isWanted = false;
  #wantsFull = false;
  #unheardSinceMs: number | undefined;

  constructor(components: VoucherComponents) {
    this.#components = components;
  }

  /** Monotonic instant at which the first word since the last confirmed one was begun. */
  get unheardSinceMs(): number | undefined {
    return this.#unheardSinceMs;
  }

  /** The leader knows of the session. */
  told(session: Vouched): void {
    if (this.#told.has(session)) return;
    this.#told.add(session);
    this.#digest.add(session.nodeId, session.id);
  }

  ended(session: Vouched): void {
    if (this.#told.delete(session)) this.#digest.remove(session.nodeId, session.id);
  }

  /** Says the word now, or as soon as the one under way has come back. */
  speak(): void {
    this.#isWanted = true;
    if (this.#isUnderWay) return;
    this.#isUnderWay = true;
    this.#speakOn().finally(() => {
      this.#isUnderWay = false;
    });
  }

  async #speakOn(): Promise<void> {
    while (this.#isWanted || this.#wantsFull) {
      const full = this.#wantsFull;
      this.#isWanted = false;
      this.#wantsFull = false;
      const { clock, log, sink } = this.#components;
      this.#unheardSinceMs ??= clock.monotonicMs();
      try {
        const reply = await this.#say(sink, full);
        this.#unheardSinceMs = undefined;
        this.#wantsFull = reply.full;
      } catch (error) {
        // The next period, or the next leader, hears it. A full one is asked for again.
        log.debug("the leader does not hear this manager", { error: messageOf(error) });
      }
    }
  }

  #say(sink: ReportSink, full: boolean): Promise<{ readonly full: boolean }> {
    const reports: NodeReport[] = [];
    if (full) {
      for (const session of this.#components.sessions()) {
        this.told(session);
        reports.push(session.presence());
      }
    }
    const { count, digest } = this.#digest;
    return sink.vouch({ epoch: this.#components.epoch, sessions: count, digest, full }, reports);
  }
}
