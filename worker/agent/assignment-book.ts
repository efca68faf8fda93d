/**
 * What this node has been told, part by part, and what of it still has to be applied.
 * Pure. Invariants: a revision becomes visible whole or not at all;
 * changes on a base we do not have are refused; what arrives while an older state is being applied is merged,
 * so the book is never larger than the set itself.
 */
import { FailedPreconditionError } from "../../base/errors/errors.js";
import {
  type AssignmentSet,
  type NodeResource,
  type ResourceKey,
  ResourceKind,
} from "../../proto/gen/skein/v1/dispatcher.js";

export interface BookChanges {
  /** True: `upserts` is everything. */
  readonly complete: boolean;
  readonly revision: number;
  readonly upserts: readonly NodeResource[];
  readonly removals: readonly ResourceKey[];
}

const KINDS = {
  task: ResourceKind.TASK,
  secret: ResourceKind.SECRET,
  config: ResourceKind.CONFIG,
  network: ResourceKind.NETWORK,
  endpoint: ResourceKind.ENDPOINT,
  service: ResourceKind.SERVICE,
  peer: ResourceKind.PEER,
  networkKey: ResourceKind.NETWORK_KEY,
  networkObject: ResourceKind.NETWORK_OBJECT,
} as const;

export function keyOf({ resource }: NodeResource): ResourceKey | undefined {
  if (resource === undefined) return undefined;
  const kind = KINDS[resource.$case];
  switch (resource.$case) {
    case "endpoint":
      return { kind, id: resource.value.taskId };
    case "peer":
      return { kind, id: resource.value.nodeId };
    default:
      return { kind, id: resource.value.id };
  }
}

export function keyText(key: ResourceKey): string {
  return `${key.kind}/${key.id}`;
}

export class AssignmentBook {
  #resources = new Map<string, { readonly key: ResourceKey; readonly resource: NodeResource }>();
  #revision = 0;
  #parts: AssignmentSet[] = [];
  #unappliedKeys = new Map<string, ResourceKey>();
  #unappliedAll = false;
  #dueRevision: number | undefined;

  /** Revision of the newest whole state; 0: none. */
  get revision(): number {
    return this.#revision;
  }

  get pending(): boolean {
    return this.#dueRevision !== undefined;
  }

  resources(): readonly NodeResource[] {
    return [...this.#resources.values()].map(({ resource }) => resource);
  }

  get(kind: ResourceKind, id: string): NodeResource | undefined {
    return this.#resources.get(keyText({ kind, id }))?.resource;
  }

  /** A new session begins: parts of an unfinished set are forgotten. */
  begin(): void {
    this.#parts = [];
  }

  /**
   * @returns whether a whole set is now in the book.
   * @throws {FailedPreconditionError} a base that we do not have.
   */
  accept(part: AssignmentSet): boolean {
    if (!part.complete && part.baseRevision !== this.#revision) {
      const words = `changes are based on revision ${part.baseRevision}, this node has ${this.#revision}`;
      throw new FailedPreconditionError(words);
    }
    this.#parts.push(part);
    if (part.more) return false;
    const parts = this.#parts;
    this.#parts = [];
    if (part.complete) {
      this.#resources = new Map();
      this.#unappliedAll = true;
    }
    for (const { upserts, removals } of parts) {
      for (const key of removals) {
        this.#resources.delete(keyText(key));
        this.#unappliedKeys.set(keyText(key), key);
      }
      for (const resource of upserts) {
        const key = keyOf(resource);
        if (key === undefined) continue;
        this.#resources.set(keyText(key), { key, resource });
        this.#unappliedKeys.set(keyText(key), key);
      }
    }
    this.#revision = part.revision;
    this.#dueRevision = part.revision;
    return true;
  }

  /** Next time everything is to be applied, because something applied before may be lost or half done. */
  repeatAll(): void {
    if (this.#revision === 0) return;
    this.#unappliedAll = true;
    this.#dueRevision = this.#revision;
  }

  /** Everything that has to be applied now; undefined when nothing does. */
  take(): BookChanges | undefined {
    const revision = this.#dueRevision;
    if (revision === undefined) return undefined;
    const complete = this.#unappliedAll;
    const upserts: NodeResource[] = [];
    const removals: ResourceKey[] = [];
    if (complete) upserts.push(...this.resources());
    else {
      for (const [text, key] of this.#unappliedKeys) {
        const held = this.#resources.get(text);
        if (held === undefined) removals.push(key);
        else upserts.push(held.resource);
      }
    }
    this.#unappliedAll = false;
    this.#unappliedKeys = new Map();
    this.#dueRevision = undefined;
    return { complete, revision, upserts, removals };
  }
}
