/**
 * Reads a tar as it comes: bytes are pushed in, entries and their data go to a sink.
 * Pure. Invariants: memory is bounded by one header (TAR_META_BYTES_MAX); for each `begin` there is one
 * `end`, and between them exactly the data the entry spoke of, or an error; after the end mark everything is
 * ignored. Reads v7, ustar, pax (global headers are ignored), GNU long names, and sparse files of GNU and
 * pax (0.0, 0.1, 1.0).
 * Sources: POSIX.1-2017 pax; GNU tar manual, "Storing Sparse Files".
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import {
  type ByteName,
  checksum,
  TAR_BLOCK_BYTES,
  type TarEntry,
  type TarExtent,
  type TarKind,
  tarPadding,
} from "./tar-entry.js";
import { type PaxRecords, parsePax, paxNumber, sparseOf, xattrsOf } from "./tar-pax.js";

export interface TarSink {
  begin(entry: TarEntry): void;
  /** @param offset where in the file these bytes belong. */
  data(chunk: Uint8Array, offset: number): void;
  end(): void;
}

/** Long names, pax records, sparse maps: of one entry together. */
export const TAR_META_BYTES_MAX = 1 << 20;
const EXTENTS_MAX = 1 << 16;

const KINDS: Readonly<Record<string, TarKind>> = {
  "\0": "file",
  "0": "file",
  "1": "link",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "folder",
  "6": "fifo",
  "7": "file",
  S: "file",
};

interface Header {
  readonly name: ByteName;
  readonly type: string;
  readonly storedBytes: number;
  readonly entry: TarEntry;
  readonly realBytes: number;
}

type State =
  | { readonly kind: "header" }
  /** Collects the body of a pax header or long name. */
  | { readonly kind: "meta"; readonly type: string; readonly storedBytes: number }
  /** Collects further blocks of a sparse map: GNU's, or that of pax 1.0 at the beginning of the data. */
  | { readonly kind: "map"; readonly header: Header; readonly extents: TarExtent[]; readonly pax: boolean }
  | { readonly kind: "data" }
  | { readonly kind: "skip" }
  | { readonly kind: "ended" };

export class TarReader {
  readonly #sink: TarSink;
  #state: State = { kind: "header" };
  /** Bytes collected for a header or meta body. */
  #held: Buffer = Buffer.alloc(0);
  #pax: PaxRecords = new Map();
  #longName: ByteName | undefined;
  #longLink: ByteName | undefined;
  #zeroBlock = false;
  /** Of the data now being read. */
  #left = 0;
  #padding = 0;
  #extents: readonly TarExtent[] = [];
  #extent = 0;
  #inExtent = 0;
  readonly #mapBlocks: Buffer[] = [];
  #mapLines = 0;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  /** @throws {InvalidArgumentError} what is no tar; and what the sink throws. */
  feed(chunk: Uint8Array): void {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    while (rest.length > 0) {
      const { kind } = this.#state;
      if (kind === "ended") return;
      if (kind === "data") rest = this.#data(rest);
      else if (kind === "skip") rest = this.#skip(rest);
      else rest = this.#collect(rest);
    }
  }

  /** After the last byte. @throws {InvalidArgumentError} cut off in the middle of an entry. */
  finish(): void {
    const { kind } = this.#state;
    const cut = this.#held.length > 0 || !(kind === "header" || kind === "ended");
    const paddingOnly = kind === "skip" && this.#left === 0;
    if (cut && !paddingOnly) throw new InvalidArgumentError("unexpected EOF");
  }

  #collect(rest: Buffer): Buffer {
    const wanted = this.#wanted();
    const taken = rest.subarray(0, wanted - this.#held.length);
    this.#held = this.#held.length === 0 ? Buffer.from(taken) : Buffer.concat([this.#held, taken]);
    if (this.#held.length === wanted) {
      const block = this.#held;
      this.#held = Buffer.alloc(0);
      this.#block(block);
    }
    return rest.subarray(taken.length);
  }

  #wanted(): number {
    if (this.#state.kind !== "meta") return TAR_BLOCK_BYTES;
    return this.#state.storedBytes + tarPadding(this.#state.storedBytes);
  }

