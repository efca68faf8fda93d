/**
 * A connection that a client took out of HTTP: raw bytes both ways once the answer's head is sent. Edge: to
 * sockets of node:http.
 * With "Upgrade: tcp" the answer is 101 and the socket is the client's alone; without, it is 200, the
 * answer's body the output, and the request's body the input.
 * Invariants: all that was written is sent before the connection ends; input is read only as fast as it is
 * taken.
 * Source: Docker Engine API, "Hijacking" of POST /containers/{id}/attach.
 */
import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex, Readable, Writable } from "node:stream";

/** What an upgrade leaves a route with. */
export interface UpgradeParts {
  readonly socket: Duplex;
  /** Bytes that came after the request's head. */
  readonly head: Buffer;
}

/** After our end, how long a client may take to end its side before the connection is cut. */
const LINGER_MS = 5_000;
const JSON_BODY_BYTES_MAX = 8 * 1024 * 1024;

export interface HijackedConnection {
  /** What the client sends; ends when it ends its side or goes away. */
  readonly input: AsyncIterable<Buffer>;
  /** Waits while the client does not read. @returns false once it is gone. */
  write(data: Uint8Array): Promise<boolean>;
  /** Sends what is left and closes. */
  end(): void;
  /** Fires when the client has gone. */
  readonly gone: AbortSignal;
}

/** Sends the head of the answer and takes the connection over. */
export function hijack(
  parts: { request: IncomingMessage; response: ServerResponse; upgrade: UpgradeParts | undefined },
  contentType: string,
): HijackedConnection {
  const { request, response, upgrade } = parts;
  if (upgrade === undefined) {
    response.writeHead(200, { "content-type": contentType });
    response.flushHeaders();
    return new Hijacked(request, response);
  }
  const { socket, head } = upgrade;
  response.detachSocket(socket as Socket); // it was given this one by upgradedResponse
  const lines = ["HTTP/1.1 101 UPGRADED", `Content-Type: ${contentType}`];
  socket.write(`${[...lines, "Connection: Upgrade", "Upgrade: tcp"].join("\r\n")}\r\n\r\n`);
  if (head.length > 0) socket.unshift(head);
  return new Hijacked(socket, socket);
}

/**
 * An answer for a request that asked for an upgrade; unless it is hijacked, the connection ends with it.
 * @returns undefined when the client did not wait for the answer before this one: it is cut off.
 */
export function upgradedResponse(request: IncomingMessage, socket: Socket): ServerResponse | undefined {
  socket.on("error", () => socket.destroy());
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  try {
    response.assignSocket(socket);
  } catch (error) {
    socket.destroy(error instanceof Error ? error : undefined); // it still has an answer under way
    return undefined;
  }
  response.once("finish", () => socket.end());
  return response;
}

class Hijacked implements HijackedConnection {
  readonly input: AsyncIterable<Buffer>;
  readonly gone: AbortSignal;
  readonly #readable: Readable;
  readonly #writable: Writable;

  constructor(readable: Readable, writable: Writable) {
    this.#readable = readable;
    this.#writable = writable;
    const abort = new AbortController();
    this.gone = abort.signal;
    for (const stream of [readable, writable]) stream.on("error", () => abort.abort());
    writable.once("close", () => abort.abort());
    if (writable.destroyed) abort.abort();
    this.input = inputOf(readable);
  }

  async write(data: Uint8Array): Promise<boolean> {
    const writable = this.#writable;
    if (writable.destroyed || writable.writableEnded) return false;
    if (writable.write(data)) return true;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        writable.off("drain", go);
        writable.off("close", go);
        resolve();
      };
      writable.once("drain", go);
      writable.once("close", go);
    });
    return !writable.destroyed;
  }

  end(): void {
    const [readable, writable] = [this.#readable, this.#writable];
    if (writable.destroyed || writable.writableEnded) return;
    writable.end();
    if (!Object.is(readable, writable)) return;
    // The client's end is awaited, and what it still sends is dropped: a close with unread input would be a
    // reset, and could cost it the last of the output.
    const cut = setTimeout(() => writable.destroy(), LINGER_MS);
    writable.once("close", () => clearTimeout(cut));
    readable.once("end", () => writable.destroy());
    readable.resume();
  }
}

async function* inputOf(readable: Readable): AsyncGenerator<Buffer> {
  // Its end and its errors are ends of input; the stream itself is closed by `end`.
  const iterator = readable.iterator({ destroyOnReturn: false });
  try {
    for await (const chunk of iterator) yield chunk as Buffer; // no encoding was set
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

/**
 * The body of a request whose parsing ended with its head.
 * @returns undefined when it is larger than 8 MiB or is cut off; what follows it stays in the socket.
 */
export async function readUpgradeBody(
  request: IncomingMessage,
  upgrade: UpgradeParts,
): Promise<{ body: Buffer; upgrade: UpgradeParts } | undefined> {
  const length = Number(request.headers["content-length"] ?? 0);
  if (!Number.isSafeInteger(length) || length < 0 || length > JSON_BODY_BYTES_MAX) return undefined;
  let have = upgrade.head;
  const { socket } = upgrade;
  while (have.length < length) {
    const chunk = (socket.read() ?? (await nextChunk(socket))) as Buffer | undefined; // no encoding was set
    if (chunk === undefined) return undefined;
    have = Buffer.concat([have, chunk]);
  }
  return { body: have.subarray(0, length), upgrade: { socket, head: have.subarray(length) } };
}

function nextChunk(socket: Duplex): Promise<Buffer | undefined> {
  if (socket.destroyed || socket.readableEnded) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const settle = (): void => {
      for (const name of ["readable", "end", "close", "error"]) socket.off(name, settle);
      resolve((socket.read() as Buffer | null) ?? undefined);
    };
    for (const name of ["readable", "end", "close", "error"]) socket.once(name, settle);
  });
}
