/**
 * How long an answer from outside may be kept, and what it is when it is told again later.
 * Pure. Invariants: an answer that cannot be read to its end is not kept; what is told again has aged by the
 * time it was kept, and bears the new question's id, bits and spelling.
 * Source: RFC 1035 section 4.1.3, RFC 2308 sections 3 and 5 (negative answers: the SOA says how long),
 * RFC 8767 section 4 (lives that are too long are cut).
 */
import type { DnsQuestion } from "./dns-question.js";
import { HEADER_BYTES, skipName, TYPE } from "./dns-question.js";

/** What an administrator waits for at most after changing a name outside. */
const POSITIVE_MAX_SECONDS = 300;
const NEGATIVE_MAX_SECONDS = 30;
const RECORDS_MAX = 200;
const RECORD_HEAD_BYTES = 10;
const SOA_NUMBERS_BYTES = 20;
const NO_SUCH_NAME = 3;

export interface KeptAnswer {
  readonly bytes: Buffer;
  /** Where records say their own life. */
  readonly lifeOffsets: readonly number[];
  readonly lifeSeconds: number;
}

/** @returns undefined for what must not be kept: cut, failed, without a life, or not to be read. */
export function readLife(answer: Buffer, questionEnd: number): KeptAnswer | undefined {
  if (answer.length < HEADER_BYTES || ((answer[2] ?? 0) & 0x02) !== 0) return undefined;
  const rcode = (answer[3] ?? 0) & 15;
  if (rcode !== 0 && rcode !== NO_SUCH_NAME) return undefined;
  const counts = [answer.readUInt16BE(6), answer.readUInt16BE(8), answer.readUInt16BE(10)];
  const [answers = 0, authorities = 0, extras = 0] = counts;
  if (answers + authorities + extras > RECORDS_MAX) return undefined;
  const isNegative = rcode === NO_SUCH_NAME || answers === 0;
  const lifeOffsets: number[] = [];
  let least = isNegative ? NEGATIVE_MAX_SECONDS : POSITIVE_MAX_SECONDS;
  let hasAuthority = false;
  let offset = questionEnd;
  for (let i = 0; i < answers + authorities + extras; i += 1) {
    const head = skipName(answer, offset);
    if (head === undefined || head + RECORD_HEAD_BYTES > answer.length) return undefined;
    const type = answer.readUInt16BE(head);
    const life = answer.readUInt32BE(head + 4);
    const end = head + RECORD_HEAD_BYTES + answer.readUInt16BE(head + 8);
    if (end > answer.length) return undefined;
    if (type !== TYPE.opt) {
      lifeOffsets.push(head + 4);
      least = Math.min(least, life > 0x7fff_ffff ? 0 : life);
      if (type === TYPE.soa && i >= answers && i < answers + authorities) {
        hasAuthority = true;
        if (end - SOA_NUMBERS_BYTES > head) least = Math.min(least, answer.readUInt32BE(end - 4));
      }
    }
    offset = end;
  }
  if (least <= 0 || (isNegative && !hasAuthority)) return undefined;
  return { bytes: answer, lifeOffsets, lifeSeconds: least };
}

/** @param ageSeconds since it came; whole. */
export function retold(kept: KeptAnswer, question: DnsQuestion, ageSeconds: number): Buffer {
  const answer = Buffer.from(kept.bytes);
  const { message, endOffset } = question;
  message.copy(answer, 0, 0, 2);
  answer[2] = ((answer[2] ?? 0) & 0xfe) | ((message[2] ?? 0) & 0x01);
  message.copy(answer, HEADER_BYTES, HEADER_BYTES, endOffset);
  for (const offset of kept.lifeOffsets)
    answer.writeUInt32BE(Math.max(0, answer.readUInt32BE(offset) - ageSeconds), offset);
  return answer;
}
