/**
 * The pulling side of a registry session.
 * Edge: HTTP. Invariant: bytes are handed on only after their digest or size can be checked by the receiver.
 * Source: distribution-spec 1.1 (pull).
 */
import type { IncomingMessage } from "node:http";
import { codeOf, DataLossError, type SkeinError, UnavailableError } from "../../base/errors/errors.js";
import { sha256Of } from "./chain-ids.js";
import { readSmallBody } from "./http-registry-auth.js";
import type { RegistryExchange } from "./http-registry-exchange.js";
import { translate } from "./http-registry-transport.js";
import { type Descriptor, MEDIA_TYPE } from "./image-manifest.js";
import { isDigest } from "./image-reference.js";
import type { BlobSink, RegistrySession, RemoteManifest } from "./registry-client.js";

const MANIFEST_BYTES_MAX = 4 * 2 ** 20;
/** Tries of one blob; those that bring bytes do not count against those of a request, but end here. */
const BLOB_ATTEMPTS_MAX = 30;

const ACCEPT = [
  MEDIA_TYPE.ociIndex,
  MEDIA_TYPE.dockerIndex,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.dockerManifest,
].join(", ");

export class HttpRegistrySession implements RegistrySession {
  readonly #exchange: RegistryExchange;

  constructor(exchange: RegistryExchange) {
    this.#exchange = exchange;
  }

  async fetchManifest(what: string, signal?: AbortSignal): Promise<RemoteManifest> {
    return await this.#exchange.retry(signal, async () => {
      const answer = await this.#exchange.send(`/v2/${this.#exchange.path}/manifests/${what}`, {
        headers: { accept: ACCEPT },
        signal,
      });
      const bytes = await readSmallBody(answer, this.#exchange.place, signal, MANIFEST_BYTES_MAX);
      const digest = sha256Of(bytes);
      if (isDigest(what) && digest !== what)
        throw new DataLossError(
          `manifest ${what} of ${this.#exchange.name} has the wrong digest: its bytes give ${digest}`,
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
      const failed = await this.#exchange.retry(signal, () =>
        this.#receive(descriptor, sink, options, before),
      );
      if (failed === undefined) return;
      if (attempts >= BLOB_ATTEMPTS_MAX) throw failed;
      this.#exchange.log.info("blob download goes on after a broken connection", {
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
    const answer = await this.#exchange.send(`/v2/${this.#exchange.path}/blobs/${descriptor.digest}`, {
      headers: range,
      signal: options.signal,
    });
    if (sink.writtenBytes > 0 && !continuesAt(answer, sink.writtenBytes)) await sink.restart();
    const broken = await this.#copy(answer, sink, options);
    if (sink.writtenBytes >= descriptor.sizeBytes) return undefined;
    const error =
      broken ??
      new UnavailableError(
        `${this.#exchange.place.host} ended blob ${descriptor.digest} after ${sink.writtenBytes} of ` +
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
          return translate(error, this.#exchange.place, options.signal);
        }
        if (next.done === true) return undefined;
        await sink.write(next.value);
        options.onBytes?.(sink.writtenBytes);
      }
    } finally {
      answer.destroy();
    }
  }
}

/** A server may ignore the range and send the whole. */
function continuesAt(answer: IncomingMessage, offset: number): boolean {
  return answer.statusCode === 206 && (answer.headers["content-range"] ?? "").startsWith(`bytes ${offset}-`);
}
