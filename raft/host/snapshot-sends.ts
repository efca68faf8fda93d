/**
 * Sends snapshots to followers that are too far behind. Pure over its ports.
 * Invariant: one stream per peer; when it breaks, the next one continues the same frozen view from where the
 * receiver got to, as long as the log goes on from there.
 * Bounds: one frozen view per peer, kept for a minute without a stream; a failure is told to the core after a
 * pause that grows to ten seconds while nothing arrives.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { codeOf, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { RaftId, RaftMessage } from "../core/types.js";
import type { StateSnapshot, StateStore } from "../storage/state-store.js";
import { PORTION_BYTES_MAX, type RaftTransport } from "../transport/transport.js";
import type { KeyValuePair } from "./raft-node.js";

/** How long either side keeps what a broken stream has brought so far. */
export const RESUME_MS = 60_000;
const PAUSE_MS = { first: 100, max: 10_000 } as const;

export interface SnapshotSendsComponents {
  readonly state: StateStore;
  readonly transport: RaftTransport;
  readonly clock: Clock;
  readonly random: Random;
  /** Of the log. */
  readonly firstIndex: () => number;
  /** Tells the core how sending went. */
  readonly sent: (to: RaftId, ok: boolean) => void;
  readonly log: Logger;
}

/** A state frozen for one peer. */
interface View {
  readonly id: number;
  readonly snapshot: StateSnapshot;
  /** Set while no stream carries it. */
  expiry: Timer | undefined;
}

interface Send {
  readonly abort: AbortController;
  /** The log must go on after this index; known once the state is frozen. */
  index: number;
}

export class SnapshotSends {
  readonly #components: SnapshotSendsComponents;
  readonly #sending = new Map<RaftId, Send>();
  readonly #views = new Map<RaftId, View>();
  readonly #running = new Set<Promise<void>>();
  /** Attempts in a row that brought nothing. */
  readonly #failures = new Map<RaftId, number>();
  #closed = false;

  constructor(components: SnapshotSendsComponents) {
    this.#components = components;
  }

  get count(): number {
    return this.#sending.size;
  }

  /** The log must keep the entries from here on; undefined: no matter. */
  get keepFrom(): number | undefined {
    const indexes = [
      ...[...this.#sending.values()].map(({ index }) => index),
      ...[...this.#views.values()].map(({ snapshot }) => snapshot.meta.index),
    ];
    return indexes.length === 0 ? undefined : Math.min(...indexes) + 1;
  }

  /** Carries out the core's announcement. A peer that is being served already is left alone. */
  send(announcement: RaftMessage): void {
    const { to, snapshot } = announcement;
    if (this.#sending.has(to) || this.#closed) return;
    const send: Send = { abort: new AbortController(), index: snapshot?.index ?? 0 };
    this.#sending.set(to, send);
    const run = this.#send(announcement, send).finally(() => {
      this.#running.delete(run);
    });
    this.#running.add(run);
  }

  /** Ends what goes to others than these: they were removed. */
  keepOnly(members: ReadonlySet<RaftId>): void {
    for (const to of new Set([...this.#sending.keys(), ...this.#views.keys()])) {
      if (!members.has(to)) this.#drop(to);
    }
  }

  /** Ends all: another member leads, or this one stops. */
  stop(): void {
    this.keepOnly(new Set());
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.stop();
    await Promise.all(this.#running);
  }

  #drop(to: RaftId): void {
    this.#sending.get(to)?.abort.abort();
    this.#failures.delete(to);
    this.#closeView(to);
  }

  #closeView(to: RaftId): void {
    const view = this.#views.get(to);
    if (view === undefined) return;
    this.#views.delete(to);
    view.expiry?.cancel();
    view.snapshot.close().catch((error: unknown) => {
      this.#components.log.warn("a frozen state was not closed", { error: messageOf(error) });
    });
  }

  async #send({ to, term }: RaftMessage, send: Send): Promise<void> {
    const { log, transport } = this.#components;
    const { signal } = send.abort;
    let ok = false;
    let portions = 0;
    try {
      const { id, snapshot } = await this.#freeze(to);
      const { meta } = snapshot;
      send.index = meta.index;
      const count = async function* (after?: string): AsyncGenerator<readonly KeyValuePair[]> {
        log.info(after === undefined ? "sending a snapshot" : "sending the rest of a snapshot", {
          to,
          index: meta.index,
        });
        for await (const portion of snapshot.portions(PORTION_BYTES_MAX, after)) {
          yield portion;
          portions += 1;
        }
      };
      await transport.sendSnapshot(to, { meta, term, id, portions: count }, { signal });
      ok = true;
    } catch (error) {
      if (!signal.aborted)
        log.warn("a snapshot did not arrive", { to, code: codeOf(error), error: messageOf(error) });
    }
    if (ok || signal.aborted) this.#drop(to);
    else await this.#rest(to, portions, signal);
    this.#sending.delete(to);
    this.#components.sent(to, ok);
  }

  /** The view that an earlier stream began with, or a new one. */
  async #freeze(to: RaftId): Promise<View> {
    const { state, firstIndex, random } = this.#components;
    const held = this.#views.get(to);
    if (held !== undefined && held.snapshot.meta.index >= firstIndex() - 1) {
      held.expiry?.cancel();
      held.expiry = undefined;
      return held;
    }
    this.#closeView(to);
    const view: View = { id: random.uint32() + 1, snapshot: await state.snapshot(), expiry: undefined };
    this.#views.set(to, view);
    return view;
  }

  /** Before the next attempt: a moment after a broken stream, longer for a peer that takes nothing. */
  async #rest(to: RaftId, portions: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#components;
    const view = this.#views.get(to);
    if (view !== undefined) view.expiry = clock.setTimer(RESUME_MS, () => this.#closeView(to));
    const failures = portions > 0 ? 0 : (this.#failures.get(to) ?? 0);
    this.#failures.set(to, failures + 1);
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(Math.min(PAUSE_MS.first * 2 ** failures, PAUSE_MS.max), resolve);
      signal.addEventListener("abort", () => {
        timer.cancel();
        resolve();
      });
      if (signal.aborted) resolve();
    });
  }
}
