/**
 * The command line's way to a daemon: HTTP over a unix socket or TCP; TLS and ssh are handed in. Edge: to
 * node:http.
 */
import {
  type Agent,
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
  request,
} from "node:http";
import { UnavailableError } from "../base/errors/errors.js";
import { addressOf, connectionTrouble, DEFAULT_HOST, type Endpoint } from "./connection/endpoint.js";

/** Milliseconds in which nothing happens before a connection is there. */
const CONNECT_TIMEOUT_MS = 15_000;

/** After that many milliseconds of silence a peer is asked whether it is there: who follows waits for hours. */
const KEEP_ALIVE_MS = 30_000;

/** What the daemon refused, in its own words. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

export interface CallOptions {
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body?: unknown;
  /** Sent as it is instead of JSON; destroyed, where it can be, when the exchange is over. */
  readonly stream?: AsyncIterable<Uint8Array> & { destroy?(): unknown };
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** How requests get there, where it is neither a unix socket nor plain TCP. */
export interface Transport {
  readonly request?: typeof request;
  readonly options: Pick<RequestOptions, "host" | "port"> & { readonly agent: Agent };
}

export class ApiClient {
  readonly endpoint: Endpoint;
  readonly #options: Pick<RequestOptions, "socketPath" | "host" | "port" | "agent">;
  readonly #request: typeof request;
  readonly #transport: Transport | undefined;

  /** @throws {InvalidArgumentError} an address that is none of unix://, tcp://, http://. */
  constructor(where: Endpoint | string = DEFAULT_HOST, transport?: Transport) {
    this.endpoint = typeof where === "string" ? { host: where, source: "its caller" } : where;
    this.#transport = transport;
    this.#request = transport?.request ?? request;
    if (transport === undefined) {
      const address = addressOf(this.endpoint.host);
      this.#options =
        address.kind === "unix"
          ? { socketPath: address.path }
          : { host: address.host, port: portOf(address) };
    } else this.#options = transport.options;
  }

  get host(): string {
    return this.endpoint.host;
  }

  /** Ends idle connections of its own; what runs fails. Calling it twice is fine. */
  close(): void {
    this.#transport?.options.agent.destroy();
  }

  /** Sends and returns the answer as it begins; the status is not looked at. */
  open(method: string, path: string, options: CallOptions = {}): Promise<IncomingMessage> {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(options.query ?? {})) {
      for (const each of typeof value === "string" ? [value] : (value ?? [])) query.append(key, each);
    }
    const text = query.toString();
    const payload = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body));
    const headers: Record<string, string | number> = { ...options.headers };
    if (payload !== undefined) {
      headers["content-type"] = "application/json";
      headers["content-length"] = payload.length;
    } else if (options.stream !== undefined) headers["content-type"] = "application/x-tar";
    return new Promise((resolve, reject) => {
      const outgoing = this.#request(
        { ...this.#options, method, path: `${path}${text === "" ? "" : `?${text}`}`, headers },
        (response) => {
          // A refusal may come before everything was sent: nobody reads the rest, and the socket would stay.
          response.once("end", () => {
            if (!outgoing.writableFinished) outgoing.destroy();
          });
          resolve(response);
        },
      );
      boundConnecting(outgoing);
      const { signal } = options;
      if (signal?.aborted === true) outgoing.destroy();
      signal?.addEventListener("abort", () => outgoing.destroy(), { once: true });
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        const trouble = connectionTrouble(this.endpoint, error.code ?? "");
        reject(trouble === undefined ? error : new UnavailableError(trouble, { cause: error }));
      });
      // A refusal may come while the source says nothing, and standard input would keep the process.
      outgoing.once("close", () => options.stream?.destroy?.());
      if (options.stream === undefined) {
        outgoing.end(payload);
        return;
      }
      outgoing.flushHeaders(); // they do not wait for the first of the body
      send(options.stream, outgoing).catch((error: unknown) =>
        outgoing.destroy(error instanceof Error ? error : undefined),
      );
    });
  }

  /**
   * @returns the answer's JSON, undefined for an empty one.
   * @throws {ApiError} for a status of 400 or more.
   */
  async call(method: string, path: string, options: CallOptions = {}): Promise<unknown> {
    const text = await this.text(method, path, options);
    if (text === "") return undefined;
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw new UnavailableError(`what answers at ${this.host} is no skeind: its answer is not JSON`, {
        cause: error,
      });
    }
  }

  async text(method: string, path: string, options: CallOptions = {}): Promise<string> {
    const response = await this.open(method, path, options);
    const text = await readAll(response).catch((error: unknown) => {
      throw new UnavailableError(`${this.host} closed the connection in the middle of an answer`, {
        cause: error,
      });
    });
    refuseBad(response, text);
    return text;
  }

  /** The answer as a stream of chunks. @throws {ApiError} */
  async stream(method: string, path: string, options: CallOptions = {}): Promise<IncomingMessage> {
    const response = await this.open(method, path, options);
    if ((response.statusCode ?? 0) >= 400) refuseBad(response, await readAll(response));
    return response;
  }
}

const portOf = (address: { readonly port?: number }): number => address.port ?? 0;

/** A host that drops packets is not waited for longer. */
function boundConnecting(outgoing: ClientRequest): void {
  outgoing.once("socket", (socket) => {
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    if (!socket.connecting) return;
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => {
      const seconds = CONNECT_TIMEOUT_MS / 1000;
      socket.destroy(Object.assign(new Error(`no connection in ${seconds} s`), { code: "ETIMEDOUT" }));
    });
    // with TLS the greeting belongs to it: what accepts and says nothing is not waited for either
    socket.once("encrypted" in socket ? "secureConnect" : "connect", () => socket.setTimeout(0));
  });
}

async function send(source: AsyncIterable<Uint8Array>, outgoing: NodeJS.WritableStream): Promise<void> {
  for await (const chunk of source) {
    if (!outgoing.write(chunk)) await new Promise<void>((resolve) => outgoing.once("drain", resolve));
  }
  outgoing.end();
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer); // no encoding is set
  return Buffer.concat(chunks).toString("utf8").trim();
}

function refuseBad(response: IncomingMessage, text: string): void {
  const status = response.statusCode ?? 0;
  if (status < 400) return;
  let message = text;
  try {
    const parsed = JSON.parse(text) as { message?: unknown };
    if (typeof parsed.message === "string") message = parsed.message;
  } catch {
    // Not JSON: the text itself is the message.
  }
  throw new ApiError(status, message === "" ? `the daemon answered ${status}` : message);
}
