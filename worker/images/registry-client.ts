/**
 * What the image store asks of a registry. Pure (interface only). Implementation: http-registry-client.ts.
 * Source: distribution-spec 1.1.
 */
import type { Descriptor } from "./image-manifest.js";
import type { ImageReference } from "./image-reference.js";
import type { RegistryAuth } from "./image-store.js";

export interface RemoteManifest {
  readonly bytes: Uint8Array;
  /** Of the bytes, and what was asked for when that was a digest. */
  readonly digest: string;
  readonly mediaType: string;
}

/** Where the bytes of a blob go; the receiver checks size and digest. */
export interface BlobSink {
  readonly writtenBytes: number;
  write(chunk: Uint8Array): Promise<void>;
  /** Forgets what was written. */
  restart(): Promise<void>;
}

/** One repository of one registry, with one caller's credentials. */
export interface RegistrySession {
  /**
   * @param what tag or digest.
   * @throws {NotFoundError} with the registry's words; {UnauthenticatedError}; {UnavailableError}.
   */
  fetchManifest(what: string, signal?: AbortSignal): Promise<RemoteManifest>;
  /** Goes on where a broken connection left off. @throws as fetchManifest. */
  fetchBlob(
    descriptor: Descriptor,
    sink: BlobSink,
    options?: { signal?: AbortSignal | undefined; onBytes?: (writtenBytes: number) => void },
  ): Promise<void>;
}

export interface RegistryClient {
  session(reference: ImageReference, auth?: RegistryAuth): RegistrySession;
  close(): void;
}
