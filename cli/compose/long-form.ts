/**
 * The building blocks of the long form: each turns what the schema allows at one place into the one shape of
 * model.ts, and takes the marks of what it reshapes along. Pure.
 */
import { posix } from "node:path";
import { messageOf } from "../../base/errors/errors.js";
import { type Finding, type Path, pathText } from "./compose-error.js";
import { isContainer, type Key, type Mark, Marks, type Origin, type Sources } from "./sources.js";

export type Raw = Readonly<Record<string, unknown>>;

/** What one file is brought into long form with. */
export interface Reshaping {
  readonly sources: Sources;
  /** The file as it was read: findings are placed by it. */
  readonly root: unknown;
  readonly rootMark: Mark;
  /** Folder that relative paths begin at. */
  readonly folder: string;
  /** The home folder, for ~. */
  readonly home: string;
  readonly isVersion3: boolean;
  /** Text may hold variables still. */
  readonly isInterpolated: boolean;
  /** What the file may bring yet. */
  readonly budget: { portsLeft: number };
  readonly findings: Finding[];
  readonly warnings: Finding[];
}

/** Ports of one file with its ranges unfolded. */
export const PORTS_MAX = 100_000;

/** Where a value stands: a link to where its container stands, as few paths are ever asked for. */
export class Place {
  readonly with: Reshaping;
  readonly #above: Place | undefined;
  readonly #key: Key;

  constructor(reshaping: Reshaping, above?: Place, key: Key = "") {
    this.with = reshaping;
    this.#above = above;
    this.#key = key;
  }

  get path(): Path {
    return this.#above === undefined ? [] : [...this.#above.path, this.#key];
  }

  at(key: Key): Place {
    return new Place(this.with, this, key);
  }

  found(rule: string): void {
    this.with.findings.push(this.#finding(rule));
  }

  warn(rule: string): void {
    this.with.warnings.push(this.#finding(rule));
  }

  #finding(rule: string): Finding {
    const { sources, root, rootMark } = this.with;
    return { position: sources.locate(root, this.path, rootMark), key: pathText(this.path), rule };
  }

  origin(value: unknown): Origin {
    return this.with.sources.of(value);
  }

  marked<T extends object>(value: T, origin: Origin): T {
    return this.with.sources.set(value, origin);
  }

  /** Runs what throws rules; the value stays as it is when it has variables still. */
  guarded(value: unknown, make: () => unknown): unknown {
    if (!this.with.isInterpolated && String(value).includes("$")) return value;
    try {
      return make();
    } catch (error) {
      this.found(messageOf(error));
      return value;
    }
  }

  absolute(path: string): string {
    const { folder, home } = this.with;
    if (path === "~" || path.startsWith("~/")) return posix.join(home, path.slice(1));
    if (posix.isAbsolute(path) || /^[A-Za-z]:[\\/]/.test(path)) return path;
    if (path.startsWith("$") && !this.with.isInterpolated) return path;
    return posix.join(folder, path);
  }
}

/** From what the schema allows to the long form. A result of undefined leaves the key out. */
export type Form = (value: unknown, place: Place) => unknown;

export const isMap = (value: unknown): value is Raw => isContainer(value) && !Array.isArray(value);
export const listOf = (value: unknown): readonly unknown[] =>
  value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
export const rawOf = (value: unknown): Raw => (isMap(value) ? value : {});

/** Keys with forms of their own; others stay; null is absent. */
export function fields(forms: Readonly<Record<string, Form>>): Form {
  return (value, place) => {
    if (!isMap(value)) return value;
    const entries = Object.entries(value).flatMap(([key, inner]): [string, unknown][] => {
      if (key.startsWith("x-")) return [[key, inner]];
      if (inner === null) return [];
      const form = Object.hasOwn(forms, key) ? forms[key] : undefined;
      const made = form === undefined ? inner : form(inner, place.at(key));
      return made === undefined ? [] : [[key, made]];
    });
    return place.marked(Object.fromEntries(entries), place.origin(value));
  };
}

/** A map of names; a name with nothing below is an empty map. */
export function named(form: Form): Form {
  return (value, place) => {
    const map = rawOf(value);
    const entries = Object.entries(map).map(([key, inner]): [string, unknown] => [
      key,
      isMap(inner) || !key.startsWith("x-") ? form(inner ?? {}, place.at(key)) : inner,
    ]);
    return place.marked(Object.fromEntries(entries), place.origin(value));
  };
}

/** Each item of a list; one value alone is a list of one. */
export function items(form: Form): Form {
  return (value, place) => {
    const list = listOf(value).map((item, i) => form(item, Array.isArray(value) ? place.at(i) : place));
    return place.marked(list, Array.isArray(value) ? place.origin(value) : NO_MARKS);
  };
}

const NO_MARKS: Origin = { marks: new Marks() };

export const text: Form = (value) => String(value);
export const strings: Form = items(text);

/** A number in a place of text: as it is written; in version 3 files as Docker prints it. */
function textOf(value: unknown, written: string | undefined, place: Place): string {
  const printed = String(value);
  if (written === undefined) return printed;
  if (!place.with.isVersion3) return written;
  place.warn(`${written} is read as the number ${printed}, as Docker does in version 3 files: quote it`);
  return printed;
}

/** ["A=1", "B"] or {A: 1, B: null} as a map of text. @param none what a name without value has. */
export function pairs(none: "" | null): Form {
  return (value, place) => {
    const origin = place.origin(value);
    if (!Array.isArray(value)) {
      const entries = Object.entries(rawOf(value)).map(([key, inner]): [string, string | null] => [
        key,
        inner === null ? none : textOf(inner, origin.written?.get(key), place.at(key)),
      ]);
      return place.marked(Object.fromEntries(entries), origin);
    }
    const marks = new Marks();
    const entries = value.map((item, i): [string, string | null] => {
      const line = String(item);
      const at = line.indexOf("=");
      const key = at < 0 ? line : line.slice(0, at);
      if (key === "") place.at(i).found(`must be NAME=VALUE, got ${JSON.stringify(line.slice(0, 40))}`);
      const mark = origin.marks.get(i);
      if (mark !== undefined) marks.set(key, mark);
      return [key, at < 0 ? none : line.slice(at + 1)];
    });
    return place.marked(Object.fromEntries(entries), { marks });
  };
}

export const textMap = pairs("");
export const environment = pairs(null);

/** ["a", "b"] or {a: …, b: null} as a map of maps. */
export function listOrNamed(form: Form, empty: Raw): Form {
  return (value, place) => {
    if (!Array.isArray(value)) return named(form)(value, place);
    const origin = place.origin(value);
    const marks = new Marks();
    const entries = value.map((item, i): [string, Raw] => {
      const mark = origin.marks.get(i);
      if (mark !== undefined) marks.set(String(item), mark);
      return [String(item), empty];
    });
    return place.marked(Object.fromEntries(entries), { marks });
  };
}

export const path: Form = (value, place) => place.absolute(String(value));

/** YAML has read 0440 as octal already; text is octal, too. */
export const fileMode: Form = (value) =>
  typeof value === "string" && /^(0o?)?[0-7]+$/.test(value)
    ? Number.parseInt(value.replace("0o", ""), 8)
    : value;
