/**
 * Tar headers of the layers that are made here: ustar, with a pax header before it where ustar has no room.
 * Pure. Invariant: equal entries give equal bytes, so the same folder always has the same diff id.
 * Source: POSIX.1-2017 pax (ustar and extended headers); OCI image-spec 1.1 layer.md.
 */

export interface LayerEntry {
  /** Below the root, without a slash at its end. */
  readonly name: string;
  readonly kind: "file" | "link" | "symlink" | "char" | "block" | "folder" | "fifo";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Whole seconds since the epoch, not below 0. */
  readonly mtimeSeconds: number;
  /** Of a file; 0 for all else. */
  readonly sizeBytes: number;
  /** Of links: where to; a hard link's is a name of this tar. */
  readonly target: string;
  readonly major: number;
  readonly minor: number;
  /** By name. */
  readonly xattrs: readonly { readonly name: string; readonly value: Uint8Array }[];
}

export const TAR_BLOCK_BYTES = 512;
/** Two blocks of zeros. */
export const TAR_END: Uint8Array = new Uint8Array(2 * TAR_BLOCK_BYTES);

const KINDS = { file: "0", link: "1", symlink: "2", char: "3", block: "4", folder: "5", fifo: "6" } as const;
const PAX_KIND = "x";
const NAME_BYTES = 100;
/** What eleven and seven octal digits hold. */
const SIZE_MAX = 8 ** 11 - 1;
const ID_MAX = 8 ** 7 - 1;

/** @returns the header of an entry, whole blocks. The bytes of a file follow, filled up by `paddingOf`. */
export function tarHeaderOf(entry: LayerEntry): Buffer {
  const name = entry.kind === "folder" ? `${entry.name}/` : entry.name;
  const records: Buffer[] = [];
  if (!fits(name)) records.push(paxRecord("path", Buffer.from(name)));
  if (!fits(entry.target)) records.push(paxRecord("linkpath", Buffer.from(entry.target)));
  if (entry.sizeBytes > SIZE_MAX) records.push(paxRecord("size", Buffer.from(String(entry.sizeBytes))));
  if (entry.mtimeSeconds > SIZE_MAX)
    records.push(paxRecord("mtime", Buffer.from(String(entry.mtimeSeconds))));
  for (const key of ["uid", "gid"] as const)
    if (entry[key] > ID_MAX) records.push(paxRecord(key, Buffer.from(String(entry[key]))));
  for (const { name: attribute, value } of entry.xattrs)
    records.push(paxRecord(`SCHILY.xattr.${attribute}`, value));
  const own = ustar({ ...entry, name, kind: KINDS[entry.kind] });
  if (records.length === 0) return own;
  const body = Buffer.concat(records);
  const pax = ustar({
    ...entry,
    name: `PaxHeaders.0/${name.slice(name.replace(/\/$/, "").lastIndexOf("/") + 1)}`,
    kind: PAX_KIND,
    mode: 0o644,
    sizeBytes: body.length,
    target: "",
    major: 0,
    minor: 0,
  });
  return Buffer.concat([pax, body, Buffer.alloc(paddingOf(body.length)), own]);
}

/** @returns how many zeros follow so many bytes. */
export function paddingOf(sizeBytes: number): number {
  return (TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
}

interface UstarFields extends Omit<LayerEntry, "kind" | "xattrs"> {
  readonly kind: string;
}

function ustar(fields: UstarFields): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  block.write(asciiOf(fields.name), 0, NAME_BYTES, "latin1");
  octal(block, 100, 8, fields.mode & 0o7777);
  octal(block, 108, 8, fields.uid > ID_MAX ? 0 : fields.uid);
  octal(block, 116, 8, fields.gid > ID_MAX ? 0 : fields.gid);
  octal(block, 124, 12, fields.sizeBytes > SIZE_MAX ? 0 : fields.sizeBytes);
  octal(block, 136, 12, fields.mtimeSeconds > SIZE_MAX ? 0 : fields.mtimeSeconds);
  block.write(fields.kind, 156, 1, "latin1");
  block.write(asciiOf(fields.target), 157, NAME_BYTES, "latin1");
  block.write("ustar\u000000", 257, 8, "latin1");
  octal(block, 329, 8, fields.major);
  octal(block, 337, 8, fields.minor);
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
  return block;
}

/** Whether ustar itself can hold a name; readers differ about bytes beyond ASCII in it. */
function fits(name: string): boolean {
  return name.length <= NAME_BYTES && /^[\x20-\x7e]*$/.test(name);
}

function asciiOf(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "_");
}

function octal(block: Buffer, offset: number, width: number, value: number): void {
  block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, offset, width, "latin1");
}

/** "<length> <key>=<value>\n", where the length counts its own digits. */
function paxRecord(key: string, value: Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}
