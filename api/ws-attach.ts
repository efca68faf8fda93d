/**
 * A websocket as a client's connection: each message is a piece of input or output. Edge: to the ws package.
 * Bound: a message of 1 MiB in, one piece of output under way.
 */
import type { Socket } from "node:net";
import type { RawData, WebSocket } from "ws";
import type { ClientConnection } from "./attached-client.js";
import type { Exchange } from "./http-exchange.js";

const MESSAGE_BYTES_MAX = 1024 * 1024;
/** Between a message of the client and its being taken; more make it wait. */
const WAITING_MAX = 16;

/** @returns undefined when the client asked for no websocket. */
export async function acceptWebSocket(exchange: Exchange): Promise<ClientConnection | undefined> {
  const { upgrade, request, response } = exchange;
  if (upgrade === undefined || exchange.header("upgrade").toLowerCase() !== "websocket") return undefined;
  const { WebSocketServer } = await import("ws"); // few need it
  const socket = upgrade.socket as Socket; // of node:http
  if (socket.destroyed) return GONE; // its "close" has been, and does not come again
  response.detachSocket(socket);
  const server = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX });
  const accepted = await new Promise<WebSocket | undefined>((resolve) => {
    socket.once("close", () => resolve(undefined)); // refused by the package in its own words
    server.handleUpgrade(request, socket, upgrade.head, resolve);
  });
  return accepted === undefined ? GONE : connectionOf(accepted);
}

const GONE: ClientConnection = {
  input: (async function* () {})(),
  write: () => Promise.resolve(false),
  end: () => undefined,
  gone: AbortSignal.abort(),
};

function connectionOf(client: WebSocket): ClientConnection {
  const abort = new AbortController();
  const waiting: Buffer[] = [];
  let wake: (() => void) | undefined;
  client.on("message", (data: RawData) => {
    waiting.push(Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer)); // of either kind
    if (waiting.length >= WAITING_MAX) client.pause();
    wake?.();
  });
  client.on("error", () => abort.abort()); // "close" follows
  client.on("close", () => {
    abort.abort();
    wake?.();
  });
  async function* input(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) {
        if (client.isPaused && waiting.length < WAITING_MAX / 2) client.resume();
        yield next;
        continue;
      }
      if (abort.signal.aborted) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  return {
    input: input(),
    write: (data) =>
      new Promise((resolve) => {
        client.send(data, { binary: true }, (error) => resolve(error === undefined || error === null));
      }),
    end: () => client.close(1000),
    gone: abort.signal,
  };
}
