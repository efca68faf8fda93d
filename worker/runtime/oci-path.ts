/**
 * Absolute paths of a container, made plain. Pure. Invariant: no "." or "..", no trailing slash.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

/** @throws {InvalidArgumentError} naming what it is when it is not absolute or holds a NUL. */
export function absolutePath(path: string, what: string): string {
  if (!path.startsWith("/") || path.includes("\0"))
    throw new InvalidArgumentError(`${what} must be an absolute path, got ${JSON.stringify(path)}`);
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}
