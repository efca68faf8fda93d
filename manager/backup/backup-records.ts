/**
 * The records inside a backup: length in four bytes, big endian, then a BackupRecord. Pure.
 * Invariant: one head, then objects, then one foot that counts them, and nothing after it.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type BackupHead, BackupRecord } from "../../proto/gen/skein/v1/backup.js";
import type { SnapshotPair } from "../../proto/gen/skein/v1/raft.js";
import { ByteReader } from "./byte-reader.js";

const LENGTH_BYTES = 4;
/** Well above the largest object, which is below a transaction's 4 MiB. */
const RECORD_BYTES_MAX = 16 * 1024 * 1024;

export function encodeRecord(record: NonNullable<BackupRecord["record"]>): Buffer {
  const body = BackupRecord.encode({ record }).finish();
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
  bytes.writeUInt32BE(body.length, 0);
  bytes.set(body, LENGTH_BYTES);
  return bytes;
}

export interface OpenedRecords {
  readonly head: BackupHead;
  /** Ends only when the foot was there and agreed. @throws {InvalidArgumentError} */
  readonly portions: AsyncIterable<readonly SnapshotPair[]>;
}

/** @throws {InvalidArgumentError} these are not the records of a backup. */
export async function readRecords(plain: AsyncIterable<Uint8Array>): Promise<OpenedRecords> {
  const reader = new ByteReader(plain);
  const first = await readRecord(reader);
  if (first?.$case !== "head") throw malformed("it has no head");
  return { head: first.value, portions: portionsOf(reader) };
}

async function* portionsOf(reader: ByteReader): AsyncGenerator<readonly SnapshotPair[]> {
  let objects = 0;
  let valueBytes = 0;
  for (;;) {
    const record = await readRecord(reader);
    if (record?.$case === "objects") {
      const { pairs } = record.value;
      objects += pairs.length;
      for (const { value } of pairs) valueBytes += value.length;
      yield pairs;
      continue;
    }
    if (record?.$case !== "foot") throw malformed("its foot is missing");
    if (record.value.objects !== objects || record.value.valueBytes !== valueBytes)
      throw malformed(`its foot counts ${record.value.objects} objects, found were ${objects}`);
    if (!(await reader.atEnd())) throw malformed("something follows its foot");
    return;
  }
}

async function readRecord(reader: ByteReader): Promise<BackupRecord["record"]> {
  const length = await reader.read(LENGTH_BYTES);
  if (length.length < LENGTH_BYTES) return undefined;
  const bytes = length.readUInt32BE(0);
  if (bytes > RECORD_BYTES_MAX) throw malformed(`a record claims ${bytes} bytes`);
  const body = await reader.read(bytes);
  if (body.length < bytes) throw malformed("a record is incomplete");
  try {
    return BackupRecord.decode(body).record;
  } catch (error) {
    throw malformed("a record cannot be read", error);
  }
}

/** The bytes were authentic: whoever wrote them did it otherwise than this Skein would. */
function malformed(what: string, cause?: unknown): InvalidArgumentError {
  return new InvalidArgumentError(`the backup opens, but is not as this Skein writes it: ${what}`, { cause });
}
