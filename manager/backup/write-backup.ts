/**
 * Makes the bytes of a backup from a frozen view of the state. Pure over its parts.
 * Bound: one portion of the state (256 KiB, or one larger object) and one chunk are in memory at a time.
 */
import type { Random } from "../../base/random/random.js";
import type { BackupHead } from "../../proto/gen/skein/v1/backup.js";
import type { SnapshotPair } from "../../proto/gen/skein/v1/raft.js";
import { ChunkSealer, sealHeader } from "./backup-cipher.js";
import { type BackupHeader, CHUNK_KIB, encodeHeader, SALT_BYTES, SCRYPT_COST } from "./backup-header.js";
import { type BackupSecret, deriveKey } from "./backup-key.js";
import { encodeRecord } from "./backup-records.js";

export const PORTION_BYTES = 256 * 1024;

export interface WriteBackupOptions {
  readonly head: BackupHead;
  /** In order of keys. */
  readonly portions: AsyncIterable<readonly SnapshotPair[]>;
  readonly secret: BackupSecret;
  readonly random: Random;
  /** KiB of plain text per chunk. @default 64 */
  readonly chunkKib?: number;
}

export interface BackupBytes {
  readonly data: Buffer;
  /** In the file so far. */
  readonly objects: number;
}

export async function* writeBackup(options: WriteBackupOptions): AsyncGenerator<BackupBytes> {
  const { head, portions, secret, random } = options;
  const header: BackupHeader = {
    keyKind: secret.kind,
    cost: secret.kind === "passphrase" ? SCRYPT_COST : { log2N: 0, r: 0, p: 0 },
    chunkKib: options.chunkKib ?? CHUNK_KIB,
    salt: random.bytes(SALT_BYTES),
  };
  const headerBytes = encodeHeader(header);
  const key = await deriveKey(secret, header);
  yield { data: Buffer.concat([headerBytes, sealHeader(key, headerBytes)]), objects: 0 };
  const sealer = new ChunkSealer(key, header.chunkKib * 1024);
  let objects = 0;
  let valueBytes = 0;
  let data = sealer.push(encodeRecord({ $case: "head", value: head }));
  for await (const pairs of portions) {
    if (data.length > 0) yield { data, objects };
    data = sealer.push(encodeRecord({ $case: "objects", value: { pairs } }));
    objects += pairs.length;
    for (const { value } of pairs) valueBytes += value.length;
  }
  const foot = sealer.push(encodeRecord({ $case: "foot", value: { objects, valueBytes } }));
  yield { data: Buffer.concat([data, foot, sealer.finish()]), objects };
}
