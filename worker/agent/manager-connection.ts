/**
 * Connections to managers: one channel per address, shared by the session and the log streams.
 * Pure (the dialling is handed in). Invariant: an address is dialled once while it is in use,
 * and closed when it is not.
 */
import type { DispatcherClient } from "../../proto/gen/skein/v1/dispatcher.js";
import type { LogBrokerClient } from "../../proto/gen/skein/v1/logs.js";
import type { TunnelsClient } from "../../proto/gen/skein/v1/reach.js";
import type { AttachmentCalls } from "./grpc-attachment-calls.js";

export interface ManagerConnection {
  readonly dispatcher: Pick<DispatcherClient, "session">;
  readonly logBroker: Pick<LogBrokerClient, "listenSubscriptions" | "publishLogs">;
  /** On a connection of its own, dialled when it is first asked for: what it carries delays nothing else. */
  tunnels(): Pick<TunnelsClient, "serveTunnel">;
  /** Absent: this connection carries none. */
  attachments?(): AttachmentCalls;
  close(): void;
}

export type Dial = (address: string) => ManagerConnection;

/** More managers than any sensible cluster has. */
export const MANAGERS_MAX = 64;

export class ConnectionPool {
  readonly #dial: Dial;
  readonly #open = new Map<string, ManagerConnection>();

  constructor(dial: Dial) {
    this.#dial = dial;
  }

  get(address: string): ManagerConnection {
    const open = this.#open.get(address) ?? this.#dial(address);
    this.#open.set(address, open);
    return open;
  }

  /**
   * A channel that failed is dialled anew next time, without the pause gRPC puts before its own next attempt.
   */
  drop(address: string): void {
    this.#open.get(address)?.close();
    this.#open.delete(address);
  }

  keep(addresses: ReadonlySet<string>): void {
    for (const address of [...this.#open.keys()]) if (!addresses.has(address)) this.drop(address);
  }

  close(): void {
    this.keep(new Set());
  }
}
