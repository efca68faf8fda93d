/**
 * The pushing side of a registry session.
 * Edge: HTTP. Invariants: a blob is asked for before it is sent; a broken upload goes on where the registry
 * says it stands; every retry is bounded.
 * Source: distribution-spec 1.1 (push, mount, chunked upload).
 */
import type { IncomingMessage } from "node:http";
import { codeOf, UnavailableError } from "../../base/errors/errors.js";
import type { RegistryExchange } from "./http-registry-exchange.js";
import type { BlobSource, RegistryUploads } from "./registry-client.js";

/** Tries of one blob; those that bring bytes do not count against those of a request, but end here. */
const BLOB_ATTEMPTS_MAX = 30;
/** Tries in a row that bring nothing. */
const FRUITLESS_MAX = 4;
/** A registry sums what it has before it answers the last request of an upload. */
const COMMIT_SILENCE_MAX_MS = 300_000;

export class HttpRegistryUploads implements RegistryUploads {
  readonly #exchange: RegistryExchange;

  constructor(exchange: RegistryExchange) {
    this.#exchange = exchange;
  }

  async hasBlob(digest: string, signal?: AbortSignal): Promise<boolean> {
    return await this.#exchange.retry(signal, async () => {
      const path = `/v2/${this.#exchange.path}/blobs/${digest}`;
      const answer = await this.#exchange.send(path, { method: "HEAD", signal, accepts: [200, 404] });
      answer.resume();
      return answer.statusCode === 200;
    });
  }

  async pushBlob(
    source: BlobSource,
    options: {
      mountFrom?: string | undefined;
      signal?: AbortSignal | undefined;
      onBytes?: (sentBytes: number) => void;
    } = {},
  ): Promise<"mounted" | "pushed"> {
    const { signal } = options;
    const begun = await this.#begin(source.digest, options.mountFrom, signal);
    if (begun === "mounted") return "mounted";
    let place: UploadPlace = { location: begun, offset: 0 };
    let fruitless = 0;
    for (let attempts = 1; ; attempts += 1) {
      try {
        const location = await this.#sendRest(place, source, options);
        await this.#finish(location, source.digest, signal);
        return "pushed";
      } catch (error) {
        if (codeOf(error) !== "unavailable" || attempts >= BLOB_ATTEMPTS_MAX) throw error;
        const next = await this.#placeNow(place, signal);
        fruitless = next.offset > place.offset ? 0 : fruitless + 1;
        if (fruitless >= FRUITLESS_MAX) throw error;
        place = next;
        this.#exchange.log.info("blob upload goes on after a broken connection", {
          digest: source.digest,
          bytes: place.offset,
        });
      }
    }
  }

  async pushManifest(
    what: string,
    bytes: Uint8Array,
    mediaType: string,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#exchange.retry(signal, async () => {
      const answer = await this.#exchange.send(`/v2/${this.#exchange.path}/manifests/${what}`, {
        method: "PUT",
        headers: { "content-type": mediaType, "content-length": String(bytes.byteLength) },
        body: bytes,
        signal,
        silenceMaxMs: COMMIT_SILENCE_MAX_MS,
        accepts: [200, 201, 202],
      });
      answer.resume();
    });
  }

  async #begin(
    digest: string,
    mountFrom: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<"mounted" | URL> {
    return await this.#exchange.retry(signal, async () => {
      const query =
        mountFrom === undefined
          ? ""
          : `?${new URLSearchParams({ mount: digest, from: mountFrom }).toString()}`;
      const answer = await this.#exchange.send(`/v2/${this.#exchange.path}/blobs/uploads/${query}`, {
        method: "POST",
        headers: { "content-length": "0" },
        signal,
        accepts: [201, 202],
      });
      answer.resume();
      return answer.statusCode === 201 ? "mounted" : locationOf(answer, undefined, this.#exchange.base());
    });
  }

  async #sendRest(
    { location, offset }: UploadPlace,
    source: BlobSource,
    options: { signal?: AbortSignal | undefined; onBytes?: (sentBytes: number) => void },
  ): Promise<URL> {
    const answer = await this.#exchange.send(location, {
      method: "PATCH",
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(source.sizeBytes - offset),
        "content-range": `${offset}-${Math.max(offset, source.sizeBytes - 1)}`,
      },
      body: () => counted(source.read(offset), offset, options.onBytes),
      signal: options.signal,
      silenceMaxMs: COMMIT_SILENCE_MAX_MS,
      accepts: [201, 202, 204],
    });
    answer.resume();
    return locationOf(answer, location, this.#exchange.base());
  }

  async #finish(location: URL, digest: string, signal: AbortSignal | undefined): Promise<void> {
    const url = new URL(location);
    url.searchParams.set("digest", digest);
    const answer = await this.#exchange.send(url, {
      method: "PUT",
      headers: { "content-length": "0" },
      signal,
      silenceMaxMs: COMMIT_SILENCE_MAX_MS,
      accepts: [201, 204],
    });
    answer.resume();
  }

  /** Where the registry says the upload stands; a forgotten one begins anew. */
  async #placeNow(place: UploadPlace, signal: AbortSignal | undefined): Promise<UploadPlace> {
    return await this.#exchange.retry(signal, async () => {
      const answer = await this.#exchange.send(place.location, { signal, accepts: [204, 404] });
      answer.resume();
      if (answer.statusCode === 404) {
        const again = await this.#exchange.send(`/v2/${this.#exchange.path}/blobs/uploads/`, {
          method: "POST",
          headers: { "content-length": "0" },
          signal,
          accepts: [202],
        });
        again.resume();
        return { location: locationOf(again, undefined, this.#exchange.base()), offset: 0 };
      }
      const end = Number(/^(?:bytes=)?0-(\d+)$/.exec(answer.headers.range ?? "")?.[1] ?? 0);
      const location = locationOf(answer, place.location, this.#exchange.base());
      return { location, offset: end === 0 ? 0 : end + 1 };
    });
  }
}

interface UploadPlace {
  readonly location: URL;
  readonly offset: number;
}

/** @throws {UnavailableError} the registry names no place. */
function locationOf(answer: IncomingMessage, otherwise: URL | undefined, base: URL): URL {
  const { location } = answer.headers;
  if (location !== undefined && URL.canParse(location, base.href)) return new URL(location, base);
  if (otherwise !== undefined) return otherwise;
  throw new UnavailableError(`${base.host} names no place to send a blob to`);
}

async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  offset: number,
  onBytes: ((sentBytes: number) => void) | undefined,
): AsyncGenerator<Uint8Array> {
  let sentBytes = offset;
  for await (const chunk of bytes) {
    yield chunk;
    sentBytes += chunk.byteLength;
    onBytes?.(sentBytes);
  }
}
