/**
 * Serves requests that managers send through tunnels, as an HTTP server without a port. Edge: to node:http.
 * Which of them are answered is decided before they are routed (container-calls.ts). Invariant: a tunnel
 * carries one request; one that brings none is closed.
 */
import { createServer, type Server } from "node:http";
import type { Duplex } from "node:stream";

/** Milliseconds for the head of the request. */
const HEAD_WAIT_MS = 10_000;
const HEADER_BYTES_MAX = 1024 * 1024;

export class TunnelServer {
  readonly #server: Server;
  readonly #open = new Set<Duplex>();

  /** @param handle gives the server its handlers */
  constructor(handle: (server: Server) => void) {
    this.#server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: 0 });
    this.#server.maxRequestsPerSocket = 1; // the answer says so, and what follows it is not served
    handle(this.#server);
    this.#server.on("clientError", (_error, connection) => connection.destroy());
  }

  accept(connection: Duplex): void {
    this.#open.add(connection);
    const timer = setTimeout(() => connection.destroy(), HEAD_WAIT_MS);
    connection.once("data", () => clearTimeout(timer));
    connection.once("close", () => {
      clearTimeout(timer);
      this.#open.delete(connection);
    });
    connection.on("error", () => connection.destroy());
    this.#server.emit("connection", connection);
  }

  close(): void {
    for (const connection of this.#open) connection.destroy();
  }
}
