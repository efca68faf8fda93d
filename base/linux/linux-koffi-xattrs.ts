/**
 * Extended attributes of a file, read by system calls. Edge: to the kernel, by koffi; a file of its own
 * because the threads that pack layers load it without the rest of the port.
 * Source: llistxattr(2), lgetxattr(2), xattr(7).
 */
import { cLgetxattr, cLlistxattr, cString, ENOENT, lastErrno, refusal } from "./linux-koffi-calls.js";

const ENODATA = 61;
const ERANGE = 34;
const EOPNOTSUPP = 95;
/** XATTR_LIST_MAX and XATTR_SIZE_MAX of the kernel. */
const BYTES_MAX = 65_536;
const SMALL_BYTES = 1_024;

const small = new Uint8Array(SMALL_BYTES);

/** @throws {InternalError} the file is not there, or the kernel refuses. */
export function readXattrs(path: string): readonly { readonly name: string; readonly value: Uint8Array }[] {
  const target = cString(path, "path");
  const names = read((into) => cLlistxattr(target, into, into.length));
  if (typeof names === "number") {
    if (names === EOPNOTSUPP) return [];
    throw refusal(names, "listxattr", path);
  }
  if (names.length === 0) return [];
  return Buffer.from(names)
    .toString("utf8")
    .split("\0")
    .filter((name) => name !== "")
    .sort()
    .flatMap((name) => {
      const value = read((into) => cLgetxattr(target, name, into, into.length));
      if (typeof value !== "number") return [{ name, value }];
      if (value === ENODATA || value === ENOENT || value === EOPNOTSUPP) return [];
      throw refusal(value, `getxattr ${name}`, path);
    });
}

/** @returns a copy of the bytes, or the errno. */
function read(call: (into: Uint8Array) => number | bigint): Uint8Array | number {
  for (let into = small; ; into = new Uint8Array(BYTES_MAX)) {
    const length = Number(call(into));
    if (length >= 0) return into.slice(0, length);
    const errno = lastErrno();
    if (errno !== ERANGE || into.length >= BYTES_MAX) return errno;
  }
}
