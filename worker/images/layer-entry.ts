/**
 * What one tar entry of a layer says: checked names, owner, mode, times, extended attributes.
 * Pure. Invariant: a name that comes out has no empty, "." or ".." part and does not begin at the root.
 * Source: OCI image-spec 1.1 layer.md; POSIX pax (extended headers win over ustar fields).
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

/** A tar header as tar-stream gives it; its published types leave out pax and byteOffset. */
export interface TarHeader {
  readonly name: string;
  readonly type: string | null;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: Date;
  readonly linkname: string | null;
  readonly devmajor: number;
  readonly devminor: number;
  readonly pax: Readonly<Record<string, string>> | null;
  /** Offset in the plain tar at which this header ends. */
  readonly byteOffset: number;
}

export const XATTR_PREFIX = "SCHILY.xattr.";

/**
 * Latest time that is kept, in seconds: the year 2242; what lies outside is clamped, file systems refuse it.
 */
const MTIME_SECONDS_MAX = 2 ** 33;

/**
 * @returns the parts of the name below the layer's root; none means the root itself.
 * @throws {InvalidArgumentError} naming path and layer when the name begins at the root, has "..", or a NUL
 * byte.
 */
export function partsOfName(name: string, layer: string): readonly string[] {
  const refuse = (rule: string): never => {
    throw new InvalidArgumentError(`layer ${layer}: path ${JSON.stringify(name.slice(0, 300))} ${rule}`);
  };
  if (name.startsWith("/")) refuse("is absolute: names in a layer are relative to its root");
  if (name.includes("\0")) refuse("holds a NUL byte");
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) refuse('holds "..", which may leave the root');
  return parts;
}

/** @returns owner ids, from the pax header when it has them. */
export function ownerOf(header: TarHeader): { uid: number; gid: number } {
  const number = (text: string | undefined, otherwise: number): number => {
    const value = text === undefined ? otherwise : Number(text);
    return Number.isSafeInteger(value) && value >= 0 && value < 2 ** 32 - 1 ? value : 0;
  };
  return { uid: number(header.pax?.["uid"], header.uid), gid: number(header.pax?.["gid"], header.gid) };
}

/** @returns seconds since the epoch, with a fraction when the pax header has one. */
export function mtimeSecondsOf(header: TarHeader): number {
  const pax = header.pax?.["mtime"];
  const seconds = pax === undefined ? header.mtime.getTime() / 1000 : Number(pax);
  if (!Number.isFinite(seconds)) return 0;
  return Math.min(Math.max(seconds, 0), MTIME_SECONDS_MAX);
}

/**
 * @returns names of the extended attributes the entry may set. Attributes by which overlayfs steers itself
 * are left out, or a layer could redirect a folder to any other; so are the labels of the machine that packed
 * it.
 */
export function xattrNamesOf(header: TarHeader): readonly string[] {
  return Object.keys(header.pax ?? {})
    .filter((key) => key.startsWith(XATTR_PREFIX))
    .map((key) => key.slice(XATTR_PREFIX.length))
    .filter((name) => !/^(trusted|user)\.overlay\./.test(name) && !/^security\.(selinux|ima|evm)$/.test(name))
    .sort();
}
