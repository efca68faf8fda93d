/**
 * Volumes, secrets and configs of a compose project, and how a service uses them, in long form. Pure (types).
 * Rules: model.ts.
 */
import type { Extended, Size, TextMap } from "./model.js";

export interface NamedDoc extends Extended {
  /** The name in the cluster; without it STACK_key. External: always there. */
  readonly name?: string;
  /** `external: {name: …}` is true, with `name`. */
  readonly external?: boolean;
  readonly labels?: TextMap;
}

export interface VolumeDoc extends NamedDoc {
  readonly driver?: string;
  readonly driver_opts?: TextMap;
}

/** A secret or a config. */
export interface FileDoc extends NamedDoc {
  /** An absolute path. */
  readonly file?: string;
  /** Name of a variable. */
  readonly environment?: string;
  /** The data itself. */
  readonly content?: string;
  /** Of secrets alone, with its options. */
  readonly driver?: string;
  readonly driver_opts?: TextMap;
  readonly template_driver?: string;
}

/** A service's use of a secret or config. */
export interface FileRefDoc extends Extended {
  readonly source: string;
  readonly target?: string;
  readonly uid?: string;
  readonly gid?: string;
  readonly mode?: number;
}

export interface MountDoc extends Extended {
  /** bind, volume, tmpfs, image, cluster, npipe */
  readonly type: string;
  readonly source?: string;
  readonly target: string;
  readonly read_only?: boolean;
  readonly consistency?: string;
  readonly bind?: {
    readonly propagation?: string;
    readonly create_host_path?: boolean;
    readonly recursive?: string;
    readonly selinux?: string;
  } & Extended;
  readonly volume?: {
    readonly labels?: TextMap;
    readonly nocopy?: boolean;
    readonly subpath?: string;
  } & Extended;
  readonly tmpfs?: { readonly size?: Size; readonly mode?: number } & Extended;
  readonly image?: { readonly subpath?: string } & Extended;
  /** Of the version 3 files: no keys of its own. */
  readonly cluster?: Extended;
}
