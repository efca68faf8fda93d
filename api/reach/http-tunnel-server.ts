/**
 * Serves requests that managers send through tunnels, as an HTTP server without a port. Edge: to node:http.
 * Which of them are answered is decided before they are routed (container-calls.ts). Invariant: a tunnel
 * carries one request; one that brings none, or half of its head, is closed.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";

/** Milliseconds for the head of the request. */
const HEAD_WAIT_MS = 10_000;
const HEADER_BYTES_MAX = 1024 * 1024;

export class TunnelServer {
  readonly #server: Server;
  readonly #headWaitMs: number;
  /** What each waits for its head with. */
  readonly #open = new Map<Duplex, NodeJS.Timeout>();
  #closed = false;

  /** @param handle gives the server its handlers */
  constructor(handle: (server: Server) => void, headWaitMs = HEAD_WAIT_MS) {
    this.#headWaitMs = headWaitMs;
    this.#server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: 0 });
    this.#server.maxRequestsPerSocket = 1; // the answer says so, and what follows it is not served
    const heard = ({ socket }: IncomingMessage): void => clearTimeout(this.#open.get(socket));
    this.#server.on("request", heard);
    this.#server.on("upgrade", heard);
    handle(this.#server);
    this.#server.on("clientError", (_error, connection) => connection.destroy());
  }

  accept(connection: Duplex): void {
    connection.on("error", () => connection.destroy());
    if (this.#closed) {
      connection.destroy();
      return;
    }
    const timer = setTimeout(() => connection.destroy(), this.#headWaitMs);
    this.#open.set(connection, timer);
    connection.once("close", () => {
      clearTimeout(timer);
      this.#open.delete(connection);
    });
    this.#server.emit("connection", connection);
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#open.keys()) connection.destroy();
  }
}
