/**
 * Snapshots of this member in both directions: snapshot-sends.ts and snapshot-intake.ts under one roof.
 * Pure over its ports.
 */
import type { Clock } from "../../base/clock/clock.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { Membership, RaftId, RaftMessage, SnapshotMeta } from "../core/types.js";
import type { StateStore } from "../storage/state-store.js";
import type { RaftTransport, SnapshotTransfer } from "../transport/transport.js";
import { SnapshotIntake, type StagedSnapshot } from "./snapshot-intake.js";
import { SnapshotSends } from "./snapshot-sends.js";

export interface SnapshotExchangeComponents {
  readonly raftId: RaftId;
  readonly state: StateStore;
  readonly transport: RaftTransport;
  readonly clock: Clock;
  readonly random: Random;
  /** Of the log. */
  readonly firstIndex: () => number;
  /** Tells the core how sending went. */
  readonly sent: (to: RaftId, ok: boolean) => void;
  /** Gives the core the announcement and drives it. */
  readonly step: (message: RaftMessage) => void;
  readonly log: Logger;
}

export class SnapshotExchange {
  readonly #sends: SnapshotSends;
  readonly #intake: SnapshotIntake;

  constructor(components: SnapshotExchangeComponents) {
    this.#sends = new SnapshotSends(components);
    this.#intake = new SnapshotIntake(components);
  }

  /**
   * The log must keep the entries from here on, for those who are receiving a snapshot; undefined: nobody is.
   */
  get keepFrom(): number | undefined {
    return this.#sends.keepFrom;
  }

  /** Snapshots on their way to peers. */
  get sending(): number {
    return this.#sends.count;
  }

  get trouble(): string | undefined {
    return this.#intake.trouble;
  }

  /** Carries out the core's announcement. */
  send(announcement: RaftMessage): void {
    this.#sends.send(announcement);
  }

  /** @see SnapshotIntake.receive */
  receive(from: RaftId, transfer: SnapshotTransfer): Promise<void> {
    return this.#intake.receive(from, transfer);
  }

  /** The staged snapshot that a Ready asks to install. */
  take(meta: SnapshotMeta): StagedSnapshot | undefined {
    return this.#intake.take(meta);
  }

  /** A Ready came without the staged snapshot: the core has no use for it. */
  dismiss(): void {
    this.#intake.dismiss();
  }

  /** Who was removed gets nothing more. */
  membershipChanged({ members }: Membership): void {
    this.#sends.keepOnly(new Set(members.map(({ raftId }) => raftId)));
  }

  /** Another member sends them now. */
  leadershipLost(): void {
    this.#sends.stop();
  }

  async close(): Promise<void> {
    await Promise.all([this.#sends.close(), this.#intake.close()]);
  }
}
