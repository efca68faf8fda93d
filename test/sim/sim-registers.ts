/**
 * The replicated state of a simulated cluster: a few registers, and a digest of all that was ever applied.
 * Pure. Invariant: equal histories give equal digests, so that a peer that applied anything else, twice or
 * in another order shows at once.
 */

import type { Entry } from "../../raft/core/types.js";
import { EntryKind } from "../../raft/log/make-entry.js";
import type { RegisterInput, RegisterOutput } from "../support/history/register-model.js";

export const KEYS = 4;

/** What a client asks of the log. `operation` tells it from every other one of the run. */
export type Command =
  | { readonly operation: number; readonly kind: "write"; readonly key: number; readonly value: number }
  | {
      readonly operation: number;
      readonly kind: "compare-and-set";
      readonly key: number;
      readonly expected: number;
      readonly value: number;
    }
  /** Touches no register: bytes for the log. */
  | { readonly operation: number; readonly kind: "filler" };

const COMMAND_BYTES = 14;
const KINDS = ["filler", "write", "compare-and-set"] as const;

/** @param padding bytes added, so that sizes differ. */
export function encodeCommand(command: Command, padding = 0): Uint8Array {
  const data = new Uint8Array(COMMAND_BYTES + padding);
  putUint32(data, 0, command.operation);
  data[4] = KINDS.indexOf(command.kind);
  if (command.kind !== "filler") {
    data[5] = command.key;
    putUint32(data, 6, command.value);
    if (command.kind === "compare-and-set") putUint32(data, 10, command.expected);
  }
  return data;
}

/** undefined: an entry of Raft's own, or a membership change. */
export function decodeCommand({ kind, data }: Pick<Entry, "kind" | "data">): Command | undefined {
  if (kind !== EntryKind.NORMAL || data.length < COMMAND_BYTES) return undefined;
  const operation = getUint32(data, 0);
  const word = KINDS[data[4] ?? 0];
  const key = data[5] ?? 0;
  const value = getUint32(data, 6);
  if (word === "write") return { operation, kind: word, key, value };
  if (word === "compare-and-set") return { operation, kind: word, key, value, expected: getUint32(data, 10) };
  return { operation, kind: "filler" };
}

/** The number of the client's operation inside an entry; 0 for those of Raft itself. */
export function operationOf(entry: Entry): number {
  if (entry.kind !== EntryKind.NORMAL || entry.data.length < COMMAND_BYTES) return 0;
  return getUint32(entry.data, 0);
}

/** Immutable: a snapshot is a reference. */
export interface Registers {
  readonly digest: number;
  readonly values: readonly number[];
}

export const NO_REGISTERS: Registers = { digest: 0, values: new Array<number>(KEYS).fill(0) };

/** The state after one more entry, and what its proposer is told. */
export function applyEntry(
  state: Registers,
  entry: Entry,
): { readonly state: Registers; readonly isDone: boolean } {
  const digest = extendDigest(state.digest, entry);
  const command = decodeCommand(entry);
  if (command === undefined || command.kind === "filler")
    return { state: { digest, values: state.values }, isDone: true };
  if (command.kind === "compare-and-set" && state.values[command.key] !== command.expected)
    return { state: { digest, values: state.values }, isDone: false };
  return { state: { digest, values: state.values.with(command.key, command.value) }, isDone: true };
}

/** The operation as a history knows it. */
export function inputOf(command: Exclude<Command, { kind: "filler" }>): RegisterInput {
  const key = `k${command.key}`;
  return command.kind === "write"
    ? { kind: "write", key, value: command.value }
    : { kind: "compare-and-set", key, expected: command.expected, value: command.value };
}

export function outputOf(command: Command, isDone: boolean): RegisterOutput {
  if (command.kind === "write") return { kind: "written" };
  return { kind: isDone ? "set" : "mismatch" };
}

/** Tells an entry from another one of the same place. */
export function fingerprintOf(entry: Entry): number {
  const { data } = entry;
  let hash = entry.kind === EntryKind.NORMAL ? 1 : 2;
  const end = Math.min(data.length, 32);
  for (let at = 0; at < end; at++) hash = Math.imul(hash ^ (data[at] ?? 0), 0x01000193);
  return Math.imul(hash ^ data.length, 0x01000193) >>> 0;
}

function extendDigest(digest: number, entry: Entry): number {
  let next = Math.imul(digest ^ entry.term, 0x01000193);
  next = Math.imul(next ^ fingerprintOf(entry), 0x85ebca6b);
  return (next ^ (next >>> 15)) >>> 0;
}

function putUint32(data: Uint8Array, at: number, value: number): void {
  data[at] = value >>> 24;
  data[at + 1] = value >>> 16;
  data[at + 2] = value >>> 8;
  data[at + 3] = value;
}

function getUint32(data: Uint8Array, at: number): number {
  const high = (data[at] ?? 0) * 0x1000000;
  return high + (((data[at + 1] ?? 0) << 16) | ((data[at + 2] ?? 0) << 8) | (data[at + 3] ?? 0));
}
