/**
 * Takes snapshots in. Pure over its ports.
 * Invariant: a received snapshot is written beside the state in use, and becomes it only when the core has
 * accepted it; whatever does not come to that leaves no trace, in the end.
 * One comes in at a time: that of the newest term, and of its newest stream. What a broken stream has brought
 * is kept for a minute, for the same frozen view to go on; after a restart nothing of it is left.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { CancelledError, messageOf, UnavailableError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { MessageKind, makeMessage } from "../core/message.js";
import type { RaftId, RaftMessage, SnapshotMeta } from "../core/types.js";
import type { StateInstall, StateStore } from "../storage/state-store.js";
import type { SnapshotTransfer } from "../transport/transport.js";
import type { KeyValuePair } from "./raft-node.js";
import { RESUME_MS } from "./snapshot-sends.js";

export interface SnapshotIntakeComponents {
  readonly raftId: RaftId;
  readonly state: StateStore;
  readonly clock: Clock;
  /** Gives the core the announcement and drives it. */
  readonly step: (message: RaftMessage) => void;
  readonly log: Logger;
}

/** All of it is here, and the core was told. */
export interface StagedSnapshot {
  readonly meta: SnapshotMeta;
  readonly install: StateInstall;
  readonly done: (error: Error | undefined) => void;
}

/** What has come of one frozen view. */
interface Staging {
  readonly from: RaftId;
  readonly id: number;
  readonly install: StateInstall;
  /** The last key that was written. */
  after: string | undefined;
  /** Set while no stream brings more. */
  expiry: Timer | undefined;
}

/** The stream that is being read. */
interface Incoming {
  readonly term: number;
  readonly supersede: (error: Error) => void;
  readonly superseded: Promise<never>;
  readonly ended: Promise<void>;
}

export class SnapshotIntake {
  readonly #components: SnapshotIntakeComponents;
  #incoming: Incoming | undefined;
  #staging: Staging | undefined;
  #staged: StagedSnapshot | undefined;
  #trouble: { readonly why: string; readonly sinceMs: number } | undefined;
  #closed = false;

  constructor(components: SnapshotIntakeComponents) {
    this.#components = components;
  }

  /**
   * Why the last snapshot could not be stored. Whoever is still in need of one is sent it again within ten
   * seconds: of an older failure nobody needs to hear.
   */
  get trouble(): string | undefined {
    if (this.#trouble === undefined) return undefined;
    const ageMs = this.#components.clock.monotonicMs() - this.#trouble.sinceMs;
    return ageMs < RESUME_MS ? this.#trouble.why : undefined;
  }

  /**
   * Receives a snapshot and resolves when it is in use, or superfluous.
   * @throws {UnavailableError} another is coming in, or is being installed; {CancelledError} a newer one
   * came.
   */
  async receive(from: RaftId, transfer: SnapshotTransfer): Promise<void> {
    await this.#makeWay(transfer.term);
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    let supersede: (error: Error) => void = () => undefined;
    const superseded = new Promise<never>((_resolve, reject) => {
      supersede = reject;
    });
    superseded.catch(() => undefined); // whoever reads the stream hears of it, or nobody reads any more
    this.#incoming = { term: transfer.term, supersede, superseded, ended };
    try {
      const staging = await this.#stagingFor(from, transfer);
      await this.#read(transfer, staging, superseded);
      await this.#offer(from, transfer, staging.install);
      await this.#discard();
    } finally {
      this.#incoming = undefined;
      try {
        if (this.#closed) await this.#discard();
        else this.#keepForAWhile();
      } finally {
        end(); // whoever closes waits for it
      }
    }
  }

  /** The staged snapshot that a Ready asks to install. */
  take(meta: SnapshotMeta): StagedSnapshot | undefined {
    const staged = this.#staged;
    if (staged?.meta.index !== meta.index || staged.meta.term !== meta.term) return undefined;
    this.#staged = undefined;
    return staged;
  }

  /** A Ready came without the staged snapshot: the core has no use for it. */
  dismiss(): void {
    this.#staged?.done(undefined);
    this.#staged = undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const stopping = new UnavailableError("this manager is stopping");
    this.#staged?.done(stopping);
    this.#staged = undefined;
    this.#incoming?.supersede(stopping);
    await this.#incoming?.ended;
    await this.#discard();
  }

  /** A leader's newer stream ends its older one, and that of an earlier term's leader. */
  async #makeWay(term: number): Promise<void> {
    const current = this.#incoming;
    if (this.#closed) throw new UnavailableError("this manager is stopping");
    if (current === undefined) return;
    if (this.#staged !== undefined || term < current.term)
      throw new UnavailableError("another snapshot is being received");
    current.supersede(new CancelledError("another stream brings a snapshot"));
    await current.ended;
    if (this.#incoming !== undefined || this.#closed)
      throw new UnavailableError("another snapshot is being received");
  }

  async #stagingFor(from: RaftId, { id, meta }: SnapshotTransfer): Promise<Staging> {
    const held = this.#staging;
    if (held?.from === from && held.id === id) {
      held.expiry?.cancel();
      held.expiry = undefined;
      this.#components.log.info("receiving the rest of a snapshot", { from, index: meta.index });
      return held;
    }
    await this.#discard();
    this.#components.log.info("receiving a snapshot", { from, index: meta.index });
    const install = await this.#storing(() => this.#components.state.beginInstall(meta));
    this.#staging = { from, id, install, after: undefined, expiry: undefined };
    return this.#staging;
  }

  async #read(transfer: SnapshotTransfer, staging: Staging, superseded: Promise<never>): Promise<void> {
    const portions = transfer.portions(staging.after)[Symbol.asyncIterator]();
    for (;;) {
      const next = await Promise.race([portions.next(), superseded]);
      if (next.done === true) break;
      await this.#add(staging, next.value);
    }
    this.#trouble = undefined;
  }

  async #add(staging: Staging, pairs: readonly KeyValuePair[]): Promise<void> {
    try {
      await this.#storing(() => staging.install.add(pairs));
    } catch (error) {
      await this.#discard();
      throw error;
    }
    staging.after = pairs.at(-1)?.key ?? staging.after;
  }

  async #storing<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      const why = `a snapshot cannot be stored: ${messageOf(error)}`;
      this.#trouble = { why, sinceMs: this.#components.clock.monotonicMs() };
      throw new UnavailableError(why, { cause: error });
    }
  }

  #keepForAWhile(): void {
    const staging = this.#staging;
    if (staging === undefined) return;
    staging.expiry = this.#components.clock.setTimer(RESUME_MS, () => {
      if (this.#staging !== staging || this.#incoming !== undefined) return;
      this.#discard().catch((error: unknown) => {
        this.#components.log.warn("half a snapshot was not removed", { error: messageOf(error) });
      });
    });
  }

  /** Harmless once it is installed. */
  async #discard(): Promise<void> {
    const staging = this.#staging;
    this.#staging = undefined;
    staging?.expiry?.cancel();
    await staging?.install.abort();
  }

  #offer(from: RaftId, { meta, term }: SnapshotTransfer, install: StateInstall): Promise<void> {
    const { raftId, step } = this.#components;
    if (this.#closed) return Promise.reject(new UnavailableError("this manager is stopping"));
    return new Promise((resolve, reject) => {
      const done = (error: Error | undefined): void => (error === undefined ? resolve() : reject(error));
      this.#staged = { meta, install, done };
      step(makeMessage(MessageKind.SNAPSHOT, { from, to: raftId, term }, { snapshot: meta }));
    });
  }
}
