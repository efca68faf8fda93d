/**
 * Numbered versions of a secret's or config's data: new data becomes the next number, what it replaced is
 * kept while a service asks for it, and beyond that as many as the cluster keeps.
 * Pure. Invariant: numbers count up and are never given twice; data that a service's specification names is
 * never dropped.
 */
import { FailedPreconditionError } from "../../base/errors/errors.js";
import type { DataVersion } from "../../proto/gen/skein/v1/objects.js";

/** Versions kept of each object, the newest counted, when the cluster sets no number. */
export const DATA_VERSIONS_KEPT = 5;
/**
 * Bytes of all old versions of one object. With the newest, and with the specifications before and after of
 * all services that use it, they must fit into one transaction of 4 MiB: that refuses new data otherwise.
 */
export const OLD_DATA_BYTES_MAX = 2 * 1024 * 1024;

export interface Versioned {
  readonly data: Uint8Array;
  readonly dataVersion: number;
  readonly oldVersions: readonly DataVersion[];
}

/** Objects of before there were versions have number 0, which counts as 1. */
export function newestVersion({ dataVersion }: Pick<Versioned, "dataVersion">): number {
  return dataVersion || 1;
}

/** @param version 0: the newest. @returns undefined when the version is no longer kept. */
export function dataOfVersion(object: Versioned, version: number): Uint8Array | undefined {
  if (version === 0 || version === newestVersion(object)) return object.data;
  return object.oldVersions.find(({ number }) => number === version)?.data;
}

export interface NewDataOptions {
  readonly data: Uint8Array;
  /** What services ask for now, and would go back to: the former must stay, the latter should. */
  readonly needed: ReadonlySet<number>;
  readonly wanted: ReadonlySet<number>;
  /** The newest counted; 0: the default. */
  readonly kept: number;
  /**
   * Of the data that is replaced now, in milliseconds since the epoch: when it was given, or the labels
   * beside it were changed last.
   */
  readonly createdAtMs: number;
  /** For the error. */
  readonly what: string;
}

/**
 * @returns the object with the new data as its newest version; the same object when the data is what it has.
 * @throws {FailedPreconditionError} when the versions that services ask for do not fit.
 */
export function withNewData<T extends Versioned>(object: T, options: NewDataOptions): T {
  const { data, needed, wanted, what } = options;
  if (Buffer.compare(object.data, data) === 0) return object;
  const replaced: DataVersion = {
    number: newestVersion(object),
    data: object.data,
    createdAtMs: options.createdAtMs,
  };
  const old = [...object.oldVersions, replaced];
  const room = Math.max(0, (options.kept || DATA_VERSIONS_KEPT) - 1);
  const recent = new Set(old.slice(old.length - Math.min(room, old.length)).map(({ number }) => number));
  // what is needed first, then what somebody could go back to, then the newest
  const byNeed = [...old].sort(
    (a, b) =>
      Number(needed.has(b.number)) - Number(needed.has(a.number)) ||
      Number(wanted.has(b.number)) - Number(wanted.has(a.number)) ||
      b.number - a.number,
  );
  const kept = new Set<number>();
  let bytes = 0;
  for (const { number, data: content } of byNeed) {
    if (!needed.has(number) && !wanted.has(number) && !recent.has(number)) continue;
    if (bytes + content.length > OLD_DATA_BYTES_MAX) {
      if (!needed.has(number)) continue;
      throw new FailedPreconditionError(
        `${what} has ${old.length} versions, and those that services use do not fit into ` +
          `${OLD_DATA_BYTES_MAX} bytes: update the services that use old ones first`,
      );
    }
    kept.add(number);
    bytes += content.length;
  }
  return {
    ...object,
    data,
    dataVersion: replaced.number + 1,
    oldVersions: old.filter(({ number }) => kept.has(number)),
  };
}
