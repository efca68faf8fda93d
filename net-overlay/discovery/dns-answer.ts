/**
 * Answers of our own as bytes: the question's own header and name, and behind them records that are made
 * already.
 * Pure. Invariants: an answer never exceeds what the asker's transport carries: it is cut at a whole record
 * and marked, and the asker comes back by TCP; equal records are turned round, so that the first one changes.
 * Source: RFC 1035 section 4.1, RFC 2181 section 9 (cutting), RFC 6891 sections 6.1.3 and 7.
 */
import type { DnsQuestion } from "./dns-question.js";
import { HEADER_BYTES } from "./dns-question.js";
import type { NameRecords, RecordBlock } from "./name-records.js";
import { TTL_SECONDS } from "./name-records.js";

const UDP_PAYLOAD_MIN_BYTES = 512;
/** What we send at most by UDP, whatever the asker offers. It never leaves the sandbox: no path's MTU counts. */
const UDP_PAYLOAD_MAX_BYTES = 4_096;
const MESSAGE_MAX_BYTES = 65_535;
const OPT_BYTES = 11;
const POINTER_HEAD_BYTES = 12;
const TRUNCATED = 0x02;
const AUTHORITATIVE = 0x04;
const RECURSION_AVAILABLE = 0x80;

export const RCODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  noSuchName: 3,
  notImplemented: 4,
  refused: 5,
} as const;
/** Extended: 16 in all, of which OPT carries the upper eight bits. */
const BAD_VERSION = 16;

export type Transport = "udp" | "tcp";

/** @param turn any counter: the record to begin with. */
export function answerRecords(
  question: DnsQuestion,
  records: NameRecords,
  options: { family: 4 | 6; turn: number; transport: Transport },
): Buffer {
  const block = records.records(options.family);
  const ednsBytes = question.edns === undefined ? 0 : OPT_BYTES;
  const room = payloadBytes(question, options.transport) - question.endOffset - ednsBytes;
  const count = Math.min(block.count, Math.floor(room / block.recordBytes));
  const answer = begin(question, count * block.recordBytes, {
    rcode: RCODE.noError,
    answers: count,
    isCut: count < block.count,
  });
  copyTurned(block, answer, { at: question.endOffset, count, turn: options.turn });
  return answer;
}

/** To a question of an address: the name it belongs to. */
export function answerPointer(question: DnsQuestion, name: string): Buffer {
  const target = encodeName(name);
  if (target === undefined) return answerEmpty(question, RCODE.noError);
  const answer = begin(question, POINTER_HEAD_BYTES + target.length, { rcode: RCODE.noError, answers: 1 });
  const at = question.endOffset;
  answer.writeUInt16BE(0xc00c, at);
  answer.writeUInt16BE(12, at + 2);
  answer.writeUInt16BE(1, at + 4);
  answer.writeUInt32BE(TTL_SECONDS, at + 6);
  answer.writeUInt16BE(target.length, at + 10);
  target.copy(answer, at + POINTER_HEAD_BYTES);
  return answer;
}

export function answerEmpty(question: DnsQuestion, rcode: number): Buffer {
  return begin(question, 0, { rcode, answers: 0 });
}

/** To a question in a version of EDNS that nobody speaks yet. */
export function answerBadVersion(question: DnsQuestion): Buffer {
  return begin(question, 0, { rcode: BAD_VERSION, answers: 0 });
}

/** To what could not be read as a question: the header alone. @param message at least a header long. */
export function answerMalformed(message: Buffer): Buffer {
  const answer = Buffer.alloc(HEADER_BYTES);
  message.copy(answer, 0, 0, 4);
  answer[2] = 0x80 | ((message[2] ?? 0) & 0x79);
  answer[3] = RECURSION_AVAILABLE | RCODE.formatError;
  return answer;
}

/** An answer of somebody else as the asker's transport carries it: whole, or the question alone and marked. */
export function fitted(question: DnsQuestion, answer: Buffer, transport: Transport): Buffer {
  if (transport === "tcp" || answer.length <= payloadBytes(question, "udp")) return answer;
  const rcode = (answer[3] ?? 0) & 15;
  return begin(question, 0, { rcode, answers: 0, isCut: true });
}

function payloadBytes({ edns }: DnsQuestion, transport: Transport): number {
  if (transport === "tcp") return MESSAGE_MAX_BYTES;
  if (edns === undefined) return UDP_PAYLOAD_MIN_BYTES;
  return Math.min(Math.max(edns.payloadBytes, UDP_PAYLOAD_MIN_BYTES), UDP_PAYLOAD_MAX_BYTES);
}

/** Header and question, room for the records, OPT when the asker sent one. */
function begin(
  question: DnsQuestion,
  recordBytes: number,
  { rcode, answers, isCut = false }: { rcode: number; answers: number; isCut?: boolean },
): Buffer {
  const { message, endOffset, edns } = question;
  const answer = Buffer.allocUnsafe(endOffset + recordBytes + (edns === undefined ? 0 : OPT_BYTES));
  message.copy(answer, 0, 0, endOffset);
  const asked = message[2] ?? 0;
  answer[2] = 0x80 | (asked & 0x79) | AUTHORITATIVE | (isCut ? TRUNCATED : 0);
  answer[3] = RECURSION_AVAILABLE | ((message[3] ?? 0) & 0x10) | (rcode & 15);
  answer[6] = answers >> 8;
  answer[7] = answers & 255;
  answer[8] = 0;
  answer[9] = 0;
  answer[10] = 0;
  answer[11] = edns === undefined ? 0 : 1;
  if (edns !== undefined) {
    const at = endOffset + recordBytes;
    answer[at] = 0; // the root's name
    answer.writeUInt16BE(41, at + 1);
    answer.writeUInt16BE(UDP_PAYLOAD_MAX_BYTES, at + 3);
    answer[at + 5] = rcode >> 4;
    answer[at + 6] = 0; // version
    answer.writeUInt16BE(0, at + 7);
    answer.writeUInt16BE(0, at + 9);
  }
  return answer;
}

function copyTurned(
  { bytes, recordBytes, count: all }: RecordBlock,
  answer: Buffer,
  { at, count, turn }: { at: number; count: number; turn: number },
): void {
  if (count === 0) return;
  const first = turn % all;
  const straight = Math.min(count, all - first);
  bytes.copy(answer, at, first * recordBytes, (first + straight) * recordBytes);
  if (straight < count) bytes.copy(answer, at + straight * recordBytes, 0, (count - straight) * recordBytes);
}

/** @returns undefined for a name that no message can carry. */
export function encodeName(name: string): Buffer | undefined {
  const labels = name.split(".").filter((label) => label !== "");
  const bytes = Buffer.alloc(255);
  let offset = 0;
  for (const label of labels) {
    const length = Buffer.byteLength(label);
    if (length > 63 || offset + length + 2 > bytes.length) return undefined;
    bytes[offset] = length;
    bytes.write(label, offset + 1);
    offset += length + 1;
  }
  return bytes.subarray(0, offset + 1);
}
