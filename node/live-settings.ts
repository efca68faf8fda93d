/**
 * The engine's settings as they are now. Pure over the reader of the settings file.
 * Invariant: a reload takes what may change while the daemon runs, and nothing of a file that is wrong.
 */
import type { EngineSettings } from "../proto/engine/settings.js";
import { type DaemonOptions, type OptionSources, parseDaemonOptions } from "./daemon-options.js";

/** What a reload takes; the rest needs a restart. */
function reloaded(before: EngineSettings, after: EngineSettings): EngineSettings {
  const { debug, labels, insecureRegistries, registryMirrors } = after;
  const { maxConcurrentDownloads, maxConcurrentUploads, nodeGenericResources } = after;
  const { shmSizeBytes, runtime } = after.container;
  return {
    ...before,
    ...{ debug, labels, insecureRegistries, registryMirrors, maxConcurrentDownloads, maxConcurrentUploads },
    nodeGenericResources,
    container: { ...before.container, shmSizeBytes, runtime },
  };
}

export class LiveSettings {
  readonly #args: readonly string[];
  readonly #sources: OptionSources;
  readonly #listeners = new Set<(settings: EngineSettings) => void>();
  #current: EngineSettings;

  constructor(options: DaemonOptions, args: readonly string[], sources: OptionSources) {
    this.#current = options.settings;
    this.#args = args;
    this.#sources = sources;
  }

  get current(): EngineSettings {
    return this.#current;
  }

  onChange(listener: (settings: EngineSettings) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Reads the settings file again.
   * @returns warnings. @throws {InvalidArgumentError} what is wrong with it; then nothing has changed.
   */
  reload(): readonly string[] {
    const options = parseDaemonOptions(this.#args, this.#sources);
    if (typeof options === "string") return [];
    this.#current = reloaded(this.#current, options.settings);
    for (const listener of this.#listeners) listener(this.#current);
    return options.warnings;
  }
}
