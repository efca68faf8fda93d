/**
 * The disk that storage stands on: one flat folder of named files.
 * Pure (interface only). Two implementations: file-disk.ts,
 * and memory-disk.ts which loses and tears writes on demand.
 */

/** A file open for writing. One write at a time: the caller waits for each. */
export interface DiskFile {
  /**
   * Resolves when the bytes would survive a power cut.
   * @throws {Error} with `code` ENOSPC, EIO, … as the system says.
   */
  writeDurably(position: number, bytes: Uint8Array): Promise<void>;
  /**
   * A write of so many bytes would be waited for in this thread: what shall leave before it must leave now.
   */
  holdsThread?(bytes: number): boolean;
  close(): Promise<void>;
}

export interface Disk {
  /** Names of the files in the folder, sorted. */
  list(): Promise<readonly string[]>;
  /** The whole content, undefined when there is no such file. */
  read(name: string): Promise<Buffer | undefined>;
  /**
   * Creates or replaces a file atomically and durably, readable by its owner only. Zeros follow `bytes` up to
   * `sizeBytes`, written out so that later writes inside allocate nothing.
   */
  replace(name: string, bytes: Uint8Array, options?: { sizeBytes?: number }): Promise<void>;
  /** Opens an existing file. */
  open(name: string): Promise<DiskFile>;
  /** Durably; removing what is not there is harmless. */
  remove(name: string): Promise<void>;
}

/** The system's error code (`ENOSPC`, `EIO`) of whatever was thrown. */
export function diskErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
