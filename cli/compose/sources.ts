/**
 * Where the values of a project stand: file and line of each key of each map and each item of each list, and
 * the tags `!reset` and `!override`. Pure.
 * Kept beside the plain values, by container, so that a merge takes the marks of what it takes; a mark is one
 * number, and lines are counted only for those that are asked for. Invariant: `locate` answers for every
 * path, by its nearest ancestor that is known.
 */
import type { Path, Position } from "./compose-error.js";

/** `!reset` takes away what earlier files say; `!override` replaces it instead of merging. */
export type Tag = "reset" | "override";
export type Key = string | number;
/** File and offset as one number. */
export type Mark = number;

const OFFSETS = 2 ** 32;

/** Maps longer than this are looked up by an index. */
const SCANNED_MAX = 16;

/** Marks of the keys of a map, or of the items of a list: two short arrays, as there is one for each container. */
export class Marks {
  readonly #keys: string[] = [];
  readonly #marks: (Mark | undefined)[] = [];
  #index: Map<string, number> | undefined;

  /** Those of both; of a key that both have, the second's. */
  static of(...all: readonly Marks[]): Marks {
    const made = new Marks();
    for (const marks of all) for (const [i, key] of marks.#keys.entries()) made.set(key, marks.#marks[i]);
    return made;
  }

  #find(key: string): number {
    if (this.#keys.length <= SCANNED_MAX) return this.#keys.indexOf(key);
    this.#index ??= new Map(this.#keys.map((each, i) => [each, i]));
    return this.#index.get(key) ?? -1;
  }

  get(key: Key): Mark | undefined {
    return this.#marks[typeof key === "number" ? key : this.#find(key)];
  }

  has(key: string): boolean {
    return this.#find(key) >= 0;
  }

  set(key: Key, mark: Mark | undefined): void {
    if (typeof key === "number") {
      this.#marks[key] = mark;
      return;
    }
    const at = this.#find(key);
    if (at >= 0) this.#marks[at] = mark;
    else {
      this.#index?.set(key, this.#keys.length);
      this.#keys.push(key);
      this.#marks.push(mark);
    }
  }
}

export interface Origin {
  readonly marks: Marks;
  readonly tags?: ReadonlyMap<Key, Tag>;
  /** Numbers as they were written, where that is not how they are printed: 1.10, 0440, 1e3. */
  readonly written?: ReadonlyMap<Key, string>;
}

const NOWHERE: Origin = { marks: new Marks() };

interface SourceFile {
  readonly name: string;
  readonly text: string;
  /** Offsets where lines begin; counted when first asked for. */
  lineStarts: readonly number[] | undefined;
}

export type Container = object;

export const isContainer = (value: unknown): value is Container =>
  typeof value === "object" && value !== null;

export class Sources {
  readonly #files: SourceFile[] = [];
  readonly #origins = new WeakMap<Container, Origin>();

  /** @returns the number of the file, for marks. */
  addFile(name: string, text: string): number {
    return this.#files.push({ name, text, lineStarts: undefined }) - 1;
  }

  mark(file: number, offset: number): Mark {
    return file * OFFSETS + offset;
  }

  /** @returns the container, so that it can be marked where it is made. */
  set<T extends Container>(container: T, origin: Origin): T {
    this.#origins.set(container, origin);
    return container;
  }

  of(container: unknown): Origin {
    return isContainer(container) ? (this.#origins.get(container) ?? NOWHERE) : NOWHERE;
  }

  positionOf(mark: Mark): Position {
    const file = this.#files[Math.floor(mark / OFFSETS)];
    if (file === undefined) return { file: "", line: 1 };
    file.lineStarts ??= lineStarts(file.text);
    return { file: file.name, line: lineOf(file.lineStarts, mark % OFFSETS) };
  }

  /** @param fallback for the root. */
  locate(root: unknown, path: Path, fallback: Mark): Position {
    let at: unknown = root;
    let mark = fallback;
    for (const key of path) {
      mark = this.of(at).marks.get(key) ?? mark;
      if (!isContainer(at)) break;
      at = (at as Readonly<Record<Key, unknown>>)[key]; // a map or a list
    }
    return this.positionOf(mark);
  }
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** From 1. */
function lineOf(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle;
  }
  return low + 1;
}
