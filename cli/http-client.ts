/**
 * The command line's way to a daemon: HTTP over a unix socket or TCP. Edge: to node:http and the environment.
 * Where: --host, else SKEIN_HOST, else DOCKER_HOST, else unix:///run/skein/skein.sock.
 */
import { type IncomingMessage, type RequestOptions, request } from "node:http";
import { InvalidArgumentError, UnavailableError } from "../base/errors/errors.js";

export const DEFAULT_HOST = "unix:///run/skein/skein.sock";

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

export class ApiClient {
  readonly host: string;
  readonly #target: Pick<RequestOptions, "socketPath" | "host" | "port">;

  /** @throws {InvalidArgumentError} neither unix:// nor tcp:// nor http://. */
  constructor(host: string) {
    this.host = host;
    const unix = /^unix:\/\/(.+)$/.exec(host)?.[1];
    const tcp = /^(?:tcp|http):\/\/(.+?)(?::(\d+))?\/?$/.exec(host);
    if (unix !== undefined) this.#target = { socketPath: unix };
    else if (tcp !== null) this.#target = { host: tcp[1] ?? "", port: Number(tcp[2] ?? 2375) };
    else
      throw new InvalidArgumentError(
        `the host must be unix:///PATH or tcp://HOST:PORT, got ${JSON.stringify(host)}`,
      );
  }

  static fromEnvironment(flag: string | undefined): ApiClient {
    return new ApiClient(flag ?? process.env["SKEIN_HOST"] ?? process.env["DOCKER_HOST"] ?? DEFAULT_HOST);
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
      const outgoing = request(
        { ...this.#target, method, path: `${path}${text === "" ? "" : `?${text}`}`, headers },
        (response) => {
          // A refusal may come before everything was sent: nobody reads the rest, and the socket would stay.
          response.once("end", () => {
            if (!outgoing.writableFinished) outgoing.destroy();
          });
          resolve(response);
        },
      );
      const { signal } = options;
      if (signal?.aborted === true) outgoing.destroy();
      signal?.addEventListener("abort", () => outgoing.destroy(), { once: true });
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT" || error.code === "ECONNREFUSED" || error.code === "EACCES") {
          reject(
            new UnavailableError(
              `cannot reach skeind at ${this.host} (${error.code}): is it running, and may you use it?`,
              { cause: error },
            ),
          );
        } else reject(error);
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
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  }

  async text(method: string, path: string, options: CallOptions = {}): Promise<string> {
    const response = await this.open(method, path, options);
    const text = await readAll(response);
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
