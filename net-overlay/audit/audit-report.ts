/**
 * What the audits found: counts by kind, the last differences, and what could not be repaired.
 * Pure. Invariant: bounded, whatever happens to the host.
 */
import type { Difference } from "./compare.js";

/** Differences that are told in words; the oldest are forgotten. */
export const RECENT_MAX = 64;
/** Of one place that are remembered as not repaired. */
export const STANDING_MAX = 64;

export interface FoundDifference extends Difference {
  /** Milliseconds since the epoch. */
  readonly foundAtMs: number;
}

export interface AuditReport {
  /** Audits of a place since the start. */
  readonly audits: number;
  /** By kind of entry, since the start. */
  readonly differencesByKind: Readonly<Record<string, number>>;
  /** Newest last. */
  readonly recent: readonly FoundDifference[];
  /** What is not as it should be now. */
  readonly standing: readonly Difference[];
}

/** A node's network, as it is just now. */
export interface NetworkInspection {
  /** The newest revision that kernel, balancer and DNS have. */
  readonly appliedRevision: number;
  /** The newest that this node was told. */
  readonly toldRevision: number;
  readonly report: AuditReport;
  /** Of what the node was told, by scope: see state-digest.ts. */
  readonly digests: Readonly<Record<string, string>>;
}

export class AuditBook {
  readonly #counts = new Map<string, number>();
  readonly #standing = new Map<string, readonly Difference[]>();
  #recent: FoundDifference[] = [];
  #audits = 0;

  /** A look at a place, and what it found. */
  note(differences: readonly Difference[], foundAtMs: number): void {
    this.#audits += 1;
    for (const difference of differences)
      this.#counts.set(difference.kind, (this.#counts.get(difference.kind) ?? 0) + 1);
    const told = differences.slice(0, RECENT_MAX).map((difference) => ({ ...difference, foundAtMs }));
    if (told.length > 0) this.#recent = [...this.#recent, ...told].slice(-RECENT_MAX);
  }

  /** What is left at a place after repair; none clears it. */
  stand(place: string, differences: readonly Difference[]): void {
    if (differences.length === 0) this.#standing.delete(place);
    else this.#standing.set(place, differences.slice(0, STANDING_MAX));
  }

  /** Places that are gone have no differences. */
  keep(places: ReadonlySet<string>): void {
    for (const place of this.#standing.keys()) if (!places.has(place)) this.#standing.delete(place);
  }

  read(): AuditReport {
    return {
      audits: this.#audits,
      differencesByKind: Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1))),
      recent: this.#recent,
      standing: [...this.#standing.values()].flat(),
    };
  }
}
