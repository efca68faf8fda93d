/**
 * What of a node changed, as bits, so that only those look again whom it concerns; and the journal of
 * changes.
 * Pure. Invariant: who has read up to `end` and reads again sees every node that changed since, or is told
 * that too much was forgotten.
 */
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability } from "../../proto/gen/skein/v1/types.js";
import { deepEqual } from "../orchestrator/spec-equality.js";

export const NodeChange = {
  /** State and availability. */
  readiness: 1,
  /** Labels, role, names, address. */
  labels: 2,
  /** Platform, capacity, plugins, devices. */
  description: 4,
  /** A task gave CPUs, memory or generic resources back. */
  room: 8,
  /** A task gave a host port back. */
  ports: 16,
  /** Fewer tasks of a service should run here. */
  count: 32,
  /** Something was taken, or the order of nodes may be another: nothing gets possible by it. */
  taken: 64,
} as const;

/** The node itself, not what its tasks hold. */
export const NODE_ITSELF = NodeChange.readiness | NodeChange.labels | NodeChange.description;
export const EVERYTHING = 127;

/** @returns the bits of what differs between two versions of a node. */
export function nodeChanges(before: Node, after: Node): number {
  let bits = 0;
  const availability = (node: Node): NodeAvailability => node.spec?.availability ?? NodeAvailability.ACTIVE;
  if (before.status?.state !== after.status?.state || availability(before) !== availability(after)) {
    bits |= NodeChange.readiness;
  }
  if (
    before.role !== after.role ||
    before.status?.address !== after.status?.address ||
    !deepEqual(before.spec?.annotations, after.spec?.annotations)
  ) {
    bits |= NodeChange.labels;
  }
  if (!deepEqual(before.description, after.description)) {
    bits |= NodeChange.labels | NodeChange.description; // host name and engine labels are in there, too
  }
  return bits;
}

/** Entries kept beyond the number of nodes. Who lags further makes everything anew. */
const JOURNAL_SPARE = 4_096;

export class ChangeJournal {
  readonly #nodes: number[] = [];
  readonly #bits: number[] = [];
  /** Number of the first entry kept. */
  #start = 0;

  /** Number that the next entry gets. */
  get end(): number {
    return this.#start + this.#nodes.length;
  }

  /** @param node its number in the set. @param nodeCount how many there are. */
  note(node: number, bits: number, nodeCount: number): void {
    this.#nodes.push(node);
    this.#bits.push(bits);
    const kept = nodeCount + JOURNAL_SPARE;
    if (this.#nodes.length < 2 * kept) return;
    this.#start += this.#nodes.length - kept;
    this.#nodes.splice(0, this.#nodes.length - kept);
    this.#bits.splice(0, this.#bits.length - kept);
  }

  /** @returns false when entries since are forgotten: then `read` was not called. */
  since(from: number, read: (node: number, bits: number) => void): boolean {
    if (from < this.#start) return false;
    for (let at = from - this.#start; at < this.#nodes.length; at++) {
      read(this.#nodes[at] ?? 0, this.#bits[at] ?? 0);
    }
    return true;
  }
}
