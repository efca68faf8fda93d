/**
 * A daemon for tests of the command line: an HTTP server on a unix socket whose answers the test decides.
 * Edge: to node:http and files.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Context } from "./context.js";
import { ApiClient } from "./http-client.js";

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** JSON to answer with, or undefined when the handler has answered itself. */
export type Answer = { readonly status?: number; readonly json: unknown } | undefined;

export class FakeDaemon implements AsyncDisposable {
  readonly host: string;
  readonly seen: SeenRequest[] = [];
  readonly printed: string[] = [];
  readonly noted: string[] = [];
  readonly context: Context;
  readonly #server: ReturnType<typeof createServer>;
  readonly #folder: string;

  private constructor(answer: (request: SeenRequest, response: ServerResponse) => Answer) {
    this.#folder = mkdtempSync(join(tmpdir(), "skein-cli-"));
    this.host = `unix://${this.#folder}/daemon.sock`;
    this.#server = createServer((incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("end", () => {
        const url = new URL(incoming.url ?? "/", "http://daemon");
        const { method = "", headers } = incoming;
        const request = {
          method,
          path: url.pathname,
          query: url.searchParams,
          headers,
          body: Buffer.concat(chunks),
        };
        this.seen.push(request);
        const given = answer(request, response);
        if (given === undefined) return;
        response.writeHead(given.status ?? 200, { "content-type": "application/json" });
        response.end(JSON.stringify(given.json));
      });
    });
    const client = new ApiClient(this.host);
    this.context = {
      client: () => client,
      print: (text) => void this.printed.push(text),
      note: (text) => void this.noted.push(text),
      terminal: false,
    };
  }

  static async open(answer: (request: SeenRequest, response: ServerResponse) => Answer): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(answer);
    await new Promise<void>((listening) => daemon.#server.listen(`${daemon.#folder}/daemon.sock`, listening));
    return daemon;
  }

  /** "POST /networks/create" of everything that changes something. */
  get changes(): string[] {
    return this.seen.filter(({ method }) => method !== "GET").map(({ method, path }) => `${method} ${path}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((closed) => this.#server.close(() => closed()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export const NOT_FOUND = { status: 404, json: { message: "not found" } };
