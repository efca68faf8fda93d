/**
 * The folder of a build as the archive POST /build takes. Edge: to files.
 * Invariants: what .dockerignore names is not sent, save the Dockerfile and the ignore file themselves; the
 * archive is made while it is sent, so memory does not grow with the folder; the same folder gives the same
 * order. Source: Dockerfile reference, ".dockerignore file".
 */
import { createReadStream } from "node:fs";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import { InvalidArgumentError, messageOf } from "../../../base/errors/errors.js";
import { type IgnoreRules, readDockerignore } from "../../../base/paths/ignore-rules.js";

/** As many as the builder takes. */
const ENTRIES_MAX = 1_000_000;

export interface ContextSource {
  /** An absolute path, or one relative to the process's folder. */
  readonly folder: string;
  /** Path within the context, or absolute. @default "Dockerfile" */
  readonly dockerfile?: string;
  /** Its text, instead of a file. */
  readonly dockerfileInline?: string;
}

export interface BuildContext {
  readonly stream: Readable;
  /** Name of the Dockerfile in the archive. */
  readonly dockerfile: string;
}

/** A Dockerfile that is not in the folder goes by this name. */
const FOREIGN_DOCKERFILE = ".skein.dockerfile";

/** @throws {InvalidArgumentError} no folder, no Dockerfile, a wrong .dockerignore. */
export async function packContext(source: ContextSource): Promise<BuildContext> {
  const folder = resolve(source.folder);
  const stats = await lstat(folder).catch((error: unknown) => {
    throw new InvalidArgumentError(`cannot read the build context ${folder}: ${messageOf(error)}`, {
      cause: error,
    });
  });
  if (!stats.isDirectory() && !stats.isSymbolicLink())
    throw new InvalidArgumentError(`the build context ${folder} is not a folder`);
  const { name, foreign } = await dockerfileOf(folder, source);
  const rules = await ignoreRulesOf(folder, name);
  const archive = pack();
  const kept: ReadonlySet<string> = new Set([name, `${name}.dockerignore`, ".dockerignore"]);
  const fill = async (): Promise<void> => {
    if (foreign !== undefined) await addText(archive, { name, mode: 0o644 }, foreign);
    await new FolderPacker(archive, folder, rules, kept).add("");
    archive.finalize();
  };
  // What goes wrong while it is packed ends the stream, and with it the request.
  fill().catch((error: unknown) =>
    archive.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return { stream: Readable.from(archive), dockerfile: name };
}

async function dockerfileOf(
  folder: string,
  { dockerfile = "Dockerfile", dockerfileInline }: ContextSource,
): Promise<{ readonly name: string; readonly foreign?: string }> {
  if (dockerfileInline !== undefined) return { name: FOREIGN_DOCKERFILE, foreign: dockerfileInline };
  const path = resolve(folder, dockerfile);
  const within = relative(folder, path);
  const isOutside = within.startsWith("..") || isAbsolute(within);
  try {
    if (isOutside) return { name: FOREIGN_DOCKERFILE, foreign: await readFile(path, "utf8") };
    await lstat(path);
  } catch (error) {
    throw new InvalidArgumentError(`cannot read the Dockerfile ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return { name: within.split(sep).join("/") };
}

async function ignoreRulesOf(folder: string, dockerfile: string): Promise<IgnoreRules | undefined> {
  for (const name of [`${dockerfile}.dockerignore`, ".dockerignore"]) {
    const text = await readFile(join(folder, name), "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw new InvalidArgumentError(`cannot read ${join(folder, name)}: ${messageOf(error)}`, {
        cause: error,
      });
    });
    if (text !== undefined) return readDockerignore(text);
  }
  return undefined;
}

type Header = Parameters<Pack["entry"]>[0];

const addText = (archive: Pack, header: Header, text: string): Promise<void> =>
  new Promise((added, failed) => archive.entry(header, text, (error) => (error ? failed(error) : added())));

class FolderPacker {
  readonly #archive: Pack;
  readonly #folder: string;
  readonly #rules: IgnoreRules | undefined;
  readonly #kept: ReadonlySet<string>;
  #entries = 0;

  constructor(archive: Pack, folder: string, rules: IgnoreRules | undefined, kept: ReadonlySet<string>) {
    this.#archive = archive;
    this.#folder = folder;
    this.#rules = rules;
    this.#kept = kept;
  }

  /** @param path of a folder, relative to the context, with /; "" is the context itself. */
  async add(path: string): Promise<void> {
    const entries = await readdir(join(this.#folder, path), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = path === "" ? entry.name : `${path}/${entry.name}`;
      const excluded = this.#rules?.excludes(name) === true && !this.#kept.has(name);
      // an excluded folder may hold what an exception, or the Dockerfile's name, brings back
      if (excluded && !(entry.isDirectory() && this.#mayHoldMore(name))) continue;
      if (!excluded) await this.#addOne(name);
      if (entry.isDirectory()) await this.add(name);
    }
  }

  #mayHoldMore(folder: string): boolean {
    return (
      this.#rules?.hasExceptions === true || [...this.#kept].some((name) => name.startsWith(`${folder}/`))
    );
  }

  /** Owner is root, as in every context; sockets and devices are left out. */
  async #addOne(name: string): Promise<void> {
    this.#entries += 1;
    if (this.#entries > ENTRIES_MAX)
      throw new InvalidArgumentError(
        `the build context ${this.#folder} has more than ${ENTRIES_MAX} files: ` +
          `name what is not needed in .dockerignore`,
      );
    const path = join(this.#folder, name);
    const stats = await lstat(path);
    const header = { name, mode: stats.mode & 0o7777, mtime: stats.mtime, uid: 0, gid: 0 };
    if (stats.isDirectory()) await this.#plain({ ...header, type: "directory" });
    else if (stats.isSymbolicLink())
      await this.#plain({ ...header, type: "symlink", linkname: await readlink(path) });
    else if (stats.isFile()) {
      if (stats.size === 0) await addText(this.#archive, header, "");
      // no more than the header promised, should it grow meanwhile
      else
        await pipeline(
          createReadStream(path, { end: stats.size - 1 }),
          this.#archive.entry({ ...header, size: stats.size }),
        );
    }
  }

  #plain(header: Header): Promise<void> {
    return new Promise((added, failed) =>
      this.#archive.entry(header, (error) => (error ? failed(error) : added())),
    );
  }
}
