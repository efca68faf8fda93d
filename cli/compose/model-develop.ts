/**
 * `build` and `develop` of a service in long form: where its image comes from. Pure (types). Rules: model.ts.
 */
import type { Environment, Extended, Size, TextMap } from "./model.js";
import type { HookDoc, UlimitDoc } from "./model-service.js";
import type { FileRefDoc } from "./model-storage.js";

export interface BuildDoc extends Extended {
  /** An absolute path, or an address. */
  readonly context?: string;
  /** Beginning at the context, or absolute. */
  readonly dockerfile?: string;
  readonly dockerfile_inline?: string;
  readonly entitlements?: readonly string[];
  readonly args?: Environment;
  readonly ssh?: Environment;
  readonly labels?: TextMap;
  readonly cache_from?: readonly string[];
  readonly cache_to?: readonly string[];
  readonly no_cache?: boolean;
  readonly no_cache_filter?: readonly string[];
  readonly additional_contexts?: TextMap;
  readonly network?: string;
  readonly provenance?: string | boolean;
  readonly sbom?: string | boolean;
  readonly pull?: boolean;
  readonly target?: string;
  readonly shm_size?: Size;
  readonly extra_hosts?: readonly string[];
  readonly isolation?: string;
  readonly privileged?: boolean;
  readonly secrets?: readonly FileRefDoc[];
  readonly tags?: readonly string[];
  readonly ulimits?: Readonly<Record<string, UlimitDoc>>;
  readonly platforms?: readonly string[];
}

export interface WatchDoc extends Extended {
  readonly path: string;
  readonly action: string;
  readonly target?: string;
  readonly ignore?: readonly string[];
  readonly include?: readonly string[];
  readonly exec?: HookDoc;
  readonly initial_sync?: boolean;
}

export interface DevelopDoc extends Extended {
  readonly watch?: readonly WatchDoc[];
}
