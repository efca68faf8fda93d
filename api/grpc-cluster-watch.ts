/**
 * Follows the cluster's events at the manager beside this daemon for as long as there is one.
 * Edge: to @grpc/grpc-js. A watch that ends is begun again after a pause; what happened meanwhile is not told
 * a second time by anybody, so `onGap` says that something may be missing.
 */
import { type ClientReadableStream, Metadata } from "@grpc/grpc-js";
import type { Clock, Timer } from "../base/clock/clock.js";
import { messageOf } from "../base/errors/errors.js";
import type { Logger } from "../base/log/logger.js";
import { Backoff } from "../base/loop/backoff.js";
import type { Random } from "../base/random/random.js";
import type { ClusterEvent, ControlClient } from "../proto/gen/skein/v1/control.js";
import { openControlClient } from "../proto/late-control-client.js";
import type { ManagerEndpoint } from "./ports.js";

export interface ClusterWatchComponents {
  readonly isManager: () => boolean;
  /** undefined while no manager serves here. */
  readonly manager: () => ManagerEndpoint | undefined;
  /** Calls back when what these answer has changed. */
  readonly onManagerChange: (listener: () => void) => () => void;
  readonly onEvent: (event: ClusterEvent) => void;
  readonly onGap: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** How long somebody waits for a watch that is being made: a manager that does not run gives no events. */
const LIVE_WAIT_MS = 2_000;
const RETRY = { initialMs: 20, maxMs: 1_000 };

export class ClusterWatch {
  readonly #components: ClusterWatchComponents;
  readonly #backoff: Backoff;
  readonly #stopListening: () => void;
  readonly #waiting = new Set<() => void>();
  #endpoint: ManagerEndpoint | undefined;
  #call: ClientReadableStream<ClusterEvent> | undefined;
  #live = false;
  #retry: Timer | undefined;

  constructor(components: ClusterWatchComponents) {
    this.#components = components;
    this.#backoff = new Backoff(components.random, RETRY);
    this.#stopListening = components.onManagerChange(() => this.#look());
    this.#look();
  }

  /**
   * Resolves when every later event of the cluster will be told: at once on a node that is no manager. After
   * two seconds in any case, so that what happens to containers can be followed beside a broken manager.
   */
  live(signal: AbortSignal): Promise<void> {
    if (this.#live || !this.#components.isManager() || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        timer.cancel();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = this.#components.clock.setTimer(LIVE_WAIT_MS, done);
      signal.addEventListener("abort", done, { once: true });
      this.#waiting.add(done);
    });
  }

  close(): void {
    this.#stopListening();
    this.#endpoint = undefined;
    this.#end();
    this.#wake();
  }

  #look(): void {
    if (!this.#components.isManager()) this.#wake();
    const endpoint = this.#components.manager();
    if (endpoint === this.#endpoint) return;
    this.#endpoint = endpoint;
    this.#end();
    this.#backoff.reset();
    this.#begin();
  }

  /** Ends the watch there is. */
  #end(): void {
    this.#retry?.cancel();
    const call = this.#call;
    this.#call = undefined;
    call?.cancel();
    this.#lost();
  }

  #lost(): void {
    if (!this.#live) return;
    this.#live = false;
    this.#components.onGap();
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }

  #begin(): void {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    const { address, credentials, channel } = endpoint;
    openControlClient(address, credentials, { channelOverride: channel }).then(
      (client) => {
        if (this.#endpoint === endpoint && this.#call === undefined) this.#watch(client);
      },
      (error: unknown) => this.#again(messageOf(error)),
    );
  }

  #again(reason: string): void {
    this.#components.log.debug("the watch of the cluster's events ended", { reason });
    this.#retry = this.#components.clock.setTimer(this.#backoff.nextMs(), () => this.#begin());
  }

  #watch(client: ControlClient): void {
    const metadata = new Metadata({ waitForReady: true });
    const call = client.watchEvents({ sinceIndex: 0 }, metadata);
    this.#call = call;
    // The manager answers with its headers once it watches.
    call.on("metadata", () => {
      if (this.#call !== call) return;
      this.#live = true;
      this.#backoff.reset();
      this.#wake();
    });
    call.on("data", (event: ClusterEvent) => {
      if (this.#call === call) this.#components.onEvent(event);
    });
    const over = (reason: string): void => {
      if (this.#call !== call) return; // ended by us, or told before
      this.#call = undefined;
      this.#lost();
      this.#again(reason);
    };
    call.on("end", () => over("the manager ended it"));
    call.on("error", (error) => over(messageOf(error)));
  }
}
