/**
 * The daemon's way to the manager process beside it: a gRPC channel over the unix socket.
 * Edge: to @grpc/grpc-js.
 */
import { Channel, connectivityState, credentials } from "@grpc/grpc-js";
import type { ManagerEndpoint } from "../api/ports.js";
import type { Clock } from "../base/clock/clock.js";

const CONNECT_TIMEOUT_MS = 2_000;

export class LocalManager {
  readonly socketPath: string;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #endpoint: ManagerEndpoint | undefined;

  constructor(socketPath: string, clock: Clock) {
    this.socketPath = socketPath;
    this.#clock = clock;
  }

  /** undefined while this node is no manager. */
  endpoint(): ManagerEndpoint | undefined {
    return this.#endpoint;
  }

  /** Calls back when `endpoint` has changed. @returns the way to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  open(): void {
    if (this.#endpoint !== undefined) return;
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

  /**
   * Resolves when calls get through: a channel that was opened before the manager listened tries again
   * after a pause, and answers errors until then. Gives up after two seconds.
   */
  async connected(): Promise<void> {
    const channel = this.#endpoint?.channel;
    const deadline = new Date(this.#clock.nowMs() + CONNECT_TIMEOUT_MS);
    let isWaiting = true;
    while (channel !== undefined && isWaiting) {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY || state === connectivityState.SHUTDOWN) return;
      isWaiting = await new Promise<boolean>((resolve) =>
        channel.watchConnectivityState(state, deadline, (error) => resolve(error === undefined)),
      );
    }
  }

  close(): void {
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
