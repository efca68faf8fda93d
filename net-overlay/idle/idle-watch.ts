/**
 * Connections that were idle too long are reset, so that both ends know it, before the kernel forgets them in
 * silence.
 * Pure (sockets and time are handed in). Invariants: no connection is reset before its limit, and each at
 * most one look later (a fiftieth of the shortest limit, a second at least, a minute at most); a sandbox is
 * looked at only when a connection of it can be due, so that nothing is polled; the event loop has a turn
 * after every portion of sockets.
 * Source: docs/design/network-idle.md.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { LimitChanges, WatchedSandbox } from "./idle-limits.js";
import { IdleLimits } from "./idle-limits.js";
import type { IdleSockets } from "./idle-sockets.js";

const GAP_MIN_MS = 1_000;
const GAP_MAX_MS = 60_000;
const GAPS_PER_LIMIT = 50;
/** Sandboxes come without being told of; this is how late one may be noticed that needs no look before. */
const SLEEP_MAX_MS = 86_400_000;

export interface IdleWatchOptions {
  readonly sockets: IdleSockets;
  /** Those of now. */
  readonly sandboxes: () => Iterable<WatchedSandbox>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class IdleWatch {
  readonly #options: IdleWatchOptions;
  readonly #limits = new IdleLimits();
  /** By sandbox: when the next look is due, in monotonic milliseconds. */
  readonly #due = new Map<string, number>();
  #timer: Timer | undefined;
  /** At the start, as sandboxes and connections are older than we are, and when a limit became shorter. */
  #isAllDue = true;
  #isLooking = false;
  #isFailing = false;
  #isStopped = false;
  #resetCount = 0;

  constructor(options: IdleWatchOptions) {
    this.#options = options;
  }

  /** Connections reset in this life. */
  get resetCount(): number {
    return this.#resetCount;
  }

  learn(changes: LimitChanges): void {
    if (this.#limits.learn(changes)) {
      this.#due.clear(); // a connection may be due already
      this.#isAllDue = true;
    }
    this.#plan();
  }

  /** As before the first word. */
  clear(): void {
    this.#limits.clear();
    this.#due.clear();
    this.#isAllDue = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** A sandbox that was never looked at is due when a connection that it opens now can be due. */
  #plan(): void {
    if (this.#isLooking || this.#isStopped) return;
    const now = this.#options.clock.monotonicMs();
    const seen = new Set<string>();
    let next = Number.POSITIVE_INFINITY;
    for (const sandbox of this.#options.sandboxes()) {
      const shortestMs = this.#shortestMs(sandbox);
      if (shortestMs === undefined) continue;
      seen.add(sandbox.taskId);
      let due = this.#due.get(sandbox.taskId);
      if (due === undefined) {
        due = this.#isAllDue ? now : now + shortestMs;
        this.#due.set(sandbox.taskId, due);
      }
      next = Math.min(next, due, now + shortestMs);
    }
    this.#isAllDue = false;
    for (const id of [...this.#due.keys()]) if (!seen.has(id)) this.#due.delete(id);
    this.#timer?.cancel();
    const delayMs = Math.min(SLEEP_MAX_MS, Math.max(0, next - now));
    this.#timer = this.#options.clock.setTimer(delayMs, () => this.#look());
  }

  /** The shortest limit any connection of the sandbox can have; undefined: none has one. */
  #shortestMs(sandbox: WatchedSandbox): number | undefined {
    const limits = this.#limits
      .spans(sandbox)
      .map(({ limitMs, place }) => this.#options.sockets.limitMs(place, limitMs));
    return limits.length === 0 ? undefined : Math.min(...limits);
  }

  #look(): void {
    this.#isLooking = true;
    void this.#lookAtDue(this.#options.clock.monotonicMs()).finally(() => {
      this.#isLooking = false;
      this.#plan();
    });
  }

  async #lookAtDue(now: number): Promise<void> {
    const due = [...this.#options.sandboxes()].filter(
      ({ taskId }) => (this.#due.get(taskId) ?? Number.POSITIVE_INFINITY) <= now,
    );
    for (const sandbox of due) {
      if (this.#isStopped || this.#isAllDue) return;
      const shortestMs = this.#shortestMs(sandbox);
      if (shortestMs === undefined) continue;
      // said first: a sandbox that cannot be looked at waits as one without connections
      this.#due.set(sandbox.taskId, now + shortestMs);
      const leastMs = await this.#tryLookAt(sandbox, shortestMs);
      if (this.#isAllDue) return; // a limit became shorter meanwhile: this one is due again
      const gapMs = Math.min(GAP_MAX_MS, Math.max(GAP_MIN_MS, shortestMs / GAPS_PER_LIMIT));
      this.#due.set(sandbox.taskId, this.#options.clock.monotonicMs() + Math.max(gapMs, leastMs));
    }
  }

  async #tryLookAt(sandbox: WatchedSandbox, shortestMs: number): Promise<number> {
    try {
      const leastMs = await this.#lookAt(sandbox, shortestMs);
      this.#isFailing = false;
      return leastMs;
    } catch (error) {
      const { log } = this.#options;
      const fields = { taskId: sandbox.taskId, error: messageOf(error) };
      if (!this.#isFailing) log.warn("idle connections were not looked at", fields);
      this.#isFailing = true; // said once, until one succeeds
      return shortestMs;
    }
  }

  /** @returns after which time the next of its connections, also one opened now, can be due. */
  async #lookAt(sandbox: WatchedSandbox, shortestMs: number): Promise<number> {
    const { sockets, clock, log } = this.#options;
    let leastMs = shortestMs;
    for (const portion of sockets.list(sandbox)) {
      for (const socket of portion) {
        const watched = this.#limits.find(sandbox, socket);
        if (watched === undefined) continue;
        const { place } = watched;
        const limitMs = sockets.limitMs(place, watched.limitMs);
        let quietMs = socket.idleMs;
        if (quietMs >= limitMs) quietMs = sockets.quietMs(socket, place) ?? quietMs;
        if (quietMs < limitMs) {
          leastMs = Math.min(leastMs, limitMs - quietMs);
          continue;
        }
        sockets.reset(sandbox, socket, place);
        this.#resetCount += 1;
        const { local, remote } = socket;
        const between = `${local.address}:${local.port} ${remote.address}:${remote.port}`;
        log.info("an idle connection was reset", { taskId: sandbox.taskId, between, idleMs: quietMs });
      }
      await clock.sleep(0);
      if (this.#isStopped) break;
    }
    return leastMs;
  }
}
