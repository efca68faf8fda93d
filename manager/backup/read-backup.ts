/**
 * Opens the bytes of a backup: header, key, chunks, records. Pure over its parts.
 * Invariant: `portions` ends without an error only when the whole file was there and authentic; until then a
 * reader may keep what it got aside, and must not act on it.
 */
import { checkHeader, HEADER_TAG_BYTES, openChunks } from "./backup-cipher.js";
import { type BackupHeader, HEADER_BYTES, parseHeader } from "./backup-header.js";
import { type BackupSecret, deriveKey } from "./backup-key.js";
import { type OpenedRecords, readRecords } from "./backup-records.js";
import { ByteReader } from "./byte-reader.js";

/** @throws {InvalidArgumentError} no backup, a newer one, a damaged one, or another secret's. */
export async function openBackup(
  source: AsyncIterable<Uint8Array>,
  secret: BackupSecret,
): Promise<OpenedRecords & { readonly header: BackupHeader }> {
  const reader = new ByteReader(source);
  const headerBytes = await reader.read(HEADER_BYTES);
  const header = parseHeader(headerBytes);
  const key = await deriveKey(secret, header);
  checkHeader(key, headerBytes, await reader.read(HEADER_TAG_BYTES), header);
  const chunks = openChunks(reader, key, {
    chunkBytes: header.chunkKib * 1024,
    startAt: HEADER_BYTES + HEADER_TAG_BYTES,
  });
  return { header, ...(await readRecords(chunks)) };
}
