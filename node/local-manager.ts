/**
 * The daemon's way to the manager process beside it: a gRPC channel over the unix socket.
 * Edge: to @grpc/grpc-js.
 */
import { Channel, credentials } from "@grpc/grpc-js";
import type { ManagerEndpoint } from "../api/ports.js";

export class LocalManager {
  readonly socketPath: string;
  #endpoint: ManagerEndpoint | undefined;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** undefined while this node is no manager. */
  endpoint(): ManagerEndpoint | undefined {
    return this.#endpoint;
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
  }

  close(): void {
    this.#endpoint?.channel.close();
    this.#endpoint = undefined;
  }
}
