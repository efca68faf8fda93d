/**
 * One HTTP exchange as the routes see it: parameters, filters, body in, reply out. Edge: to node:http.
 * Bodies are bounded; errors are answered as {"message"} with the status of base/errors/status.ts.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  codeOf,
  InvalidArgumentError,
  messageOf,
  ResourceExhaustedError,
  TooLargeError,
} from "../base/errors/errors.js";
import { STATUS } from "../base/errors/status.js";
import { Fields } from "./convert/fields.js";
import type { JsonValue } from "./convert/shape.js";
import { type HijackedConnection, hijack, readUpgradeBody, type UpgradeParts } from "./http-hijack.js";

/** Bytes of a JSON body: a service spec with a 500 KiB secret beside it still fits. */
const JSON_BODY_BYTES_MAX = 8 * 1024 * 1024;

/** What a timer can wait at most: 24.8 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface Reply {
  readonly status: number;
  readonly json?: JsonValue | undefined;
}

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: URLSearchParams;
  #upgrade: UpgradeParts | undefined;

  constructor(parts: {
    request: IncomingMessage;
    response: ServerResponse;
    params: Readonly<Record<string, string | undefined>>;
    query: URLSearchParams;
    /** The client asked to leave HTTP: the body, if any, is still in the socket. */
    upgrade?: UpgradeParts;
  }) {
    this.request = parts.request;
    this.response = parts.response;
    this.params = parts.params;
    this.query = parts.query;
    this.#upgrade = parts.upgrade;
  }

  /** A path parameter; routes name only those their path has. */
  param(name: string): string {
    return this.params[name] ?? "";
  }

  /** A boolean of the query as Docker reads it: "", 0, no, false, none are false. */
  flag(name: string): boolean {
    const value = (this.query.get(name) ?? "").toLowerCase().trim();
    return !["", "0", "no", "false", "none"].includes(value);
  }

  /** The object's version, which every update must name. @throws {InvalidArgumentError} */
  version(): number {
    const text = this.query.get("version") ?? "";
    if (!/^\d+$/.test(text))
      throw new InvalidArgumentError(`invalid object version ${JSON.stringify(text)}: it must be a number`);
    return Number(text);
  }

  header(name: string): string {
    const value = this.request.headers[name.toLowerCase()];
    return Array.isArray(value) ? (value[0] ?? "") : (value ?? "");
  }

  /** The JSON object sent. @throws {TooLargeError} more than 8 MiB; {InvalidArgumentError} no JSON. */
  /** @param options required: whether an empty one is refused. @default false */
  async body(options: { required?: boolean } = {}): Promise<Fields> {
    if (this.#upgrade !== undefined) return this.#upgradeBody(this.#upgrade);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of this.bytes()) {
      size += chunk.length;
      if (size > JSON_BODY_BYTES_MAX) {
        this.request.resume(); // the rest is read and dropped, so that the client comes to read the answer
        throw new TooLargeError(`the body must have at most ${JSON_BODY_BYTES_MAX} bytes`);
      }
      chunks.push(chunk);
    }
    if (options.required === true && size === 0)
      throw new InvalidArgumentError("got EOF while reading request body");
    return jsonFields(Buffer.concat(chunks), this.header("content-type"));
  }

  /** The body as it comes. Not destroyed when reading ends early: the connection must stay for the answer. */
  bytes(): AsyncIterable<Buffer> {
    return this.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>; // no encoding is set
  }

  /** What belongs to the request is no input of what follows it: some clients repeat the query as a body. */
  async dropUpgradeBody(): Promise<void> {
    const read = this.#upgrade === undefined ? undefined : await readUpgradeBody(this.request, this.#upgrade);
    if (read !== undefined) this.#upgrade = read.upgrade;
  }

  async #upgradeBody(upgrade: UpgradeParts): Promise<Fields> {
    const read = await readUpgradeBody(this.request, upgrade);
    if (read === undefined)
      throw new TooLargeError(`the body must be whole and have at most ${JSON_BODY_BYTES_MAX} bytes`);
    this.#upgrade = read.upgrade;
    return jsonFields(read.body, this.header("content-type"));
  }

  /** Minor number of the version in the path; without one, the newest: infinity. */
  apiMinor(): number {
    return Number(/^\/v1\.(\d+)\//.exec(this.request.url ?? "")?.[1] ?? Number.POSITIVE_INFINITY);
  }

  /** For what answers an upgrade in its own words; undefined when none was asked for. */
  get upgrade(): UpgradeParts | undefined {
    return this.#upgrade;
  }

  /** Leaves HTTP: the head of the answer is sent, and bytes go both ways. */
  hijack(contentType: string): HijackedConnection {
    return hijack({ request: this.request, response: this.response, upgrade: this.#upgrade }, contentType);
  }

  /** Begins a streamed answer. */
  startStream(contentType: string): ServerResponse {
    this.response.writeHead(200, { "content-type": contentType });
    this.response.flushHeaders();
    return this.response;
  }

  /** Writes and waits when the client is slow. @returns false once the client is gone. */
  async write(data: string | Uint8Array): Promise<boolean> {
    const { response } = this;
    if (response.destroyed || response.writableEnded) return false;
    if (response.write(data)) return true;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        response.off("drain", go);
        response.off("close", go);
        resolve();
      };
      response.once("drain", go);
      response.once("close", go);
    });
    return !response.destroyed;
  }

  /**
   * A signal that fires when the client goes away, or after `withinMs`. Not AbortSignal.any with
   * AbortSignal.timeout: Node 20 may collect the latter, and then it never fires.
   */
  gone(options: { withinMs?: number } = {}): AbortSignal {
    const abort = new AbortController();
    const { withinMs } = options;
    const timer =
      withinMs === undefined
        ? undefined
        : setTimeout(() => abort.abort(), Math.min(Math.max(0, withinMs), TIMER_MS_MAX));
    const over = (): void => {
      clearTimeout(timer);
      abort.abort();
    };
    if (this.response.destroyed)
      over(); // gone while the route waited for something else: "close" does not come again
    else this.response.once("close", over);
    return abort.signal;
  }
}

