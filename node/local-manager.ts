/**
 * The daemon's way to the manager process beside it: a gRPC channel over the unix socket.
 * Edge: to @grpc/grpc-js. Invariant: a channel is there only while the manager serves, a new one each time it
 * begins to: none goes on pausing, or answering errors, because the manager did not listen yet.
 */
import { Channel, connectivityState, credentials } from "@grpc/grpc-js";
import type { ManagerEndpoint } from "../api/ports.js";
import type { Clock } from "../base/clock/clock.js";

/** How long somebody waits for a manager that is starting, in milliseconds. */
const START_WAIT_MS = 10_000;

export class LocalManager {
  readonly socketPath: string;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #isExpected = false;
  #endpoint: ManagerEndpoint | undefined;
  /** Since when it is known not to run; undefined: it runs, or begins for the first time. */
  #lostMs: number | undefined;

  constructor(socketPath: string, clock: Clock) {
    this.socketPath = socketPath;
    this.#clock = clock;
  }

  /** This node is a manager: it serves, or is being started. */
  get isExpected(): boolean {
    return this.#isExpected;
  }

  /** undefined while no manager serves here. */
  endpoint(): ManagerEndpoint | undefined {
    return this.#endpoint;
  }

  /** Calls back when `isExpected` or `endpoint` has changed. @returns the way to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** From now on this node is a manager. */
  expect(): void {
    if (this.#isExpected) return;
    this.#isExpected = true;
    this.#tell();
  }

  /** Its manager has begun to serve. */
  open(): void {
    if (!this.#isExpected) return; // it was given up meanwhile
    this.#closeChannel();
    this.#lostMs = undefined;
    const address = `unix:${this.socketPath}`;
    const insecure = credentials.createInsecure();
    const channel = new Channel(address, insecure, {
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 500,
      "grpc.max_receive_message_length": 64 * 1024 * 1024,
      "grpc.enable_retries": 0,
    });
    this.#endpoint = { address, credentials: insecure, channel };
    this.#tell();
  }

  /** Its manager has ended, or could not start, and is started again. */
  lost(): void {
    if (!this.#isExpected) return;
    this.#lostMs ??= this.#clock.monotonicMs();
    this.#closeChannel();
  }

  /** From now on this node is no manager. */
  close(): void {
    if (!this.#isExpected) return;
    this.#isExpected = false;
    this.#lostMs = undefined;
    if (this.#endpoint === undefined) this.#tell();
    else this.#closeChannel();
  }

  /**
   * Waits while the manager is starting, as long as asked, ten seconds at most; for one that is known not to
   * run, ten seconds since it ended at most.
   * @returns the endpoint, when calls get through to it; undefined: it does not serve, or none is expected.
   */
  async reached(waitMs = START_WAIT_MS): Promise<ManagerEndpoint | undefined> {
    const boundMs = Math.min(waitMs, START_WAIT_MS);
    const fromMs = this.#clock.monotonicMs();
    while (this.#isExpected) {
      const untilMs = Math.min(fromMs + boundMs, (this.#lostMs ?? Infinity) + START_WAIT_MS);
      const leftMs = untilMs - this.#clock.monotonicMs();
      const endpoint = this.#endpoint;
      if (endpoint?.channel.getConnectivityState(true) === connectivityState.READY) return endpoint;
      if (leftMs <= 0) return undefined;
      await this.#changed(endpoint, leftMs);
    }
    return undefined;
  }

  /** Resolves when the endpoint or its connection is another than now, at the latest after so long. */
  #changed(endpoint: ManagerEndpoint | undefined, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        stop();
        timer.cancel();
        resolve();
      };
      const stop = this.onChange(done);
      const timer = this.#clock.setTimer(waitMs, done);
      if (endpoint === undefined) return;
      const { channel } = endpoint;
      channel.watchConnectivityState(channel.getConnectivityState(false), Infinity, done);
    });
  }

  #closeChannel(): void {
    const closing = this.#endpoint;
    if (closing === undefined) return;
    this.#endpoint = undefined;
    this.#tell(); // while the channel is open, so that streams are ended by their owners
    closing.channel.close();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
