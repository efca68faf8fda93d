/**
 * Follows the cluster's events at the manager beside this daemon for as long as there is one.
 * Edge: to @grpc/grpc-js. A watch that ends is begun again after a pause, behind the last event it told of;
 * where that is not kept any more, `onGap` says that something may be missing.
 */
import { type ClientReadableStream, Metadata } from "@grpc/grpc-js";
import type { Clock, Timer } from "../base/clock/clock.js";
import { AbortedError, messageOf, UnavailableError } from "../base/errors/errors.js";
import { EVENTS_AT_KEY } from "../base/grpc/events-at.js";
import { fromGrpcError } from "../base/grpc/grpc-errors.js";
import type { Logger } from "../base/log/logger.js";
import { Backoff } from "../base/loop/backoff.js";
import type { Random } from "../base/random/random.js";
import { type ClusterEvent, type ControlClient, WatchEventsRequest } from "../proto/gen/skein/v1/control.js";
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
  /** Number of the last event told, or of what was before the first; "": unknown. */
  #last = "";
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

  /** What the manager keeps from a time on, oldest first; nothing on a node that is no manager. */
  async past(sinceMs: number): Promise<readonly ClusterEvent[]> {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return [];
    const { address, credentials, channel } = endpoint;
    const client = await openControlClient(address, credentials, { channelOverride: channel });
    const events: ClusterEvent[] = [];
    try {
      const kept = client.watchEvents(WatchEventsRequest.create({ past: true, sinceMs }));
      for await (const event of kept as AsyncIterable<ClusterEvent>) events.push(event);
    } catch (error) {
      this.#components.log.debug("past events are not told", { error: messageOf(error) });
    }
    return events;
  }

  /**
   * Events behind a number, first from what the manager keeps; "" : from now on. Ends with the signal.
   * @throws {AbortedError} not all of them are kept; {InvalidArgumentError} no number; {UnavailableError}.
   */
  async *after(number: string, signal: AbortSignal): AsyncIterable<ClusterEvent | "begun"> {
    const endpoint = this.#endpoint;
    if (endpoint === undefined)
      throw new UnavailableError(
        this.#components.isManager()
          ? "this node's manager is still starting: ask again"
          : "this node is not a swarm manager: the cluster's events are told by managers",
      );
    const { address, credentials, channel } = endpoint;
    const client = await openControlClient(address, credentials, { channelOverride: channel });
    const call = client.watchEvents(WatchEventsRequest.create({ after: number }));
    const cancel = (): void => call.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      if (signal.aborted) return;
      await begun(call);
      yield "begun";
      for await (const event of call as AsyncIterable<ClusterEvent>) yield event;
    } catch (error) {
      if (signal.aborted || !(error instanceof Error)) return;
      throw fromGrpcError(error);
    } finally {
      signal.removeEventListener("abort", cancel);
      call.cancel();
    }
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
    if (this.#last === "" || !this.#components.isManager()) this.#gap();
  }

  #gap(): void {
    this.#live = false; // so that it is told once
    this.#last = "";
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
    const call = client.watchEvents(WatchEventsRequest.create({ after: this.#last }), metadata);
    this.#call = call;
    // The manager answers with its headers once it watches.
    call.on("metadata", (headers) => {
      if (this.#call !== call) return;
      if (this.#last === "") this.#last = headers.get(EVENTS_AT_KEY)[0]?.toString() ?? "";
      this.#live = true;
      this.#backoff.reset();
      this.#wake();
    });
    call.on("data", (event: ClusterEvent) => {
      if (this.#call !== call) return;
      this.#last = eventNumber(event) ?? this.#last;
      this.#components.onEvent(event);
    });
    const over = (reason: string): void => {
      if (this.#call !== call) return; // ended by us, or told before
      this.#call = undefined;
      this.#lost();
      this.#again(reason);
    };
    const failed = (error: Error): void => {
      if (this.#call === call && fromGrpcError(error) instanceof AbortedError) this.#gap();
      over(messageOf(error));
    };
    call.on("end", () => over("the manager ended it"));
    call.on("error", failed);
  }
}

/** @returns undefined for what has no number. */
export function eventNumber({ index, ordinal }: ClusterEvent): string | undefined {
  return ordinal === 0 ? undefined : `${index}.${ordinal}`;
}

/** The manager answers with its headers once it watches. */
function begun(call: ClientReadableStream<ClusterEvent>): Promise<void> {
  return new Promise((resolve, reject) => {
    call.once("metadata", () => resolve());
    call.once("error", reject);
  });
}
