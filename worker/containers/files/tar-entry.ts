/**
 * One entry of a tar, and its header as bytes: ustar, with a pax header before it where ustar has no room.
 * Pure. Names are bytes to Linux: here they are strings of one character per byte (latin1), so that every
 * name goes through unchanged.
 * Source: POSIX.1-2017 pax (ustar and extended headers); SCHILY.xattr as written by star, GNU tar and Go.
 */

/** Bytes of a file name, one character each: latin1. */
export type ByteName = string;

export type TarKind = "file" | "link" | "symlink" | "char" | "block" | "folder" | "fifo";

export interface TarXattr {
  readonly name: string;
  readonly value: Uint8Array;
}

/** A stretch of a sparse file that holds data. */
export interface TarExtent {
  readonly offset: number;
  readonly length: number;
}

export interface TarEntry {
  /** As it stands in the tar: may be absolute, hold "..", end in a slash. */
  readonly name: ByteName;
  readonly kind: TarKind;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Since the epoch; may have a fraction, may be negative. */
  readonly mtimeSeconds: number;
  /** Of a file when it is unpacked; 0 for all else. */
  readonly sizeBytes: number;
  readonly linkName: ByteName;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: readonly TarXattr[];
  /** Where the data that follows belongs; undefined: all of it, in order. */
  readonly sparse?: readonly TarExtent[];
}

export const TAR_BLOCK_BYTES = 512;
/** Two blocks of zeros. */
export const TAR_END_BYTES = 2 * TAR_BLOCK_BYTES;
export const XATTR_KEY = "SCHILY.xattr.";

const KINDS = { file: "0", link: "1", symlink: "2", char: "3", block: "4", folder: "5", fifo: "6" } as const;
const NAME_BYTES = 100;
/** What eleven and seven octal digits hold. */
const SIZE_MAX = 8 ** 11 - 1;
const ID_MAX = 8 ** 7 - 1;

/** @returns how many zeros follow so many bytes. */
export function tarPadding(sizeBytes: number): number {
  return (TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
}

/** @returns the header of an entry, whole blocks. The bytes of a file follow, filled up by `tarPadding`. */
export function tarHeader(entry: Omit<TarEntry, "sparse">): Buffer {
  const { name, linkName, sizeBytes, uid, gid } = entry;
  const mtime = Math.trunc(entry.mtimeSeconds);
  const records: Buffer[] = [];
  const record = (key: string, value: string): number => records.push(paxRecord(key, latin1(value)));
  if (!fits(name)) record("path", name);
  if (!fits(linkName)) record("linkpath", linkName);
  if (sizeBytes > SIZE_MAX) record("size", String(sizeBytes));
  if (mtime > SIZE_MAX || mtime < 0) record("mtime", String(mtime));
  if (uid > ID_MAX) record("uid", String(uid));
  if (gid > ID_MAX) record("gid", String(gid));
  for (const xattr of entry.xattrs) records.push(paxRecord(`${XATTR_KEY}${xattr.name}`, xattr.value));
  const own = ustar({ ...entry, mtimeSeconds: mtime }, KINDS[entry.kind]);
  if (records.length === 0) return own;
  const body = Buffer.concat(records);
  const pax: TarEntry = {
    name: `PaxHeaders.0/${name.replace(/\/+$/, "").split("/").at(-1) ?? ""}`,
    kind: "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeSeconds: 0,
    sizeBytes: body.length,
    linkName: "",
    major: 0,
    minor: 0,
    xattrs: [],
  };
  return Buffer.concat([ustar(pax, "x"), body, Buffer.alloc(tarPadding(body.length)), own]);
}

function ustar(entry: TarEntry, type: string): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  const octal = (offset: number, width: number, value: number, max: number): void => {
    const digits = (value > max || value < 0 ? 0 : value).toString(8).padStart(width - 1, "0");
    block.write(`${digits}\0`, offset, width, "latin1");
  };
  block.write(asciiOf(entry.name), 0, NAME_BYTES, "latin1");
  octal(100, 8, entry.mode & 0o7777, ID_MAX);
  octal(108, 8, entry.uid, ID_MAX);
  octal(116, 8, entry.gid, ID_MAX);
  octal(124, 12, entry.sizeBytes, SIZE_MAX);
  octal(136, 12, entry.mtimeSeconds, SIZE_MAX);
  block.write(type, 156, 1, "latin1");
  block.write(asciiOf(entry.linkName), 157, NAME_BYTES, "latin1");
  block.write("ustar\u000000", 257, 8, "latin1");
  octal(329, 8, entry.major, ID_MAX);
  octal(337, 8, entry.minor, ID_MAX);
  block.fill(0x20, 148, 156);
  block.write(`${checksum(block).toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
  return block;
}

/** Sum of the bytes of a header; its own field must hold blanks. */
export function checksum(block: Uint8Array): number {
  let sum = 0;
  for (const byte of block) sum += byte;
  return sum;
}

/** Whether ustar itself can hold a name; readers differ about bytes beyond ASCII in it. */
function fits(name: ByteName): boolean {
  return name.length <= NAME_BYTES && /^[\x20-\x7e]*$/.test(name);
}

function asciiOf(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "_");
}

function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

/** "<length> <key>=<value>\n", where the length counts its own digits. */
function paxRecord(key: string, value: Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}
