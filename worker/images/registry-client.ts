/**
 * What the image store asks of a registry. Pure (interface only). Implementation: http-registry-client.ts.
 * Source: distribution-spec 1.1.
 */
import type { Descriptor } from "./image-manifest.js";
import type { ImageReference } from "./image-reference.js";
import type { RegistryAuth, RegistryOptions } from "./image-store.js";

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

/** A blob on its way to a registry; it may be read several times. */
export interface BlobSource {
  readonly digest: string;
  readonly sizeBytes: number;
  read(offset: number): AsyncIterable<Uint8Array>;
}

/** One repository that is pushed to. All throw as RegistrySession, and {PermissionDeniedError}. */
export interface RegistryUploads {
  hasBlob(digest: string, signal?: AbortSignal): Promise<boolean>;
  /** @param options mountFrom: another repository of the registry that may have it. */
  pushBlob(
    source: BlobSource,
    options?: {
      mountFrom?: string | undefined;
      signal?: AbortSignal | undefined;
      onBytes?: (sentBytes: number) => void;
    },
  ): Promise<"mounted" | "pushed">;
  pushManifest(what: string, bytes: Uint8Array, mediaType: string, signal?: AbortSignal): Promise<void>;
}

export interface RegistryClient {
  /** @param purpose describe: errors are in the registry's own words. @default pull */
  session(reference: ImageReference, auth?: RegistryAuth, purpose?: "pull" | "describe"): RegistrySession;
  uploads(reference: ImageReference, auth?: RegistryAuth): RegistryUploads;
  /** All tags of a repository, in the registry's order. @throws as fetchManifest. */
  listTags(
    reference: ImageReference,
    options: { auth?: RegistryAuth | undefined; signal?: AbortSignal | undefined },
  ): Promise<readonly string[]>;
  /** @returns the identity token the registry gives for the credentials, or "". */
  authenticate(domain: string, auth: RegistryAuth, signal?: AbortSignal): Promise<string>;
  /** A small JSON answer. @param path begins with a slash. */
  getJson(
    domain: string,
    path: string,
    options: { auth?: RegistryAuth | undefined; signal?: AbortSignal | undefined },
  ): Promise<unknown>;
  /** Counts from the next session on. */
  setOptions(options: RegistryOptions): void;
  close(): void;
}