/**
 * A form that a page of another site sends has another type, and no browser lets it choose this one.
 * @throws {InvalidArgumentError} in dockerd's words
 */
function checkJsonType(type: string): void {
  const plain = type.split(";")[0]?.trim().toLowerCase() ?? "";
  if (plain !== "" && plain !== "application/json")
    throw new InvalidArgumentError(`unsupported Content-Type header (${plain}): must be 'application/json'`);
}

function jsonFields(bytes: Buffer, type: string): Fields {
  const text = bytes.toString("utf8");
  if (text.trim() === "") return Fields.of({});
  checkJsonType(type);
  try {
    return Fields.of(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) {
      // the rest quotes the body, which may hold a secret
      const place = /at position \d+/.exec(error.message)?.[0];
      throw new InvalidArgumentError(`the body must be JSON${place === undefined ? "" : `: wrong ${place}`}`);
    }
    throw error;
  }
}

export function sendReply(response: ServerResponse, reply: Reply): void {
  if (reply.json === undefined) {
    response.writeHead(reply.status, { "content-length": "0" });
    response.end();
    return;
  }
  const text = `${JSON.stringify(reply.json)}\n`;
  response.writeHead(reply.status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
}

/** The answer to an error; once a stream has begun, only its end can tell. */
export function sendError(response: ServerResponse, error: unknown): number {
  const status = STATUS[codeOf(error)].http;
  if (response.headersSent) {
    response.end();
    return status;
  }
  const retryAfterMs = error instanceof ResourceExhaustedError ? error.retryAfterMs : undefined;
  // Whole seconds, as RFC 9110 10.2.3 has it; the text says it more exactly.
  if (retryAfterMs !== undefined)
    response.setHeader("retry-after", Math.max(1, Math.ceil(retryAfterMs / 1000)));
  const hint = retryAfterMs === undefined ? "" : ` (retry after ${Math.ceil(retryAfterMs)} ms)`;
  sendReply(response, { status, json: { message: `${messageOf(error)}${hint}` } });
  return status;
}
