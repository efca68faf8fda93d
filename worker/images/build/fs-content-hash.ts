/**
 * One sum over what COPY or ADD takes: names, types, modes, links and bytes; owners only where they are kept;
 * never times. Edge: to the file system.
 * Invariant: equal trees have equal sums, wherever they lie and whenever they were made.
 */
import { createHash, type Hash } from "node:crypto";
import type { Stats } from "node:fs";
import { createReadStream, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { CancelledError } from "../../../base/errors/errors.js";
import { nextTurn } from "../../../base/loop/process-turn.js";

export interface HashOptions {
  readonly owners: boolean;
  /** Path below the hashed one. */
  readonly excludes: (path: string) => boolean;
  readonly signal: AbortSignal | undefined;
}

const READ_CHUNK_BYTES = 1 << 20;
/** Read at once, by a synchronous call: faster, and over in microseconds. */
const SMALL_BYTES_MAX = 64 << 10;
/** Small files between two turns of the event loop: some 5 ms of work. */
const FILES_PER_TURN = 50;
/** Sums of files below one context that are remembered. */
const REMEMBERED_MAX = 65_536;

export class ContentHasher {
  readonly #files = new Map<string, string>();
  #sinceTurn = 0;

  /** @returns hex of the sum over a file or a whole folder; `name` is part of it for a file. */
  async of(absolute: string, stats: Stats, name: string, options: HashOptions): Promise<string> {
    const hash = createHash("sha256");
    if (stats.isDirectory()) await this.#folder(hash, absolute, "", options);
    else await this.#entry(hash, absolute, name, stats, options);
    return hash.digest("hex");
  }

  async #folder(hash: Hash, absolute: string, path: string, options: HashOptions): Promise<void> {
    for (const name of readdirSync(absolute).sort()) {
      const inner = path === "" ? name : `${path}/${name}`;
      const here = join(absolute, name);
      const stats = lstatSync(here);
      const excluded = options.excludes(inner);
      if (!excluded) await this.#entry(hash, here, inner, stats, options);
      if (stats.isDirectory()) await this.#folder(hash, here, inner, options);
    }
  }

  async #entry(
    hash: Hash,
    absolute: string,
    name: string,
    stats: Stats,
    options: HashOptions,
  ): Promise<void> {
    if (options.signal?.aborted === true) throw new CancelledError("the build was cancelled");
    const owner = options.owners ? `${stats.uid}:${stats.gid}` : "";
    const parts = [name, (stats.mode & 0o177777).toString(8), owner];
    if (stats.isFile()) parts.push(await this.#file(absolute, stats));
    else if (stats.isSymbolicLink()) parts.push(readlinkSync(absolute));
    else if (!stats.isDirectory()) parts.push(String(stats.rdev));
    hash.update(`${parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join(",")};`);
  }

  /** Within a build files do not change, so each is read once. */
  async #file(absolute: string, stats: Stats): Promise<string> {
    const key = `${stats.dev}:${stats.ino}:${stats.ctimeMs}:${stats.size}`;
    const known = this.#files.get(key);
    if (known !== undefined) return known;
    const hash = createHash("sha256");
    if (stats.size <= SMALL_BYTES_MAX) {
      hash.update(readFileSync(absolute));
      this.#sinceTurn += 1;
      if (this.#sinceTurn % FILES_PER_TURN === 0) await nextTurn();
    } else
      for await (const chunk of createReadStream(absolute, { highWaterMark: READ_CHUNK_BYTES }))
        hash.update(chunk as Buffer); // no encoding is set
    const digest = hash.digest("hex");
    if (this.#files.size >= REMEMBERED_MAX) this.#files.clear();
    this.#files.set(key, digest);
    return digest;
  }
}
