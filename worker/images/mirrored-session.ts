/**
 * A repository of docker.io that has mirrors: each is asked in turn, docker.io itself last.
 * Pure over the sessions. Invariant: whoever gave the manifest is asked for its blobs first; an error that
 * rises is docker.io's own.
 */
import { codeOf, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Descriptor } from "./image-manifest.js";
import type { BlobSink, RegistrySession, RemoteManifest } from "./registry-client.js";

export class MirroredSession implements RegistrySession {
  /** In the order they are asked. */
  #sessions: readonly RegistrySession[];
  readonly #log: Logger;

  /** @param sessions the mirrors, docker.io itself last. */
  constructor(sessions: readonly RegistrySession[], log: Logger) {
    this.#sessions = sessions;
    this.#log = log;
  }

  fetchManifest(what: string, signal?: AbortSignal): Promise<RemoteManifest> {
    return this.#each((session) => session.fetchManifest(what, signal));
  }

  fetchBlob(
    descriptor: Descriptor,
    sink: BlobSink,
    options: Parameters<RegistrySession["fetchBlob"]>[2] = {},
  ): Promise<void> {
    return this.#each((session) => session.fetchBlob(descriptor, sink, options));
  }

  async #each<T>(ask: (session: RegistrySession) => Promise<T>): Promise<T> {
    let last: unknown;
    for (const session of this.#sessions) {
      try {
        const result = await ask(session);
        this.#sessions = [session, ...this.#sessions.filter((other) => other !== session)];
        return result;
      } catch (error) {
        if (codeOf(error) === "cancelled") throw error;
        this.#log.info("a registry of docker.io could not serve", { error: messageOf(error) });
        last = error;
      }
    }
    throw last;
  }
}