  #block(block: Buffer): void {
    const state = this.#state;
    if (state.kind === "meta") this.#meta(block.subarray(0, state.storedBytes), state.type);
    else if (state.kind === "map" && state.pax) this.#paxMap(block, state.header, state.extents);
    else if (state.kind === "map") this.#gnuMap(block, state.header, state.extents);
    else this.#header(block);
  }

  #header(block: Buffer): void {
    if (block.every((byte) => byte === 0)) {
      if (this.#zeroBlock) this.#state = { kind: "ended" };
      this.#zeroBlock = true;
      return;
    }
    if (this.#zeroBlock) throw invalid();
    verify(block);
    const type = block.toString("latin1", 156, 157);
    const storedBytes = number(block, 124, 12);
    if (storedBytes < 0) throw invalid();
    if (type === "x" || type === "g" || type === "L" || type === "K") {
      if (storedBytes > TAR_META_BYTES_MAX)
        throw new InvalidArgumentError(`a tar header must have at most ${TAR_META_BYTES_MAX} bytes`);
      this.#state = { kind: "meta", type, storedBytes };
      if (storedBytes === 0) this.#meta(Buffer.alloc(0), type);
      return;
    }
    this.#entry(block, type, storedBytes);
  }

  #meta(body: Buffer, type: string): void {
    this.#state = { kind: "header" };
    if (type === "x") this.#pax = parsePax(body);
    else if (type === "L") this.#longName = untilNul(body);
    else if (type === "K") this.#longLink = untilNul(body);
  }

  #entry(block: Buffer, type: string, ustarBytes: number): void {
    const kind = KINDS[type];
    if (kind === undefined) throw new InvalidArgumentError(`unhandled tar header type ${type.charCodeAt(0)}`);
    const pax = this.#pax;
    const prefixed = block.toString("latin1", 257, 262) === "ustar" && block[262] === 0;
    const prefix = prefixed ? text(block, 345, 155) : "";
    const plain = text(block, 0, 100);
    const name =
      pax.get("GNU.sparse.name") ??
      pax.get("path") ??
      this.#longName ??
      (prefix === "" ? plain : `${prefix}/${plain}`);
    const isFolder = kind === "folder" || (kind === "file" && type !== "S" && name.endsWith("/"));
    const storedBytes = kind === "file" ? (paxNumber(pax, "size") ?? ustarBytes) : 0;
    const sparse = sparseOf(pax);
    const realBytes = type === "S" ? number(block, 483, 12) : (sparse?.realBytes ?? storedBytes);
    if (storedBytes < 0 || realBytes < 0) throw invalid();
    const linkName = pax.get("linkpath") ?? this.#longLink ?? text(block, 157, 100);
    const header: Header = {
      name,
      type,
      storedBytes,
      realBytes,
      entry: {
        name,
        kind: isFolder ? "folder" : kind,
        mode: number(block, 100, 8) & 0o7777,
        uid: idOf(paxNumber(pax, "uid") ?? number(block, 108, 8)),
        gid: idOf(paxNumber(pax, "gid") ?? number(block, 116, 8)),
        mtimeSeconds: paxNumber(pax, "mtime") ?? number(block, 136, 12),
        sizeBytes: kind === "file" && !isFolder ? realBytes : 0,
        linkName: kind === "link" || kind === "symlink" ? linkName : "",
        major: kind === "char" || kind === "block" ? number(block, 329, 8) : 0,
        minor: kind === "char" || kind === "block" ? number(block, 337, 8) : 0,
        xattrs: xattrsOf(pax),
      },
    };
    this.#pax = new Map();
    this.#longName = undefined;
    this.#longLink = undefined;
    if (type === "S") {
      const extents = extentsIn(block, 386, 4);
      if (block[482] === 0) this.#begin(header, extents);
      else this.#state = { kind: "map", header, extents, pax: false };
    } else if (sparse?.mapInData === true) {
      this.#state = { kind: "map", header, extents: [], pax: true };
    } else {
      this.#begin(header, sparse?.extents);
    }
  }

  #gnuMap(block: Buffer, header: Header, extents: TarExtent[]): void {
    extents.push(...extentsIn(block, 0, 21));
    if (extents.length > EXTENTS_MAX) throw invalid();
    if (block[504] === 0) this.#begin(header, extents);
  }

  /** Lines of digits: how many extents, then offset and length of each; whole blocks, part of the data. */
  #paxMap(block: Buffer, header: Header, extents: TarExtent[]): void {
    this.#mapBlocks.push(block);
    for (const byte of block) if (byte === 0x0a) this.#mapLines += 1;
    const used = this.#mapBlocks.length * TAR_BLOCK_BYTES;
    if (used > TAR_META_BYTES_MAX || used > header.storedBytes) throw invalid();
    const firstLine = this.#mapBlocks[0]?.toString("latin1").split("\n", 2) ?? [];
    const count = decimal(firstLine[0] ?? "");
    if (firstLine.length < 2 || count === undefined || count > EXTENTS_MAX) throw invalid();
    if (this.#mapLines < 1 + 2 * count) return;
    const lines = Buffer.concat(this.#mapBlocks).toString("latin1").split("\n");
    this.#mapBlocks.length = 0;
    this.#mapLines = 0;
    for (let i = 0; i < count; i++) {
      const offset = decimal(lines[1 + 2 * i] ?? "");
      const length = decimal(lines[2 + 2 * i] ?? "");
      if (offset === undefined || length === undefined) throw invalid();
      extents.push({ offset, length });
    }
    this.#begin({ ...header, storedBytes: header.storedBytes - used }, extents);
  }

  #begin(header: Header, extents: readonly TarExtent[] | undefined): void {
    const { storedBytes, realBytes } = header;
    const isFile = header.entry.kind === "file";
    const sparse = isFile && extents !== undefined ? checked(extents, { storedBytes, realBytes }) : undefined;
    this.#left = storedBytes;
    this.#padding = tarPadding(storedBytes);
    this.#extents = sparse ?? [{ offset: 0, length: storedBytes }];
    this.#extent = 0;
    this.#inExtent = 0;
    this.#sink.begin(sparse === undefined ? header.entry : { ...header.entry, sparse });
    if (!isFile) {
      this.#sink.end();
      this.#state = { kind: "skip" };
      this.#toPadding();
      return;
    }
    this.#state = { kind: "data" };
    if (this.#left === 0) this.#endOfData();
  }

  #data(rest: Buffer): Buffer {
    const extent = this.#extents[this.#extent];
    if (extent === undefined) throw invalid();
    const room = Math.min(this.#left, extent.length - this.#inExtent);
    const part = rest.subarray(0, room);
    if (part.length > 0) this.#sink.data(part, extent.offset + this.#inExtent);
    this.#left -= part.length;
    this.#inExtent += part.length;
    if (this.#inExtent === extent.length) {
      this.#extent += 1;
      this.#inExtent = 0;
    }
    if (this.#left === 0) this.#endOfData();
    return rest.subarray(part.length);
  }

  #endOfData(): void {
    this.#sink.end();
    this.#state = { kind: "skip" };
    this.#toPadding();
  }

  /** What follows the data (or what a folder or link brought though it has none) is passed over. */
  #toPadding(): void {
    if (this.#left === 0 && this.#padding === 0) this.#state = { kind: "header" };
  }

  #skip(rest: Buffer): Buffer {
    const data = Math.min(this.#left, rest.length);
    this.#left -= data;
    const padding = Math.min(this.#padding, rest.length - data);
    this.#padding -= padding;
    this.#toPadding();
    return rest.subarray(data + padding);
  }
}

/** @throws {InvalidArgumentError} not in order, beyond the file, or of another length than the data. */
function checked(
  extents: readonly TarExtent[],
  sizes: { storedBytes: number; realBytes: number },
): readonly TarExtent[] {
  let end = 0;
  let sum = 0;
  for (const { offset, length } of extents) {
    if (offset < end || offset + length > sizes.realBytes) throw invalid();
    end = offset + length;
    sum += length;
  }
  if (sum !== sizes.storedBytes) throw invalid();
  return extents.filter(({ length }) => length > 0);
}

function extentsIn(block: Buffer, start: number, count: number): TarExtent[] {
  const extents: TarExtent[] = [];
  for (let i = 0; i < count; i++) {
    const at = start + 24 * i;
    if (block[at] === 0) break;
    const [offset, length] = [number(block, at, 12), number(block, at + 12, 12)];
    if (offset < 0 || length < 0) throw invalid();
    extents.push({ offset, length });
  }
  return extents;
}

function verify(block: Buffer): void {
  const told = number(block, 148, 8);
  const blanked = Buffer.from(block);
  blanked.fill(0x20, 148, 156);
  if (told === checksum(blanked)) return;
  let signed = 0; // as some old archivers summed
  for (const byte of blanked) signed += byte > 127 ? byte - 256 : byte;
  if (told !== signed) throw invalid();
}

/** Octal digits, or a big-endian number in two's complement when the first bit is set. */
function number(block: Buffer, start: number, width: number): number {
  const first = block[start] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = first & 0x40 ? (first & 0x7f) - 0x80 : first & 0x7f;
    for (let i = 1; i < width; i++) value = value * 256 + (block[start + i] ?? 0);
    if (!Number.isSafeInteger(value)) throw invalid();
    return value;
  }
  const digits = text(block, start, width).trim();
  if (digits === "") return 0;
  if (!/^[0-7]+$/.test(digits)) throw invalid();
  return Number.parseInt(digits, 8);
}

function text(block: Buffer, start: number, width: number): ByteName {
  return untilNul(block.subarray(start, start + width));
}

function untilNul(bytes: Buffer): ByteName {
  const end = bytes.indexOf(0);
  return bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
}

function decimal(digits: string): number | undefined {
  return /^\d{1,15}$/.test(digits) ? Number(digits) : undefined;
}

function idOf(value: number): number {
  return Number.isSafeInteger(value) && value >= 0 && value < 2 ** 32 - 1 ? value : 0;
}

function invalid(): InvalidArgumentError {
  return new InvalidArgumentError("archive/tar: invalid tar header");
}
