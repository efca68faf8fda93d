/**
 * What skeind and the process that restores a backup say to each other over the IPC channel; the file itself
 * comes on standard input. Pure (types). Keys travel here and in memory only.
 */
import type { NodeAvailability } from "../proto/gen/skein/v1/types.js";
import type { RestoreOutcome, RestoreProgress } from "./restore-state.js";

export interface RestoreConfig {
  /** The manager's folder: empty or missing. */
  readonly dir: string;
  /** Passphrase or recovery key. */
  readonly secret: string;
  /** host:port for other managers. */
  readonly advertiseAddress: string;
  readonly availability: NodeAvailability;
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
  readonly logLevel: string;
}

export type ToRestore = { readonly kind: "start"; readonly config: RestoreConfig };

export type FromRestore =
  | { readonly kind: "progress"; readonly progress: RestoreProgress }
  | { readonly kind: "restored"; readonly outcome: RestoreOutcome }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };
