/**
 * The records of the write-ahead log and their bytes: kind (1), length (4, little endian), body.
 * Edge: to the codecs of proto.
 *
 * entry       an entry of the log; it replaces whatever stood at its index or after
 * hard-state  term, vote and commit; the newest counts
 * base        the log begins after this point; one that does not hold that very entry is forgotten whole
 */
import { DataLossError } from "../../base/errors/errors.js";
import { Entry, HardState, SnapshotMeta } from "../../proto/gen/skein/v1/raft.js";
import type { LogPoint } from "./entry-log.js";

export type WalRecord =
  | { readonly kind: "entry"; readonly entry: Entry }
  | { readonly kind: "hard-state"; readonly hardState: HardState }
  | { readonly kind: "base"; readonly base: LogPoint };

const KINDS: Record<WalRecord["kind"], number> = { entry: 1, "hard-state": 2, base: 3 };
const HEAD_BYTES = 5;

export function encodeRecord(record: WalRecord): Buffer {
  const body = bodyOf(record);
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + body.length);
  bytes.writeUInt8(KINDS[record.kind], 0);
  bytes.writeUInt32LE(body.length, 1);
  bytes.set(body, HEAD_BYTES);
  return bytes;
}

function bodyOf(record: WalRecord): Uint8Array {
  switch (record.kind) {
    case "entry":
      return Entry.encode(record.entry).finish();
    case "hard-state":
      return HardState.encode(record.hardState).finish();
    case "base":
      return SnapshotMeta.encode({ ...record.base, membership: undefined }).finish();
  }
}

/** @throws {DataLossError} the bytes are not whole records. */
export function decodeRecords(bytes: Buffer): readonly WalRecord[] {
  const records: WalRecord[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + HEAD_BYTES > bytes.length) throw new DataLossError("the log holds half a record");
    const end = at + HEAD_BYTES + bytes.readUInt32LE(at + 1);
    if (end > bytes.length) throw new DataLossError("the log holds half a record");
    records.push(decodeBody(bytes.readUInt8(at), bytes.subarray(at + HEAD_BYTES, end)));
    at = end;
  }
  return records;
}

function decodeBody(kind: number, body: Buffer): WalRecord {
  switch (kind) {
    case KINDS.entry:
      return { kind: "entry", entry: Entry.decode(body) };
    case KINDS["hard-state"]:
      return { kind: "hard-state", hardState: HardState.decode(body) };
    case KINDS.base: {
      const { index, term } = SnapshotMeta.decode(body);
      return { kind: "base", base: { index, term } };
    }
    default:
      throw new DataLossError(`the log holds a record of unknown kind ${kind}: written by a newer version?`);
  }
}
