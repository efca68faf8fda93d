/**
 * The addresses of one name, also as the records of an answer, made when first asked for.
 * Pure. Invariant: never changes; a name with other addresses has another object.
 * Source: RFC 1035 section 3.4.1 (A), RFC 3596 section 2.2 (AAAA), RFC 1035 section 4.1.4 (compression: the
 * record's name points to the question's).
 */
import { parseAddress } from "../ipam/cidr.js";

/** Seconds an answer may be kept: tasks come and go. */
export const TTL_SECONDS = 2;
/** As many of the shorter kind as a message by TCP can hold. */
export const ADDRESSES_MAX = 4_090;
/** Pointer, type, class, life, length of data. */
const RECORD_HEAD_BYTES = 12;

/** Records of one family, each of the same size, one behind the other. */
export interface RecordBlock {
  readonly bytes: Buffer;
  readonly recordBytes: number;
  readonly count: number;
}

export class NameRecords {
  readonly addresses: readonly string[];
  #v4: RecordBlock | undefined;
  #v6: RecordBlock | undefined;

  constructor(addresses: readonly string[]) {
    this.addresses = addresses;
  }

  /** Of one family, in the order of the addresses; possibly none. */
  records(family: 4 | 6): RecordBlock {
    if (family === 4) {
      this.#v4 ??= encodeRecords(this.addresses, 4);
      return this.#v4;
    }
    this.#v6 ??= encodeRecords(this.addresses, 6);
    return this.#v6;
  }
}

function encodeRecords(addresses: readonly string[], family: 4 | 6): RecordBlock {
  const addressBytes = family === 4 ? 4 : 16;
  const recordBytes = RECORD_HEAD_BYTES + addressBytes;
  const wanted = addresses
    .filter((address) => address.includes(":") === (family === 6))
    .slice(0, ADDRESSES_MAX);
  const bytes = Buffer.alloc(wanted.length * recordBytes);
  let offset = 0;
  for (const address of wanted) {
    bytes.writeUInt16BE(0xc00c, offset);
    bytes.writeUInt16BE(family === 4 ? 1 : 28, offset + 2);
    bytes.writeUInt16BE(1, offset + 4);
    bytes.writeUInt32BE(TTL_SECONDS, offset + 6);
    bytes.writeUInt16BE(addressBytes, offset + 10);
    writeAddress(bytes, offset + RECORD_HEAD_BYTES, address);
    offset += recordBytes;
  }
  return { bytes, recordBytes, count: wanted.length };
}

/** Ten thousand of IPv4 in a row when a large service changes: read digit by digit. */
function writeAddress(bytes: Buffer, offset: number, address: string): void {
  if (!address.includes(":")) {
    let at = offset;
    let part = 0;
    for (let i = 0; i <= address.length; i += 1) {
      const digit = address.charCodeAt(i) - 48;
      if (digit >= 0 && digit <= 9) part = part * 10 + digit;
      else {
        if (at < offset + 4) bytes[at++] = part;
        part = 0;
      }
    }
    return;
  }
  const { value } = parseAddress(address);
  bytes.writeBigUInt64BE(value >> 64n, offset);
  bytes.writeBigUInt64BE(value & 0xffff_ffff_ffff_ffffn, offset + 8);
}
