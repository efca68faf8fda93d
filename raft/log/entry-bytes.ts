/**
 * The size of entries as every bound counts it: payload plus a fixed overhead for term, index and framing.
 * Pure.
 */
import type { Entry } from "../core/types.js";

/** Upper estimate of an entry's encoded bytes besides its payload. */
export const ENTRY_OVERHEAD_BYTES = 24;

export function entryBytes(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

export function entriesBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  return bytes;
}

/** Copies `entries[start..end)`, cut before the entry that would exceed `bytesMax`, but never to nothing. */
export function sliceByBytes(
  entries: readonly Entry[],
  range: { readonly start: number; readonly end: number },
  bytesMax: number,
): readonly Entry[] {
  let bytes = 0;
  let cut = range.start;
  while (cut < range.end) {
    const entry = entries[cut];
    if (entry === undefined) break;
    bytes += entryBytes(entry);
    if (bytes > bytesMax && cut > range.start) break;
    cut += 1;
  }
  return entries.slice(range.start, cut);
}
