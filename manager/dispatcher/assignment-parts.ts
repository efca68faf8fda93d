/**
 * Cuts a change of what a node knows into messages of bounded size.
 * Pure. Invariant: the parts in order say exactly what the whole says; only the last has `more` unset.
 */
import type { AssignmentSet, NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import type { ResourceChanges } from "./node-resources.js";

/** Resources and removals per message; at some 400 bytes each far below gRPC's 4 MiB limit. */
export const PART_ITEMS_MAX = 1_000;
/** Bytes of secret and config data per message; one alone may have 1000 KiB. */
export const PART_DATA_BYTES_MAX = 1024 * 1024;

export interface PartsOptions {
  readonly complete: boolean;
  readonly baseRevision: number;
  readonly revision: number;
  /** Milliseconds; undefined: the set takes no task out of traffic. */
  readonly drainWaitMs?: number;
}

function dataBytes(resource: NodeResource): number {
  const inner = resource.resource;
  return inner?.$case === "secret" || inner?.$case === "config" ? inner.value.data.length : 0;
}

/** @returns at least one part, also of no change. */
export function assignmentParts(changes: ResourceChanges, options: PartsOptions): readonly AssignmentSet[] {
  const parts: AssignmentSet[] = [];
  let upserts: NodeResource[] = [];
  let removals = changes.removals.slice(0, PART_ITEMS_MAX);
  let bytes = 0;
  const flush = (more: boolean): void => {
    parts.push({ ...options, upserts, removals, more });
    upserts = [];
    removals = [];
    bytes = 0;
  };
  for (let at = PART_ITEMS_MAX; at < changes.removals.length; at += PART_ITEMS_MAX) {
    flush(true);
    removals = changes.removals.slice(at, at + PART_ITEMS_MAX);
  }
  for (const resource of changes.upserts) {
    const size = dataBytes(resource);
    const full = upserts.length + removals.length >= PART_ITEMS_MAX || bytes + size > PART_DATA_BYTES_MAX;
    if (full && upserts.length + removals.length > 0) flush(true);
    upserts.push(resource);
    bytes += size;
  }
  flush(false);
  return parts;
}
