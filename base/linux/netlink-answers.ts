/**
 * What one datagram says about one request. Pure.
 * Invariant: a dump is complete only when its NLMSG_DONE came and no part was marked as interrupted.
 * Little-endian, as every machine Node's x64 and arm64 builds run on.
 * Source: netlink(7); include/uapi/linux/netlink.h.
 */
import { InternalError } from "../errors/errors.js";

const NLMSG_NOOP = 1;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_MULTI = 2;
const NLM_F_DUMP_INTR = 0x10;
const HEADER_BYTES = 16;

export interface NetlinkAnswers {
  /** In the order of arrival; copies. */
  readonly payloads: readonly Uint8Array[];
  /** The table changed while it was read: some rows may be missing or there twice. */
  readonly interrupted: boolean;
  /** more: the answer goes on in the next datagram; refused: with this errno, positive. */
  readonly end: { readonly kind: "more" | "done" } | { readonly kind: "refused"; readonly errno: number };
}

/** DONE and ERROR carry 0 or a negative errno; an old DONE carries nothing. */
function endOf(message: Buffer): NetlinkAnswers["end"] {
  const result = message.length >= HEADER_BYTES + 4 ? message.readInt32LE(HEADER_BYTES) : 0;
  return result < 0 ? { kind: "refused", errno: -result } : { kind: "done" };
}

/** The refusals in one datagram, each with the number of the message it answers. */
export function readNetlinkRefusals(
  datagram: Buffer,
): { readonly sequence: number; readonly errno: number }[] {
  const refusals: { sequence: number; errno: number }[] = [];
  let offset = 0;
  while (offset + HEADER_BYTES <= datagram.length) {
    const length = datagram.readUInt32LE(offset);
    if (length < HEADER_BYTES || offset + length > datagram.length) break;
    const message = datagram.subarray(offset, offset + length);
    offset += (length + 3) & ~3;
    if (message.readUInt16LE(4) !== NLMSG_ERROR) continue;
    const end = endOf(message);
    if (end.kind === "refused") refusals.push({ sequence: message.readUInt32LE(8), errno: end.errno });
  }
  return refusals;
}

/**
 * Reads one datagram. Messages of other requests (late answers to one that timed out) are passed over.
 * @throws {InternalError} when a length does not fit: then nothing that follows can be read.
 */
export function readNetlinkAnswers(datagram: Buffer, sequence: number): NetlinkAnswers {
  const payloads: Uint8Array[] = [];
  let interrupted = false;
  let offset = 0;
  while (offset + HEADER_BYTES <= datagram.length) {
    const length = datagram.readUInt32LE(offset);
    if (length < HEADER_BYTES || offset + length > datagram.length) {
      throw new InternalError(
        `netlink message must have 16 to ${datagram.length - offset} bytes, says ${length}`,
      );
    }
    const message = datagram.subarray(offset, offset + length);
    const type = message.readUInt16LE(4);
    const flags = message.readUInt16LE(6);
    offset += (length + 3) & ~3;
    if (message.readUInt32LE(8) !== sequence || type === NLMSG_NOOP) continue;
    if (type === NLMSG_ERROR) return { payloads, interrupted, end: endOf(message) };
    if (type === NLMSG_DONE || (flags & NLM_F_MULTI) !== 0) interrupted ||= (flags & NLM_F_DUMP_INTR) !== 0;
    if (type === NLMSG_DONE) return { payloads, interrupted, end: endOf(message) };
    payloads.push(new Uint8Array(message.subarray(HEADER_BYTES)));
  }
  return { payloads, interrupted, end: { kind: "more" } };
}
