/**
 * A file that is whole or absent: written beside its place, synced, then put there. Edge: to node:fs.
 * Invariants: readable by its owner only; what is there already stays unless it was meant to be replaced; a
 * full disk or an interrupt leaves nothing.
 */
import { constants } from "node:fs";
import { type FileHandle, link, lstat, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AlreadyExistsError, InvalidArgumentError, messageOf } from "../base/errors/errors.js";

export class NewFile {
  readonly #path: string;
  readonly #temporary: string;
  readonly #replace: boolean;
  readonly #handle: FileHandle;
  #open = true;

  private constructor(parts: { path: string; temporary: string; replace: boolean; handle: FileHandle }) {
    this.#path = parts.path;
    this.#temporary = parts.temporary;
    this.#replace = parts.replace;
    this.#handle = parts.handle;
  }

  /**
   * @param options.replace an existing file may go.
   * @throws {AlreadyExistsError} something is there; {InvalidArgumentError} it is no regular file, or nothing
   * can be written beside it.
   */
  static async open(path: string, options: { replace: boolean }): Promise<NewFile> {
    await assertFree(path, options);
    const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
    try {
      await rm(temporary, { force: true }); // of a process of the same number that was killed
      const handle = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
      return new NewFile({ path, temporary, replace: options.replace, handle });
    } catch (error) {
      throw new InvalidArgumentError(`cannot write ${path}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** @throws {Error} the disk's own, in words with the path. */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; )
        at += (await this.#handle.write(bytes, at, bytes.length - at)).bytesWritten;
    } catch (error) {
      throw new Error(`cannot write ${this.#path}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Syncs the content and puts it into its place. @throws {AlreadyExistsError} somebody was faster. */
  async commit(): Promise<void> {
    try {
      await this.#handle.sync();
    } catch (error) {
      throw new Error(`cannot write ${this.#path}: ${messageOf(error)}`, { cause: error });
    }
    this.#open = false;
    await this.#handle.close();
    if (this.#replace || !(await this.#linked())) await rename(this.#temporary, this.#path);
    else await rm(this.#temporary);
    await syncFolder(dirname(this.#path));
  }

  /** Forgets what was written. Harmless after `commit`. */
  async abort(): Promise<void> {
    if (this.#open) await this.#handle.close();
    this.#open = false;
    await rm(this.#temporary, { force: true });
  }

  /** A link refuses what exists, which a rename does not. @returns false where there are no links. */
  async #linked(): Promise<boolean> {
    try {
      await link(this.#temporary, this.#path);
      return true;
    } catch (error) {
      if (codeOf(error) === "EEXIST") throw alreadyThere(this.#path);
      await assertFree(this.#path, { replace: false });
      return false;
    }
  }
}

async function assertFree(path: string, { replace }: { replace: boolean }): Promise<void> {
  let isFile: boolean;
  try {
    isFile = (await lstat(path)).isFile();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw new InvalidArgumentError(`cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
  if (!isFile) throw new InvalidArgumentError(`${path} exists and is no regular file: it is left as it is`);
  if (!replace) throw alreadyThere(path);
}

function alreadyThere(path: string): AlreadyExistsError {
  return new AlreadyExistsError(`${path} exists already: it is replaced only with --force`);
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;
