/**
 * How large a backup will be, guessed from the objects in memory without encoding them all. Pure.
 * Secrets and configs are weighed, of other kinds a sample is.
 */
import { StoreObject } from "../../proto/gen/skein/v1/objects.js";
import { TABLE_NAMES, toStoreObject } from "../store/tables.js";
import type { ReadTx, TableName } from "../store/types.js";
import { HEADER_TAG_BYTES } from "./backup-cipher.js";
import { CHUNK_KIB, HEADER_BYTES } from "./backup-header.js";

const SAMPLE_MAX = 100;
/** Key, lengths and oneof of a pair. */
const PAIR_BYTES = 48;

export function estimateBackup(tx: ReadTx): { readonly objects: number; readonly bytes: number } {
  let objects = 0;
  let bytes = 0;
  for (const table of TABLE_NAMES) {
    const weighed = weigh(tx, table);
    objects += weighed.objects;
    bytes += weighed.bytes;
  }
  const chunks = Math.ceil(bytes / (CHUNK_KIB * 1024)) + 1;
  return { objects, bytes: HEADER_BYTES + HEADER_TAG_BYTES + bytes + chunks * HEADER_TAG_BYTES };
}

function weigh(tx: ReadTx, table: TableName): { objects: number; bytes: number } {
  if (table === "secret" || table === "config") {
    const list = tx.list(table);
    return {
      objects: list.length,
      bytes: list.reduce((sum, { data }) => sum + data.length + 2 * PAIR_BYTES, 0),
    };
  }
  const list = tx.list(table);
  const step = Math.max(1, Math.floor(list.length / SAMPLE_MAX));
  let sampled = 0;
  let sampledBytes = 0;
  for (let at = 0; at < list.length; at += step) {
    const object = list[at];
    if (object === undefined) continue;
    sampled += 1;
    sampledBytes += StoreObject.encode(toStoreObject(table, object)).finish().length + PAIR_BYTES;
  }
  return {
    objects: list.length,
    bytes: sampled === 0 ? 0 : Math.round((sampledBytes / sampled) * list.length),
  };
}
