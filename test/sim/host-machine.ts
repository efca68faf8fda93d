/**
 * The state machine of a simulated host: the registers of sim-registers.ts as pairs of the materialised
 * state. Pure.
 */
import type { RaftId } from "../../raft/core/types.js";
import type { KeyValueChange, KeyValuePair, StateMachine } from "../../raft/host/raft-node.js";
import { EntryKind } from "../../raft/log/make-entry.js";
import type { SimChecker } from "./sim-checker.js";
import { applyEntry, KEYS, NO_REGISTERS, type Registers } from "./sim-registers.js";

const DIGEST = "digest";

export class HostMachine implements StateMachine {
  readonly #checker: SimChecker;
  readonly #id: () => RaftId;
  /** By index: what proposers are told. */
  readonly #outcomes = new Map<number, boolean>();
  state: Registers = NO_REGISTERS;

  constructor(checker: SimChecker, id: () => RaftId) {
    this.#checker = checker;
    this.#id = id;
  }

  apply(given: { index: number; term: number; data: Uint8Array }): readonly KeyValueChange[] {
    const entry = { ...given, kind: EntryKind.NORMAL };
    const { state, isDone } = applyEntry(this.state, entry);
    this.#checker.applied(this.#id(), entry, state.digest);
    const changes: KeyValueChange[] = [{ key: DIGEST, value: bytesOf(state.digest) }];
    for (let key = 0; key < KEYS; key++) {
      const value = state.values[key] ?? 0;
      if (value !== this.state.values[key]) changes.push({ key: `k${key}`, value: bytesOf(value) });
    }
    this.state = state;
    this.#outcomes.set(entry.index, isDone);
    return changes;
  }

  async restore(index: number, pairs: AsyncIterable<KeyValuePair>): Promise<void> {
    const values = [...NO_REGISTERS.values];
    let digest = 0;
    for await (const { key, value } of pairs) {
      if (key === DIGEST) digest = numberOf(value);
      else values[Number(key.slice(1))] = numberOf(value);
    }
    this.state = { digest, values };
    this.#checker.restored(this.#id(), index, digest);
  }

  /** Whether the command at this index did what it said; a compare-and-set may not. */
  outcomeAt(index: number): boolean {
    return this.#outcomes.get(index) ?? false;
  }
}

function bytesOf(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function numberOf(bytes: Uint8Array): number {
  return Buffer.from(bytes).readUInt32BE(0);
}
