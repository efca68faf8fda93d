/**
 * Paths inside a container's root file system, resolved as the container would see them.
 * Edge: to the file system.
 * Invariant: no result leaves the root, whatever symbolic links the image holds.
 * Meant for roots whose container does not run.
 */
import { lstat, mkdir, open, readlink } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { isErrno } from "./linux-process.js";

const LINKS_MAX = 40;
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Follows links with the root as "/". Missing parts are kept as they are named.
 * @returns a path on the host, never outside `root`, none of whose existing parts is a link.
 * @throws {InvalidArgumentError} after 40 links.
 */
export async function resolveInRoot(root: string, path: string): Promise<string> {
  const pending = path.split("/").reverse();
  let inside: string[] = [];
  let links = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      inside.pop();
      continue;
    }
    const target = await linkTarget(join(root, ...inside, part));
    if (target === undefined) {
      inside.push(part);
      continue;
    }
    links += 1;
    if (links > LINKS_MAX) throw new InvalidArgumentError(`too many symbolic links in ${path}`);
    if (target.startsWith("/")) inside = [];
    pending.push(...target.split("/").reverse());
  }
  return join(root, ...inside);
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/** @returns the text, "" when missing or not a regular file. @throws {InvalidArgumentError} above 4 MiB. */
export async function readTextInRoot(root: string, path: string): Promise<string> {
  const real = await resolveInRoot(root, path);
  try {
    const info = await lstat(real);
    if (!info.isFile()) return "";
    if (info.size > FILE_BYTES_MAX)
      throw new InvalidArgumentError(`${path} of the image is larger than ${FILE_BYTES_MAX} bytes`);
    const file = await open(real, "r");
    try {
      return await file.readFile("utf8");
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return "";
    throw error;
  }
}

/** Makes a folder, and those above it, inside the root. */
export async function makeFolderInRoot(root: string, path: string): Promise<void> {
  const real = await resolveInRoot(root, path);
  try {
    await mkdir(real, { recursive: true, mode: 0o755 });
  } catch (error) {
    if (isErrno(error, "EEXIST", "ENOTDIR"))
      throw new InvalidArgumentError(`Cannot mkdir: ${path} is not a directory`, { cause: error });
    throw error;
  }
}
