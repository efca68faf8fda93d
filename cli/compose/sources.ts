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

export interface Origin {
  readonly marks: ReadonlyMap<Key, Mark>;
  readonly tags?: ReadonlyMap<Key, Tag>;
  /** Numbers as they were written, where that is not how they are printed: 1.10, 0440, 1e3. */
  readonly written?: ReadonlyMap<Key, string>;
}

const NOWHERE: Origin = { marks: new Map() };

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
