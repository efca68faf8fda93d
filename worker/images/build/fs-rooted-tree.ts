/**
 * Paths within a root that only the builder changes: the staged context, or a layer under work.
 * Edge: to the file system. Invariant: a path that comes out lies below the root, and every folder on its way
 * is a real one: links are resolved here, an absolute one and ".." end at the root. No process runs in the
 * root meanwhile, so what was looked at stays as it was. Calls are synchronous: they take microseconds each.
 * Source: Dockerfile reference, COPY (links in the destination are followed within the image).
 */
import { chmodSync, lchownSync, lstatSync, mkdirSync, readlinkSync, type Stats } from "node:fs";
import { join } from "node:path";
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { partsOf } from "./context-path.js";

/** As Linux has it for a path walk. */
const LINKS_FOLLOWED_MAX = 40;
const PATH_BYTES_MAX = 4_096;
const KNOWN_FOLDERS_MAX = 65_536;

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface Found {
  /** Below the root, without links; "" is the root. */
  readonly path: string;
  /** On the host. */
  readonly absolute: string;
  /** undefined: not there. */
  readonly stats: Stats | undefined;
}

export class RootedTree {
  readonly root: string;
  /** Real folders seen, so that many files of one folder cost one walk. */
  readonly #folders = new Set<string>();

  constructor(root: string) {
    this.root = root;
  }

  absolute(path: string): string {
    return join(this.root, path);
  }

  /**
   * What a path names. Folders on the way may be missing: then it is not there.
   * @param options followLast: a link at the end is followed, too.
   */
  find(path: string, options: { followLast: boolean }): Found {
    return this.#walk(path, options.followLast, undefined);
  }

  /** As find; missing folders on the way are made, mode 755. */
  place(path: string, options: { followLast: boolean; owner: Owner }): Found {
    return this.#walk(path, options.followLast, options.owner);
  }

  /** The folder of that path, made when missing. @throws {InvalidArgumentError} it is a file. */
  makeFolder(path: string, owner: Owner): Found & { readonly made: boolean } {
    const found = this.place(path, { followLast: true, owner });
    if (found.stats?.isDirectory() === true) return { ...found, made: false };
    if (found.stats !== undefined) throw new InvalidArgumentError(`/${found.path} is a file, no folder`);
    this.#newFolder(found.absolute, owner);
    return { ...found, stats: lstatSync(found.absolute), made: true };
  }

  /** Call it after a folder was taken away. */
  forgetFolders(): void {
    this.#folders.clear();
  }

  #newFolder(absolute: string, owner: Owner): void {
    mkdirSync(absolute);
    chmodSync(absolute, 0o755); // whatever the umask says
    lchownSync(absolute, owner.uid, owner.gid);
  }

  #walk(path: string, followLast: boolean, create: Owner | undefined): Found {
    if (path.includes("\0") || Buffer.byteLength(path) > PATH_BYTES_MAX)
      throw new InvalidArgumentError(`invalid path ${JSON.stringify(path.slice(0, 200))}`);
    const pending = partsOf(path).reverse();
    const current: string[] = [];
    let links = 0;
    for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
      if (part === "..") {
        current.pop();
        continue;
      }
      const here = [...current, part].join("/");
      const isLast = pending.length === 0;
      if (!isLast && this.#folders.has(here)) {
        current.push(part);
        continue;
      }
      const absolute = this.absolute(here);
      const stats = lstatOrNothing(absolute);
      if (stats?.isSymbolicLink() === true && (!isLast || followLast)) {
        links += 1;
        if (links > LINKS_FOLLOWED_MAX)
          throw new InvalidArgumentError(`too many symbolic links in ${JSON.stringify(path.slice(0, 200))}`);
        const target = readlinkSync(absolute);
        if (target.startsWith("/")) current.length = 0; // the root of the image, which is ours
        pending.push(...partsOf(target).reverse());
        continue;
      }
      if (isLast) return { path: here, absolute, stats };
      if (stats === undefined) {
        if (create === undefined) return { path: [here, ...pending].join("/"), absolute, stats };
        this.#newFolder(absolute, create);
      } else if (!stats.isDirectory()) {
        if (create !== undefined) throw new InvalidArgumentError(`/${here} is a file, no folder`);
        return { path: [here, ...pending].join("/"), absolute, stats: undefined };
      }
      if (this.#folders.size >= KNOWN_FOLDERS_MAX) this.#folders.clear();
      this.#folders.add(here);
      current.push(part);
    }
    const here = current.join("/");
    const absolute = this.absolute(here);
    return { path: here, absolute, stats: lstatOrNothing(absolute) };
  }
}

export function lstatOrNothing(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (hasCode(error, "ENOTDIR")) return undefined;
    throw error;
  }
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
