/**
 * One request passed on through a tunnel, and its answer back. Edge: to node:http.
 * A request that leaves HTTP is passed on as bytes: its head anew, then what comes, both ways. Invariants:
 * nobody waits for a client that is gone, or for a tunnel that broke: an answer under way is then cut off, so
 * that it cannot be taken for a whole one; whatever a node answers ends this one call at worst.
 */
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { UnavailableError } from "../../base/errors/errors.js";
import type { UpgradeParts } from "../http-hijack.js";

/** Of this connection alone (RFC 9110 7.6.1), or answered here already. */
const HOP_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect",
]);
/** What some clients send with whatever they ask: a node has no use for them, and is not to learn them. */
const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set([
  "authorization",
  "proxy-authorization",
  "cookie",
  "x-registry-auth",
  "x-registry-config",
]);
/** After the node's end, how long a client may take to end its side. */
const LINGER_MS = 5_000;

export interface ForwardParts {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly upgrade: UpgradeParts | undefined;
  /** What is asked there, with version and query. */
  readonly target: string;
  readonly tunnel: Duplex;
  /** The body of an answer that is short and must be known; the bound is 64 KiB. */
  readonly onAnswer?: (status: number, body: Buffer) => void;
}

const ANSWER_BYTES_MAX = 64 * 1024;

/** Resolves when the answer was passed on. @throws {UnavailableError} before any of it was. */
export function forward(parts: ForwardParts): Promise<void> {
  return parts.upgrade === undefined ? forwardRequest(parts) : forwardBytes(parts, parts.upgrade);
}

function forwardRequest(parts: ForwardParts): Promise<void> {
  const { request, response, target, tunnel, onAnswer } = parts;
  return new Promise((resolve, reject) => {
    const passed = httpRequest({
      createConnection: () => tunnel as Socket, // http asks for no more than a stream
      method: request.method,
      path: target,
      headers: { ...passedHeaders(request), host: "skein", connection: "close" },
      setHost: false,
    });
    const broken = (error: Error): void => {
      tunnel.destroy();
      if (response.headersSent) {
        response.destroy();
        resolve();
      } else {
        reject(new UnavailableError(`the connection to the container's node broke: ${error.message}`));
      }
    };
    tunnel.once("error", broken);
    passed.on("error", broken);
    passed.on("upgrade", () => broken(new Error("it left HTTP, which nobody asked for")));
    passed.on("response", (answer) => {
      const status = answer.statusCode ?? 502;
      try {
        response.writeHead(status, passedHeaders(answer));
      } catch (error) {
        broken(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      response.flushHeaders();
      const body: Buffer[] = [];
      let size = 0;
      answer.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (onAnswer !== undefined && size <= ANSWER_BYTES_MAX) body.push(chunk);
      });
      answer.on("end", () => {
        if (!answer.complete) return;
        if (size <= ANSWER_BYTES_MAX) onAnswer?.(status, Buffer.concat(body));
        resolve();
      });
      answer.on("error", broken);
      answer.on("aborted", () => broken(new Error("cut off")));
      answer.pipe(response);
    });
    response.once("close", () => {
      if (!response.writableFinished) tunnel.destroy();
      resolve();
    });
    request.pipe(passed);
  });
}

function passedHeaders({ headers }: IncomingMessage): NodeJS.Dict<string | string[]> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !HOP_HEADERS.has(name) && !CREDENTIAL_HEADERS.has(name)),
  );
}

function forwardBytes(
  { request, response, target, tunnel }: ForwardParts,
  { socket, head }: UpgradeParts,
): Promise<void> {
  response.detachSocket(socket as Socket); // it was given this one by upgradedResponse
  const lines = [`${request.method} ${target} HTTP/1.1`];
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    const [name = "", value = ""] = request.rawHeaders.slice(at, at + 2);
    if (!CREDENTIAL_HEADERS.has(name.toLowerCase())) lines.push(`${name}: ${value}`);
  }
  tunnel.write(`${lines.join("\r\n")}\r\n\r\n`);
  if (head.length > 0) tunnel.write(head);
  return new Promise((resolve) => {
    const cut = (): void => {
      tunnel.destroy();
      socket.destroy();
      resolve();
    };
    for (const stream of [tunnel, socket]) {
      stream.once("error", cut);
      stream.once("close", () => {
        if (!tunnel.readableEnded || stream === socket) cut();
      });
    }
    tunnel.once("end", () => {
      // As a hijacked connection ends: the client has read all and goes, or has had its time.
      const linger = setTimeout(cut, LINGER_MS);
      socket.once("close", () => clearTimeout(linger));
    });
    socket.pipe(tunnel);
    tunnel.pipe(socket);
  });
}
