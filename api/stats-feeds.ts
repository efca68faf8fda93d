/**
 * Samples of containers once per second, shared: however many clients look, a container is sampled once.
 * Pure (clock and access handed in). Invariants: a feed lives as long as somebody listens; a listener hears
 * samples in their order, each with the one before it; a container that does not run gives empty ones.
 */
import type { Clock, Timer } from "../base/clock/clock.js";
import type { ContainerFileAccess, ContainerSample } from "../proto/engine/files.js";

export interface StatsReading {
  readonly sample: ContainerSample | undefined;
  readonly before: ContainerSample | undefined;
}

type Listener = (reading: StatsReading) => void;

interface Feed {
  readonly listeners: Set<Listener>;
  readonly timer: Timer;
  last: ContainerSample | undefined;
  busy: boolean;
}

/** As Docker samples. */
const PERIOD_MS = 1_000;
/** Long enough for counters of 10 ms; the stock command waits two seconds for the whole answer. */
const PAIR_GAP_MS = 500;

export class StatsFeeds {
  readonly #files: Pick<ContainerFileAccess, "sample">;
  readonly #clock: Clock;
  readonly #feeds = new Map<string, Feed>();

  constructor(components: { files: Pick<ContainerFileAccess, "sample">; clock: Clock }) {
    this.#files = components.files;
    this.#clock = components.clock;
  }

  /** Containers that are being sampled. */
  get count(): number {
    return this.#feeds.size;
  }

  /** The first reading comes at once. @returns the way to stop it. */
  listen(id: string, listener: Listener): () => void {
    let feed = this.#feeds.get(id);
    if (feed === undefined) {
      const made: Feed = {
        listeners: new Set(),
        timer: this.#clock.setInterval(PERIOD_MS, () => void this.#tick(id, made)),
        last: undefined,
        busy: false,
      };
      feed = made;
      this.#feeds.set(id, made);
      made.listeners.add(listener);
      void this.#tick(id, made);
    }
    const joined = feed;
    joined.listeners.add(listener);
    return () => {
      joined.listeners.delete(listener);
      if (joined.listeners.size > 0 || this.#feeds.get(id) !== joined) return;
      joined.timer.cancel();
      this.#feeds.delete(id);
    };
  }

  /** One sample now, of no feed. */
  now(id: string): Promise<ContainerSample | undefined> {
    return this.#files.sample(id).then(
      (sample) => sample,
      () => undefined, // it does not run, or ended while it was looked at
    );
  }

  /** A sample and the one before it, of no feed. @throws {CancelledError} */
  async pair(id: string, options: { signal: AbortSignal }): Promise<StatsReading> {
    const before = await this.now(id);
    if (before === undefined) return { sample: undefined, before };
    await this.#clock.sleep(PAIR_GAP_MS, options);
    const sample = await this.now(id);
    return { sample, before: sample === undefined ? undefined : before };
  }

  async #tick(id: string, feed: Feed): Promise<void> {
    if (feed.busy) return; // the machine is slower than our period: this one is left out
    feed.busy = true;
    const sample = await this.now(id);
    feed.busy = false;
    const before = sample === undefined ? undefined : feed.last;
    feed.last = sample;
    for (const listener of [...feed.listeners]) listener({ sample, before });
  }
}
