/**
 * What is asked of the thread that touches containers' files, and what it answers. Pure (types and one
 * window).
 * Each job has a number. Bytes go in chunks, either way at most WINDOW of them under way: the receiver gives
 * one credit for each it has used up.
 */
import type { ErrorCode } from "../../../base/errors/errors.js";
import type { FileChange, PathStat } from "../../../proto/engine/files.js";
import type { OverlayFolders } from "./linux-overlay-changes.js";
import type { RootSource } from "./linux-root-view.js";

/** Chunks under way of one job; with 256 KiB each, 1 MiB. */
export const WINDOW = 4;

export type FileJob =
  | { readonly kind: "stat"; readonly source: RootSource; readonly path: string }
  | { readonly kind: "read"; readonly source: RootSource; readonly path: string }
  | { readonly kind: "export"; readonly source: RootSource }
  | {
      readonly kind: "write";
      readonly source: RootSource;
      readonly path: string;
      readonly noOverwriteDirNonDir: boolean;
      /** Whose everything becomes, by the container's own passwd; undefined: as the tar says. */
      readonly user: string | undefined;
    }
  | { readonly kind: "changes"; readonly folders: OverlayFolders; readonly ignored: readonly string[] }
  | { readonly kind: "size"; readonly folder: string };

export type ToFileThread =
  | { readonly kind: "start"; readonly id: number; readonly job: FileJob }
  | { readonly kind: "chunk"; readonly id: number; readonly chunk: Uint8Array }
  | { readonly kind: "end"; readonly id: number }
  | { readonly kind: "credit"; readonly id: number }
  | { readonly kind: "cancel"; readonly id: number };

export type FileResult =
  | { readonly kind: "done" }
  | { readonly kind: "stat"; readonly stat: PathStat }
  | { readonly kind: "changes"; readonly changes: readonly FileChange[] }
  | { readonly kind: "size"; readonly bytes: number };

export type FromFileThread =
  | { readonly kind: "stat"; readonly id: number; readonly stat: PathStat }
  | { readonly kind: "chunk"; readonly id: number; readonly chunk: Uint8Array }
  | { readonly kind: "credit"; readonly id: number }
  | { readonly kind: "done"; readonly id: number; readonly result: FileResult }
  | { readonly kind: "failed"; readonly id: number; readonly code: ErrorCode; readonly message: string };
