/**
 * Serves log subscriptions: listens at every known manager, publishes what each asks for. On the same stream
 * managers order tunnels.
 * Edge: to @grpc/grpc-js. Why at every manager: a client may ask any of them, and with few managers one idle
 * stream to each is cheaper and simpler than passing subscriptions on between managers. Invariant: what was
 * begun ends with its stream.
 */
import type { Clock } from "../../base/clock/clock.js";
import { messageOf, UnavailableError } from "../../base/errors/errors.js";
import { fromGrpcError } from "../../base/grpc/grpc-errors.js";
import type { Logger } from "../../base/log/logger.js";
import { Backoff } from "../../base/loop/backoff.js";
import type { Random } from "../../base/random/random.js";
import type { LogSubscription, PublishedLogs } from "../../proto/gen/skein/v1/logs.js";
import type { RemovedLogs } from "../reach/fs-removed-logs.js";
import type { TunnelDialler } from "../reach/grpc-tunnel-dialler.js";
import { LogPublication, type PublishStream } from "./log-publication.js";
import type { ConnectionPool, ManagerConnection } from "./manager-connection.js";
import type { TaskSet } from "./task-set.js";

/** Publications at once for one manager; a subscription beyond is answered with an error. */
export const PUBLICATIONS_MAX = 1_000;

export interface LogPublisherComponents {
  readonly nodeId: string;
  readonly pool: ConnectionPool;
  readonly tasks: TaskSet;
  /** Logs of tasks that are gone; absent: none are kept. */
  readonly removed?: Pick<RemovedLogs, "list" | "read">;
  readonly tunnels: Pick<TunnelDialler, "dial">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

interface Listening {
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

export class LogPublisher {
  readonly #components: LogPublisherComponents;
  readonly #listening = new Map<string, Listening>();
  #closed = false;

  constructor(components: LogPublisherComponents) {
    this.#components = components;
  }

  /** From now on exactly these managers are listened to. */
  listenTo(addresses: readonly string[]): void {
    if (this.#closed) return;
    const wanted = new Set(addresses);
    for (const [address, listening] of this.#listening) {
      if (wanted.has(address)) continue;
      listening.abort.abort();
      this.#listening.delete(address);
    }
    for (const address of wanted) {
      if (this.#listening.has(address)) continue;
      const abort = new AbortController();
      this.#listening.set(address, { abort, done: this.#listenForever(address, abort.signal) });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#listening.values()];
    this.#listening.clear();
    for (const { abort } of all) abort.abort();
    await Promise.all(all.map(({ done }) => done));
  }

  async #listenForever(address: string, signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#components;
    const backoff = new Backoff(random, { initialMs: 100, maxMs: 5_000 });
    while (!signal.aborted) {
      const { heard, error } = await this.#listen(address, signal);
      if (signal.aborted) return;
      if (heard) backoff.reset();
      log.debug("not listening for log subscriptions", { manager: address, error: messageOf(error) });
      await clock.sleep(backoff.nextMs(), { signal }).catch((cancelled: unknown) => {
        if (!signal.aborted) throw cancelled;
      });
    }
  }

  /** Resolves when the stream is over. */
  #listen(address: string, signal: AbortSignal): Promise<{ heard: boolean; error: Error }> {
    const connection = this.#components.pool.get(address);
    const publications = new Map<string, AbortController>();
    let heard = false;
    return new Promise((resolve) => {
      const call = connection.logBroker.listenSubscriptions({});
      const onAbort = (): void => call.cancel();
      const over = (error: Error): void => {
        signal.removeEventListener("abort", onAbort);
        for (const abort of publications.values()) abort.abort();
        resolve({ heard, error });
      };
      signal.addEventListener("abort", onAbort, { once: true });
      call.on("metadata", () => {
        heard = true;
      });
      call.on("data", (subscription: LogSubscription) => {
        heard = true;
        if (subscription.tunnelId !== "") {
          this.#dial(connection, subscription.tunnelId);
          return;
        }
        publications.get(subscription.id)?.abort();
        publications.delete(subscription.id);
        if (subscription.close || publications.size >= PUBLICATIONS_MAX) return;
        const abort = new AbortController();
        publications.set(subscription.id, abort);
        this.#publish(connection.logBroker, subscription, abort).then(
          () => {
            if (publications.get(subscription.id) === abort) publications.delete(subscription.id);
          },
          // The channel was closed while its streams go on: listening begins anew, with one that can publish.
          () => call.cancel(),
        );
      });
      call.on("error", (error: Error) => over(fromGrpcError(error)));
      call.on("end", () => over(new UnavailableError("the manager ended the stream")));
      if (signal.aborted) onAbort();
    });
  }

  #dial(connection: ManagerConnection, tunnelId: string): void {
    const { tunnels, log } = this.#components;
    try {
      tunnels.dial(connection.tunnels(), tunnelId);
    } catch (error) {
      log.warn("a tunnel was not dialled", { tunnel: tunnelId, error: messageOf(error) });
    }
  }

  /** @throws when the channel is closed already. */
  async #publish(
    logBroker: ReturnType<ConnectionPool["get"]>["logBroker"],
    subscription: LogSubscription,
    abort: AbortController,
  ): Promise<void> {
    const { nodeId, tasks, removed, log } = this.#components;
    const call = logBroker.publishLogs((error) => {
      if (error !== null) log.debug("publishing logs ended", { error: error.message });
      abort.abort(); // answered, or refused: the manager wants no more
    });
    const { signal } = abort;
    const stream: PublishStream = {
      write: (logs: PublishedLogs) =>
        new Promise((resolve, reject) => {
          if (signal.aborted) {
            reject(new UnavailableError("the subscription is over"));
            return;
          }
          if (call.write(logs)) {
            resolve();
            return;
          }
          const onAbort = (): void => {
            call.off("drain", onDrain);
            reject(new UnavailableError("the subscription is over"));
          };
          const onDrain = (): void => {
            signal.removeEventListener("abort", onAbort);
            resolve();
          };
          call.once("drain", onDrain);
          signal.addEventListener("abort", onAbort, { once: true });
        }),
    };
    call.on("error", () => abort.abort()); // told by the callback above
    try {
      await new LogPublication({ nodeId, subscription, tasks, removed, stream, signal }).run();
    } catch (error) {
      if (!signal.aborted) log.warn("logs not published", { error: messageOf(error) });
    } finally {
      call.end();
    }
  }
}
