/**
 * The managers' own copies of the state, compared object by object. Edge: to the managers' folders.
 * Every API read is answered by the leader; so the daemons are stopped, and each folder's state is carried
 * forward along its log to the newest index that is committed.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { systemRandom } from "../../base/random/system-random.js";
import type { Entry } from "../../raft/core/types.js";
import { dumpRaft, type RaftDump } from "../../raft/inspect/raft-dump.js";
import { EntryKind } from "../../raft/log/make-entry.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { createTestStore } from "../support/test-store.js";

export interface ReplicaComparison {
  readonly index: number;
  readonly objects: number;
  /** Empty: all copies are equal. */
  readonly differences: readonly string[];
  /** Copies that could not be compared, with the reason. */
  readonly left: readonly string[];
}

const DIFFERENCES_MAX = 20;

export async function compareReplicas(hosts: readonly LabHost[]): Promise<ReplicaComparison> {
  const left: string[] = [];
  const dumps: { name: string; dump: RaftDump; stateIndex: number; lastIndex: number }[] = [];
  for (const host of hosts) {
    try {
      const dump = await dumpRaft({ folder: join(host.dataDir, "manager"), random: systemRandom });
      if (dump.state === undefined) throw new Error(`its state cannot be read: ${dump.stateMissing}`);
      const lastIndex = dump.entries.at(-1)?.index ?? dump.base.index;
      dumps.push({ name: host.name, dump, stateIndex: dump.state.meta.index, lastIndex });
    } catch (error) {
      left.push(`${host.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const index = Math.max(
    0,
    ...dumps.map(({ stateIndex, dump }) => Math.max(stateIndex, dump.hardState.commit)),
  );
  // Daemons do not stop at one instant: who stopped first is carried on along the log of who went furthest.
  const longest = dumps.reduce<readonly Entry[]>(
    (found, { dump }) =>
      (dump.entries.at(-1)?.index ?? 0) > (found.at(-1)?.index ?? 0) ? dump.entries : found,
    [],
  );
  const states = await Promise.all(
    dumps.map(async ({ name, dump, lastIndex }) => {
      const entries = [...dump.entries, ...longest.filter((entry) => entry.index > lastIndex)];
      return { name, state: await stateAt(dump, entries, index) };
    }),
  );
  const [first, ...others] = states;
  const differences = others.flatMap(({ name, state }) =>
    first === undefined ? [] : differencesOf(first.name, first.state, name, state),
  );
  return { index, objects: first?.state.size ?? 0, differences: differences.slice(0, DIFFERENCES_MAX), left };
}

/** Digest of each object by its key. */
async function stateAt(
  { state }: RaftDump,
  entries: readonly Entry[],
  index: number,
): Promise<Map<string, string>> {
  const { store } = createTestStore();
  const digests = new Map<string, string>();
  const pairs = state?.pairs ?? [];
  for (const { key, value } of pairs) digests.set(key, digest(value));
  const from = state?.meta.index ?? 0;
  await store.restore(
    from,
    (async function* () {
      yield* pairs;
    })(),
  );
  for (const entry of entries) {
    if (entry.index <= from || entry.index > index || entry.kind !== EntryKind.NORMAL) continue;
    for (const { key, value } of store.apply(entry)) {
      if (value === undefined) digests.delete(key);
      else digests.set(key, digest(value));
    }
  }
  return digests;
}

function differencesOf(
  nameA: string,
  a: ReadonlyMap<string, string>,
  nameB: string,
  b: ReadonlyMap<string, string>,
): string[] {
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((key) => a.get(key) !== b.get(key))
    .map((key) => {
      const how = !a.has(key) ? `${nameA} lacks it` : !b.has(key) ? `${nameB} lacks it` : "they differ";
      return `${key}: ${nameA} and ${nameB} do not agree, ${how}`;
    });
}

const digest = (value: Uint8Array): string => createHash("sha256").update(value).digest("base64");
