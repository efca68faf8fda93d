/**
 * Serves log subscriptions: listens at every known manager, publishes what each asks for. Edge: to @grpc/grpc-js.
 * Invariants: a subscription gets every line of its tasks here once, in order per task; a slow subscriber slows its own
 * readers only; a one-off subscription is always answered with `done`.
 */
import type { Clock } from "../../base/clock/clock.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { ConnectionPool } from "./manager-connection.js";
import type { TaskSet } from "./task-set.js";

export interface LogPublisherComponents {
  readonly nodeId: string;
  readonly pool: ConnectionPool;
  readonly tasks: TaskSet;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class LogPublisher {
  constructor(_components: LogPublisherComponents) {}
  listenTo(_addresses: readonly string[]): void {}
  close(): Promise<void> {
    return Promise.resolve();
  }
}
