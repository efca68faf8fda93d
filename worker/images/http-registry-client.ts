/**
 * The registry client, protocol v2.
 * Edge: HTTP. Invariants: bytes are handed on only after their digest or size can be checked by the receiver;
 * every retry is bounded; errors carry the registry's own words.
 * Source: distribution-spec 1.1 (pull); texts as the stock Docker daemon gives them.
 */
import type { IncomingMessage } from "node:http";
import type { Clock } from "../../base/clock/clock.js";
import {
  codeOf,
  DataLossError,
  InvalidArgumentError,
  NotFoundError,
  type SkeinError,
  UnauthenticatedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { Backoff } from "../../base/loop/backoff.js";
import type { Random } from "../../base/random/random.js";
import { sha256Of } from "./chain-ids.js";
import { RegistryAuthorizer, readSmallBody } from "./http-registry-auth.js";
import { RegistryTransport, type TransportInit, translate } from "./http-registry-transport.js";
import { type Descriptor, MEDIA_TYPE } from "./image-manifest.js";
import { familiarReference, type ImageReference, isDigest } from "./image-reference.js";
import type { RegistryAuth } from "./image-store.js";
import { registryWordsOf } from "./registry-challenge.js";
import type { BlobSink, RegistryClient, RegistrySession, RemoteManifest } from "./registry-client.js";

const MANIFEST_BYTES_MAX = 4 * 2 ** 20;
/** Tries of one request before its error rises. */
const ATTEMPTS_MAX = 4;
/** Tries of one blob; those that bring bytes do not count against ATTEMPTS_MAX, but end here. */
const BLOB_ATTEMPTS_MAX = 30;
const PAUSE = { initialMs: 200, maxMs: 5_000 } as const;
/** Transports kept at once, one per registry; the oldest goes. */
const TRANSPORTS_MAX = 32;

const ACCEPT = [
  MEDIA_TYPE.ociIndex,
  MEDIA_TYPE.dockerIndex,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.dockerManifest,
].join(", ");

export interface RegistryClientComponents {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: Random;
}

export function createHttpRegistryClient(
  components: RegistryClientComponents,
  init: TransportInit,
): RegistryClient {
  const transports = new Map<string, RegistryTransport>();
  return {
    session(reference, auth) {
      let transport = transports.get(reference.domain);
      if (transport === undefined) {
        const oldest = transports.size >= TRANSPORTS_MAX ? transports.keys().next().value : undefined;
        if (oldest !== undefined) transports.delete(oldest); // sessions that still use it keep it alive
        transport = new RegistryTransport(reference.domain, init);
        transports.set(reference.domain, transport);
      }
      return new HttpRegistrySession(components, transport, reference, auth);
    },
    close() {
      for (const transport of transports.values()) transport.close();
      transports.clear();
    },
  };
}

class HttpRegistrySession implements RegistrySession {
  readonly #components: RegistryClientComponents;
  readonly #transport: RegistryTransport;
  readonly #reference: ImageReference;
  readonly #authorizer: RegistryAuthorizer;

  constructor(
    components: RegistryClientComponents,
    transport: RegistryTransport,
    reference: ImageReference,
    auth: RegistryAuth | undefined,
  ) {
    this.#components = components;
    this.#transport = transport;
    this.#reference = reference;
    this.#authorizer = new RegistryAuthorizer({ transport, path: reference.path, auth });
  }

  async fetchManifest(what: string, signal?: AbortSignal): Promise<RemoteManifest> {
    return await this.#retry(signal, async () => {
      const answer = await this.#send(
        `/v2/${this.#reference.path}/manifests/${what}`,
        { accept: ACCEPT },
        signal,
      );
      const bytes = await readSmallBody(answer, this.#place, signal, MANIFEST_BYTES_MAX);
      const digest = sha256Of(bytes);
      if (isDigest(what) && digest !== what)
        throw new DataLossError(
          `manifest ${what} of ${this.#name} has the wrong digest: its bytes give ${digest}`,
        );
      return { bytes, digest, mediaType: (answer.headers["content-type"] ?? "").split(";", 1)[0] ?? "" };
    });
  }

  async fetchBlob(
    descriptor: Descriptor,
    sink: BlobSink,
    options: { signal?: AbortSignal | undefined; onBytes?: (writtenBytes: number) => void } = {},
  ): Promise<void> {
    const { signal } = options;
    for (let attempts = 1; ; attempts += 1) {
      const before = sink.writtenBytes;
      const failed = await this.#retry(signal, () => this.#receive(descriptor, sink, options, before));
      if (failed === undefined) return;
      if (attempts >= BLOB_ATTEMPTS_MAX) throw failed;
      this.#components.log.info("blob download goes on after a broken connection", {
        digest: descriptor.digest,
        bytes: sink.writtenBytes,
      });
    }
  }

  /**
   * One connection's worth.
   * @returns the error that broke it when it brought bytes, so that the tries begin anew.
   */
  async #receive(
    descriptor: Descriptor,
    sink: BlobSink,
    options: { signal?: AbortSignal | undefined; onBytes?: (writtenBytes: number) => void },
    before: number,
  ): Promise<SkeinError | undefined> {
    const range: Record<string, string> =
      sink.writtenBytes > 0 ? { range: `bytes=${sink.writtenBytes}-` } : {};
    const answer = await this.#send(
      `/v2/${this.#reference.path}/blobs/${descriptor.digest}`,
      range,
      options.signal,
    );
    if (sink.writtenBytes > 0 && !continuesAt(answer, sink.writtenBytes)) await sink.restart();
    const broken = await this.#copy(answer, sink, options);
    if (sink.writtenBytes >= descriptor.sizeBytes) return undefined;
    const error =
      broken ??
      new UnavailableError(
        `${this.#place.host} ended blob ${descriptor.digest} after ${sink.writtenBytes} of ` +
          `${descriptor.sizeBytes} bytes`,
      );
    if (codeOf(error) === "unavailable" && sink.writtenBytes > before) return error;
    throw error;
  }

  /** @returns what broke the connection; what the sink throws rises. */
  async #copy(
    answer: IncomingMessage,
    sink: BlobSink,
    options: { signal?: AbortSignal | undefined; onBytes?: (writtenBytes: number) => void },
  ) {
    const chunks = (answer as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
    try {
      for (;;) {
        let next: IteratorResult<Uint8Array>;
        try {
          next = await chunks.next();
        } catch (error) {
          return translate(error, this.#place, options.signal);
        }
        if (next.done === true) return undefined;
        await sink.write(next.value);
        options.onBytes?.(sink.writtenBytes);
      }
    } finally {
      answer.destroy();
    }
  }

  /** Sends, answers one challenge, and turns a refusal into an error. */
  async #send(
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    const attempt = (): Promise<IncomingMessage> =>
      this.#transport.send(path, { headers: { ...headers, ...this.#authorizer.headers() }, signal });
    let answer = await attempt();
    if (answer.statusCode === 401) {
      answer.resume();
      try {
        await this.#authorizer.answer(answer.headers["www-authenticate"], signal);
      } catch (error) {
        if (error instanceof UnauthenticatedError) throw this.#unauthenticated(error.message, error);
        throw error;
      }
      answer = await attempt();
    }
    const status = answer.statusCode ?? 0;
    if (status === 200 || status === 206) return answer;
    throw this.#refusal(path, status, await readSmallBody(answer, this.#place, signal));
  }

  #refusal(path: string, status: number, body: Buffer): SkeinError {
    const words = registryWordsOf(body.toString("utf8"), status);
    const what = path.includes("/manifests/")
      ? `manifest for ${this.#name}`
      : `blob ${path.slice(path.lastIndexOf("/") + 1)} of ${this.#name}`;
    if (status === 401) return this.#unauthenticated(words.text);
    if (status === 403 || words.code === "DENIED") return new NotFoundError(this.#denied(words.text));
    if (words.code === "NAME_UNKNOWN")
      return new NotFoundError(`repository ${this.#repository} not found: ${words.text}`);
    if (status === 404) return new NotFoundError(`${what} not found: ${words.text}`);
    if (status >= 500 || status === 429)
      return new UnavailableError(`${what}: the registry failed: ${words.text}`);
    return new InvalidArgumentError(`${what}: the registry refused: ${words.text}`);
  }

  #unauthenticated(words: string, cause?: unknown): UnauthenticatedError {
    return new UnauthenticatedError(this.#denied(words), { cause });
  }

  #denied(words: string): string {
    return (
      `pull access denied for ${this.#repository}, repository does not exist or may require 'docker ` +
      `login': ${words}`
    );
  }

  get #name(): string {
    return familiarReference(this.#reference);
  }

  get #repository(): string {
    return familiarReference({ ...this.#reference, tag: undefined, digest: undefined });
  }

  get #place(): { readonly host: string } {
    return { host: this.#reference.domain };
  }

  async #retry<T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
    const backoff = new Backoff(this.#components.random, PAUSE);
    for (let attempts = 1; ; attempts += 1) {
      try {
        return await task();
      } catch (error) {
        if (codeOf(error) !== "unavailable" || attempts >= ATTEMPTS_MAX) throw error;
        await this.#components.clock.sleep(backoff.nextMs(), signal === undefined ? {} : { signal });
      }
    }
  }
}

/** A server may ignore the range and send the whole. */
function continuesAt(answer: IncomingMessage, offset: number): boolean {
  return answer.statusCode === 206 && (answer.headers["content-range"] ?? "").startsWith(`bytes ${offset}-`);
}
