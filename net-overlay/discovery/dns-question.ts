/**
 * A DNS question read from its bytes, and no more of it than is needed to answer.
 * Pure. Invariants: nothing outside the message is read; a name takes 255 bytes at most and holds no
 * compression, so that reading is linear; what comes back can be answered without looking again.
 * Source: RFC 1035 section 4.1, RFC 6891 section 6.1 (OPT), RFC 9619 (one question).
 */

export const HEADER_BYTES = 12;
const QUESTION_TAIL_BYTES = 4;
const NAME_MAX_BYTES = 255;
const LABEL_MAX_BYTES = 63;
/** Records behind the question that are looked through for OPT: askers send one or two. */
const EXTRA_RECORDS_MAX = 8;
const RECORD_HEAD_BYTES = 10;
export const TYPE = { a: 1, ns: 2, cname: 5, soa: 6, ptr: 12, aaaa: 28, opt: 41, any: 255 } as const;
export const CLASS_IN = 1;

export interface Edns {
  /** Bytes of UDP payload that the asker takes. */
  readonly payloadBytes: number;
  readonly version: number;
  /** Has options, as client subnets: answers are made for this asker alone. */
  readonly hasOptions: boolean;
  readonly dnssecOk: boolean;
}

export interface DnsQuestion {
  /** The message it came in; header and question are copied from it into the answer. */
  readonly message: Buffer;
  /** Where the question ends, in bytes from the start. */
  readonly endOffset: number;
  /** Lower case, without the last dot; "" for the root. A dot within a label is written "\.". */
  readonly name: string;
  readonly type: number;
  readonly dnsClass: number;
  /** 0 is a question; others are not served. */
  readonly opcode: number;
  readonly edns: Edns | undefined;
}

/** malformed: there is somebody to tell so. dropped: there is not. */
export type ReadQuestion = DnsQuestion | "malformed" | "dropped";

const scratch = Buffer.alloc(2 * NAME_MAX_BYTES);

export function readQuestion(message: Buffer): ReadQuestion {
  if (message.length < HEADER_BYTES) return "dropped";
  const flags = byteAt(message, 2);
  if ((flags & 0x80) !== 0) return "dropped"; // an answer: replying to those makes loops
  const opcode = (flags >> 3) & 15;
  const answers = pairAt(message, 6) + pairAt(message, 8);
  if (pairAt(message, 4) !== 1 || answers > EXTRA_RECORDS_MAX) return "malformed";
  const name = readName(message);
  if (name === undefined) return "malformed";
  const endOffset = name.endOffset + QUESTION_TAIL_BYTES;
  if (endOffset > message.length) return "malformed";
  const extras = pairAt(message, 10);
  let edns: Edns | undefined;
  if (extras > 0 || answers > 0) {
    const found = findEdns(message, endOffset, answers + extras);
    if (found === "malformed") return found;
    edns = found;
  }
  return {
    message,
    endOffset,
    name: name.text,
    type: pairAt(message, name.endOffset),
    dnsClass: pairAt(message, name.endOffset + 2),
    opcode,
    edns,
  };
}

function readName(message: Buffer): { text: string; endOffset: number } | undefined {
  let offset = HEADER_BYTES;
  let length = 0;
  let isAscii = true;
  for (;;) {
    const labelBytes = message[offset];
    if (labelBytes === undefined || labelBytes > LABEL_MAX_BYTES) return undefined;
    offset += 1;
    if (labelBytes === 0) break;
    const end = offset + labelBytes;
    if (end - HEADER_BYTES >= NAME_MAX_BYTES || end > message.length) return undefined;
    if (length > 0) scratch[length++] = 0x2e;
    for (; offset < end; offset += 1) {
      const byte = byteAt(message, offset);
      if (byte === 0x2e) scratch[length++] = 0x5c;
      if (byte >= 0x80) isAscii = false;
      scratch[length++] = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
    }
  }
  const text = isAscii
    ? scratch.toString("latin1", 0, length)
    : scratch.toString("utf8", 0, length).toLowerCase();
  return { text, endOffset: offset };
}

/** Records are passed over by their lengths; compressed names among them are two bytes to us. */
function findEdns(message: Buffer, from: number, count: number): Edns | undefined | "malformed" {
  let offset = from;
  if (count > EXTRA_RECORDS_MAX) return "malformed";
  for (let i = 0; i < count; i += 1) {
    const isRoot = message[offset] === 0;
    const head = skipName(message, offset);
    if (head === undefined || head + RECORD_HEAD_BYTES > message.length) return "malformed";
    const dataBytes = pairAt(message, head + 8);
    const end = head + RECORD_HEAD_BYTES + dataBytes;
    if (end > message.length) return "malformed";
    if (isRoot && pairAt(message, head) === TYPE.opt) {
      return {
        payloadBytes: pairAt(message, head + 2),
        version: byteAt(message, head + 5),
        hasOptions: dataBytes > 0,
        dnssecOk: (byteAt(message, head + 6) & 0x80) !== 0,
      };
    }
    offset = end;
  }
  return undefined;
}

/** @returns where the name's bytes end; undefined when they do not. A pointer ends a name and is not followed. */
export function skipName(message: Uint8Array, from: number): number | undefined {
  let offset = from;
  for (;;) {
    const byte = message[offset];
    if (byte === undefined) return undefined;
    if (byte === 0) return offset + 1;
    if (byte >= 0xc0) return offset + 2 <= message.length ? offset + 2 : undefined;
    if (byte > LABEL_MAX_BYTES || offset - from > NAME_MAX_BYTES) return undefined;
    offset += byte + 1;
  }
}

/** 0 beyond the end: callers have looked at the length. */
function byteAt(message: Uint8Array, offset: number): number {
  return message[offset] ?? 0;
}

function pairAt(message: Uint8Array, offset: number): number {
  return (byteAt(message, offset) << 8) | byteAt(message, offset + 1);
}
