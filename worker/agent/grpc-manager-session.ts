/**
 * One session with one manager, from hello to its end. Edge: to @grpc/grpc-js.
 * Invariants: ends exactly once; a manager that says nothing for three periods is given up.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { UnavailableError } from "../../base/errors/errors.js";
import { fromGrpcError } from "../../base/grpc/grpc-errors.js";
import type { AgentHello, AgentMessage, DispatcherMessage } from "../../proto/gen/skein/v1/dispatcher.js";
import type { ManagerConnection } from "./manager-connection.js";

/** Milliseconds until the welcome must have come. */
export const WELCOME_WAIT_MS = 6_000;
/** Heartbeats without an answer after which the manager is given up. */
export const SILENT_PERIODS_MAX = 3;
/** Milliseconds a goodbye may take before the stream is cut. */
export const GOODBYE_WAIT_MS = 500;

export interface ManagerSessionOptions {
  readonly connection: ManagerConnection;
  readonly clock: Clock;
  readonly hello: AgentHello;
  readonly appliedRevision: () => number;
  /** What it throws ends the session. */
  readonly onMessage: (message: NonNullable<DispatcherMessage["message"]>, session: ManagerSession) => void;
}

export class ManagerSession {
  /** Resolves with the reason when the session is over; it never rejects. */
  readonly ended: Promise<Error>;
  readonly #options: ManagerSessionOptions;
  readonly #call: ReturnType<ManagerConnection["dispatcher"]["session"]>;
  #finish: (error: Error) => void = () => undefined;
  #over = false;
  #watchdog: Timer;
  #heartbeat: Timer | undefined;
  #periodMs = 0;

  constructor(options: ManagerSessionOptions) {
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.#call = options.connection.dispatcher.session();
    this.#call.on("data", (message: DispatcherMessage) => this.#receive(message));
    this.#call.on("error", (error: Error) => this.#end(fromGrpcError(error)));
    this.#call.on("end", () => this.#end(new UnavailableError("the manager ended the session")));
    this.#watchdog = this.#watch(WELCOME_WAIT_MS);
    this.send({ $case: "hello", value: options.hello });
  }

  send(message: NonNullable<AgentMessage["message"]>): void {
    // The stream buffers what the transport does not take yet: heartbeats and status batches,
    // which are bounded.
    if (!this.#over) this.#call.write({ message });
  }

  /** Tells the manager that the daemon stops, and waits a moment for it to be heard. */
  async goodbye(leaving: boolean): Promise<void> {
    if (this.#over) return;
    this.send({ $case: "goodbye", value: { leaving } });
    this.#call.end();
    const timer = this.#options.clock.setTimer(GOODBYE_WAIT_MS, () =>
      this.cut(new UnavailableError("goodbye")),
    );
    await this.ended;
    timer.cancel();
  }

  cut(error: Error): void {
    this.#call.cancel();
    this.#end(error);
  }

  #receive({ message }: DispatcherMessage): void {
    if (this.#over || message === undefined) return;
    try {
      this.#options.onMessage(message, this);
    } catch (error) {
      this.cut(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (message.$case === "welcome" || message.$case === "update")
      this.#setPeriod(message.value.heartbeatPeriodMs);
    if (this.#periodMs > 0) {
      this.#watchdog.cancel();
      this.#watchdog = this.#watch(SILENT_PERIODS_MAX * this.#periodMs);
    }
  }

  #setPeriod(periodMs: number): void {
    if (periodMs <= 0 || periodMs === this.#periodMs) return;
    this.#periodMs = periodMs;
    this.#heartbeat?.cancel();
    this.#heartbeat = this.#options.clock.setInterval(periodMs, () => {
      const value = {
        appliedRevision: this.#options.appliedRevision(),
        sentAtMs: this.#options.clock.nowMs(),
      };
      this.send({ $case: "heartbeat", value });
    });
  }

  #watch(delayMs: number): Timer {
    return this.#options.clock.setTimer(delayMs, () => {
      this.cut(new UnavailableError(`nothing heard from the manager for ${delayMs} ms`));
    });
  }

  #end(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#watchdog.cancel();
    this.#heartbeat?.cancel();
    this.#finish(error);
  }
}
