/**
 * Sends snapshots to followers that are too far behind, and takes them in on the other side.
 * Pure over its ports. Invariant: a received snapshot is written beside the state in use,
 * and becomes it only when the core has accepted it; whatever does not come to that leaves no trace.
 */
import { CancelledError, codeOf, messageOf, UnavailableError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { MessageKind, makeMessage } from "../core/message.js";
import type { RaftId, RaftMessage, SnapshotMeta } from "../core/types.js";
import type { StateInstall, StateStore } from "../storage/state-store.js";
import { PORTION_BYTES_MAX, type RaftTransport, type SnapshotTransfer } from "../transport/transport.js";

export interface SnapshotExchangeComponents {
  readonly raftId: RaftId;
  readonly state: StateStore;
  readonly transport: RaftTransport;
  /** Tells the core how sending went. */
  readonly sent: (to: RaftId, ok: boolean) => void;
  /** Gives the core the announcement and drives it. */
  readonly step: (message: RaftMessage) => void;
  readonly log: Logger;
}

interface Staged {
  readonly meta: SnapshotMeta;
  readonly install: StateInstall;
  readonly done: (error: Error | undefined) => void;
}

export class SnapshotExchange {
  readonly #components: SnapshotExchangeComponents;
  readonly #abort = new AbortController();
  /** Index of the snapshot that is on its way to each peer. */
  readonly #sending = new Map<RaftId, number>();
  readonly #running = new Set<Promise<void>>();
  #receiving = false;
  #staged: Staged | undefined;

  constructor(components: SnapshotExchangeComponents) {
    this.#components = components;
  }

  /**
   * The log must keep the entries from here on, for those who are receiving a snapshot; undefined: nobody is.
   */
  get keepFrom(): number | undefined {
    return this.#sending.size === 0 ? undefined : Math.min(...this.#sending.values()) + 1;
  }

  /** Snapshots on their way to peers. */
  get sending(): number {
    return this.#sending.size;
  }

  /** Carries out the core's announcement. A peer that is being served already is left alone. */
  send(announcement: RaftMessage): void {
    const { to } = announcement;
    if (this.#sending.has(to) || this.#abort.signal.aborted) return;
    this.#sending.set(to, announcement.snapshot?.index ?? 0);
    const run = this.#send(announcement).finally(() => {
      this.#running.delete(run);
    });
    this.#running.add(run);
  }

  async #send({ to, term }: RaftMessage): Promise<void> {
    const { log, state, transport } = this.#components;
    let ok = false;
    try {
      const snapshot = await state.snapshot();
      try {
        const { meta } = snapshot;
        log.info("sending a snapshot", { to, index: meta.index });
        const transfer = { meta, term, portions: snapshot.portions(PORTION_BYTES_MAX) };
        await transport.sendSnapshot(to, transfer, { signal: this.#abort.signal });
        ok = true;
      } finally {
        await snapshot.close();
      }
    } catch (error) {
      log.warn("a snapshot did not arrive", { to, code: codeOf(error), error: messageOf(error) });
    }
    this.#sending.delete(to);
    this.#components.sent(to, ok);
  }

  /**
   * Receives a snapshot and resolves when it is in use, or superfluous.
   * @throws {UnavailableError} another is coming in.
   */
  async receive(from: RaftId, transfer: SnapshotTransfer): Promise<void> {
    if (this.#receiving) throw new UnavailableError("another snapshot is being received");
    this.#receiving = true;
    const { log, state } = this.#components;
    try {
      log.info("receiving a snapshot", { from, index: transfer.meta.index });
      const install = await state.beginInstall(transfer.meta);
      try {
        for await (const portion of transfer.portions) {
          if (this.#abort.signal.aborted) throw new CancelledError("the snapshot is not wanted any more");
          await install.add(portion);
        }
        await this.#offer(from, transfer, install);
      } finally {
        await install.abort();
      }
    } finally {
      this.#receiving = false;
    }
  }

  /** The staged snapshot that a Ready asks to install. */
  take(meta: SnapshotMeta): Staged | undefined {
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
    this.#abort.abort();
    this.#staged?.done(new UnavailableError("this manager is stopping"));
    this.#staged = undefined;
    await Promise.all(this.#running);
  }

  #offer(from: RaftId, { meta, term }: SnapshotTransfer, install: StateInstall): Promise<void> {
    const { raftId, step } = this.#components;
    return new Promise((resolve, reject) => {
      const done = (error: Error | undefined): void => (error === undefined ? resolve() : reject(error));
      this.#staged = { meta, install, done };
      step(makeMessage(MessageKind.SNAPSHOT, { from, to: raftId, term }, { snapshot: meta }));
    });
  }
}
