/**
 * Small files of a container's root while the container runs. Edge: to the kernel, by openat2.
 * Invariant: whatever the container puts there meanwhile, nothing outside its root is read, and nothing that
 * is no plain file is waited for.
 */
import { closeSync, constants, fstatSync, readSync } from "node:fs";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";

const FILE_BYTES_MAX = 4 * 1024 * 1024;
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** @returns the text, "" when missing or no plain file. @throws {InvalidArgumentError} above 4 MiB. */
export function readTextOfLiveRoot(linux: Pick<Linux, "openInRoot">, root: string, path: string): string {
  let fd: number;
  try {
    fd = linux.openInRoot({ root, path, leaving: "contained", flags: FLAGS });
  } catch (error) {
    if (/\b(ENOENT|ENOTDIR|ELOOP|ENXIO)$/.test(messageOf(error))) return "";
    throw error;
  }
  try {
    const info = fstatSync(fd);
    if (!info.isFile()) return "";
    if (info.size > FILE_BYTES_MAX)
      throw new InvalidArgumentError(`${path} of the container is larger than ${FILE_BYTES_MAX} bytes`);
    const text = Buffer.alloc(info.size);
    return text.toString("utf8", 0, readSync(fd, text, 0, text.length, 0));
  } finally {
    closeSync(fd);
  }
}
