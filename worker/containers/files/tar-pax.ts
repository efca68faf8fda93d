/**
 * Records of a pax header: "<length> <key>=<value>\n". Pure. Values are bytes, one character each.
 * Sources: POSIX.1-2017 pax; GNU tar manual, "Storing Sparse Files".
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { type TarExtent, type TarXattr, XATTR_KEY } from "./tar-entry.js";

export type PaxRecords = ReadonlyMap<string, string>;

const OFFSET_KEY = "GNU.sparse.offset";
const LENGTH_KEY = "GNU.sparse.numbytes";
/** Sparse files of pax 0.0 repeat their keys: here they are put together in one record, as 0.1 has it. */
const MAP_KEY = "GNU.sparse.map";

/** @throws {InvalidArgumentError} */
export function parsePax(body: Uint8Array): PaxRecords {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const records = new Map<string, string>();
  const repeated: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(0x20, at);
    const digits = blank < 0 || blank - at > 8 ? "" : bytes.toString("latin1", at, blank);
    const end = at + Number(digits);
    if (!/^[1-9]\d*$/.test(digits) || end > bytes.length || end <= blank + 1 || bytes[end - 1] !== 0x0a)
      throw invalid();
    const record = bytes.toString("latin1", blank + 1, end - 1);
    const equals = record.indexOf("=");
    if (equals < 1) throw invalid();
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (["path", "linkpath", "GNU.sparse.name"].includes(key) && value.includes("\0")) throw invalid();
    if (key === OFFSET_KEY || key === LENGTH_KEY) repeated.push(value);
    else if (value === "")
      records.delete(key); // "as if it were not there"
    else records.set(key, value);
    at = end;
  }
  if (repeated.length > 0) records.set(MAP_KEY, repeated.join(","));
  return records;
}

/** @throws {InvalidArgumentError} not a number. */
export function paxNumber(records: PaxRecords, key: string): number | undefined {
  const value = records.get(key);
  if (value === undefined) return undefined;
  if (!/^-?\d{1,15}(\.\d*)?$/.test(value)) throw invalid();
  return Number(value);
}

/** Attributes by which overlayfs steers itself are left out, or an archive could redirect a folder. */
export function xattrsOf(records: PaxRecords): readonly TarXattr[] {
  return [...records]
    .filter(([key]) => key.startsWith(XATTR_KEY))
    .map(([key, value]) => ({ name: key.slice(XATTR_KEY.length), value: Buffer.from(value, "latin1") }))
    .filter(({ name }) => name !== "" && !name.includes("\0") && !/^(trusted|user)\.overlay\./.test(name));
}

export interface PaxSparse {
  readonly realBytes: number | undefined;
  readonly extents: readonly TarExtent[];
  /** The map stands before the data (pax 1.0). */
  readonly mapInData: boolean;
}

/** @returns undefined for a file that is not sparse. @throws {InvalidArgumentError} */
export function sparseOf(records: PaxRecords): PaxSparse | undefined {
  const realBytes = paxNumber(records, "GNU.sparse.realsize") ?? paxNumber(records, "GNU.sparse.size");
  if (records.get("GNU.sparse.major") === "1" && records.get("GNU.sparse.minor") === "0")
    return { realBytes, extents: [], mapInData: true };
  const map = records.get(MAP_KEY);
  if (map === undefined) return undefined;
  const numbers = map.split(",").map((digits) => (/^\d{1,15}$/.test(digits) ? Number(digits) : -1));
  if (numbers.length % 2 !== 0 || numbers.includes(-1)) throw invalid();
  const extents: TarExtent[] = [];
  for (let i = 0; i < numbers.length; i += 2)
    extents.push({ offset: numbers[i] ?? 0, length: numbers[i + 1] ?? 0 });
  return { realBytes, extents, mapInData: false };
}

function invalid(): InvalidArgumentError {
  return new InvalidArgumentError("archive/tar: invalid tar header");
}
