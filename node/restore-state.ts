/**
 * A backup becomes the folder of a cluster's only manager: opened, rewritten where it speaks of managers, and
 * stored. Pure over its parts (bytes, clock, randomness, media). Invariant: the folder holds a member only
 * when the whole file was read and found authentic.
 */
import type { Clock } from "../base/clock/clock.js";
import type { Logger } from "../base/log/logger.js";
import { createKeyAndCsr } from "../base/pki/x509-csr.js";
import { newId } from "../base/random/ids.js";
import type { Random } from "../base/random/random.js";
import { parseSecret } from "../manager/backup/backup-key.js";
import { openBackup } from "../manager/backup/read-backup.js";
import {
  type FormerManager,
  type RestoredCluster,
  restorePoint,
  StateRestorer,
} from "../manager/backup/restored-state.js";
import { dataKeyLockOf } from "../manager/keys/unlock-lock.js";
import type { BackupHead } from "../proto/gen/skein/v1/backup.js";
import type { SnapshotPair } from "../proto/gen/skein/v1/raft.js";
import type { NodeAvailability } from "../proto/gen/skein/v1/types.js";
import type { StorageMedia } from "../raft/host/raft-storage.js";
import { restoreRaftFolder } from "../raft/host/restore-raft-folder.js";
import { parseHostPort } from "./address.js";
import type { TlsIdentity } from "./rpc-host.js";
import { DEFAULT_PORT } from "./swarm-addresses.js";

/** Bytes of the file between two words of progress. */
const PROGRESS_BYTES = 4 * 1024 * 1024;

export interface RestoreProgress {
  /** Of the file. */
  readonly bytes: number;
  readonly objects: number;
  readonly objectsEstimate: number;
}

/** The account of a restore. */
export interface RestoreOutcome {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly identity: TlsIdentity;
  /** "" without autolock. */
  readonly unlockKey: string;
  readonly objects: number;
  /** Where the restored cluster's log begins. */
  readonly index: number;
  readonly backup: {
    readonly index: number;
    readonly term: number;
    readonly createdAtMs: number;
    readonly skeinVersion: string;
  };
  readonly formerManagers: readonly FormerManager[];
}

export interface RestoreStateOptions {
  readonly file: AsyncIterable<Uint8Array>;
  /** Passphrase or recovery key. */
  readonly secret: string;
  readonly dir: string;
  readonly advertiseAddress: string;
  readonly availability: NodeAvailability;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly onProgress: (progress: RestoreProgress) => void;
  /** Other media than the folder: memory twins in tests. */
  readonly media?: StorageMedia;
}

/** @throws {InvalidArgumentError} the file, or the key; and what the disk throws. */
export async function restoreState(options: RestoreStateOptions): Promise<RestoreOutcome> {
  const { dir, media, advertiseAddress, availability, clock, random, log } = options;
  const counter = new Counter(options);
  const { head, portions } = await openBackup(counter.counted(options.file), parseSecret(options.secret));
  counter.begin(head);
  const nowMs = clock.nowMs();
  const point = restorePoint(head, nowMs);
  const nodeId = newId(random);
  const { keyPem, csrPem } = await createKeyAndCsr();
  const advertiseIp = parseHostPort(advertiseAddress, DEFAULT_PORT).host;
  const restorer = new StateRestorer({
    head,
    point,
    nodeId,
    csrPem,
    advertiseIp,
    availability,
    nowMs,
    random,
  });
  let restored: RestoredCluster | undefined;
  const source = portions[Symbol.asyncIterator]();
  const first = await next();
  async function next(): Promise<readonly SnapshotPair[] | undefined> {
    const { done, value } = await source.next();
    if (done === true) return undefined;
    counter.took(value.length);
    return restorer.take(value);
  }
  async function* rewritten(): AsyncGenerator<readonly SnapshotPair[]> {
    for (let pairs = first; pairs !== undefined; pairs = await next()) yield pairs;
    restored = restorer.finish();
    yield [restored.node];
  }
  const { members = [], removed = [] } = head.membership ?? {};
  await restoreRaftFolder({
    dir,
    clusterId: head.clusterId,
    nodeId,
    address: advertiseAddress,
    point,
    removed: [...removed, ...members.map(({ raftId }) => raftId)],
    portions: rewritten(),
    // known by now: the cluster is in the first portion
    lock: dataKeyLockOf(restorer.unlockKey, random),
    random,
    log,
    ...(media === undefined ? {} : { media }),
  });
  if (restored === undefined) throw new Error("a folder was written without its end"); // it ends by `finish`
  const { certificatePem, caCertPem, objects, formerManagers } = restored;
  const { index, term, createdAtMs, skeinVersion } = head;
  return {
    nodeId,
    clusterId: head.clusterId,
    identity: { keyPem, certificatePem, rootCaPem: caCertPem },
    unlockKey: restorer.unlockKey,
    objects,
    index: point.index,
    backup: { index, term, createdAtMs, skeinVersion },
    formerManagers,
  };
}

/** Says how far it is: once the key was found to fit, then now and then. */
class Counter {
  readonly #options: RestoreStateOptions;
  #bytes = 0;
  #objects = 0;
  #estimate = 0;
  #sayAt = 0;

  constructor(options: RestoreStateOptions) {
    this.#options = options;
  }

  async *counted(file: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of file) {
      this.#bytes += piece.length;
      yield piece;
    }
  }

  begin({ objectsEstimate }: BackupHead): void {
    this.#estimate = objectsEstimate;
    this.took(0);
  }

  took(objects: number): void {
    this.#objects += objects;
    if (this.#bytes < this.#sayAt) return;
    this.#sayAt = this.#bytes + PROGRESS_BYTES;
    this.#options.onProgress({
      bytes: this.#bytes,
      objects: this.#objects,
      objectsEstimate: this.#estimate,
    });
  }
}
