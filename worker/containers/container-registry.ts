/**
 * The containers of a node in memory: found by id, by name, by the beginning of an id. Pure.
 * Invariants: a name stands for one container at most, from before its first wait on; ids come before names,
 * whole ones before beginnings.
 */
import { AlreadyExistsError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { ContainerEntry } from "./container-entry.js";
import type { ContainerRecord } from "./container-manager.js";

export class ContainerRegistry {
  readonly #entries = new Map<string, ContainerEntry>();
  readonly #names = new Map<string, string>();

  get size(): number {
    return this.#entries.size;
  }

  /** @throws {AlreadyExistsError} in Docker's words. */
  takeName(name: string, id: string): void {
    const holder = this.#names.get(name);
    if (holder !== undefined) {
      throw new AlreadyExistsError(
        `Conflict. The container name "/${name}" is already in use by container "${holder}". ` +
          "You have to remove (or rename) that container to be able to reuse that name.",
      );
    }
    this.#names.set(name, id);
  }

  freeName(name: string, id: string): void {
    if (this.#names.get(name) === id) this.#names.delete(name);
  }

  isTaken(name: string): boolean {
    return this.#names.has(name);
  }

  /** Its name was taken before. */
  add(entry: ContainerEntry): void {
    this.#entries.set(entry.id, entry);
  }

  remove(entry: ContainerEntry): void {
    this.#entries.delete(entry.id);
    this.freeName(entry.stored.record.name, entry.id);
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  byId(id: string): ContainerEntry | undefined {
    return this.#entries.get(id);
  }

  ids(): ReadonlySet<string> {
    return new Set(this.#entries.keys());
  }

  entries(): readonly ContainerEntry[] {
    return [...this.#entries.values()];
  }

  find(idOrName: string): ContainerEntry | undefined {
    const exact = this.#exact(idOrName);
    if (exact !== undefined) return exact;
    const matching = this.#startingWith(idOrName);
    return matching.length === 1 ? matching[0] : undefined;
  }

  /** @throws {NotFoundError} {InvalidArgumentError} more than one id begins so. */
  get(idOrName: string): ContainerEntry {
    const exact = this.#exact(idOrName);
    if (exact !== undefined) return exact;
    const matching = this.#startingWith(idOrName);
    if (matching.length > 1) {
      throw new InvalidArgumentError(`multiple IDs found with provided prefix: ${idOrName}`);
    }
    const [found] = matching;
    if (found === undefined) throw new NotFoundError(`No such container: ${idOrName}`);
    return found;
  }

  /** Newest first. */
  list(): readonly ContainerRecord[] {
    return this.entries()
      .map((entry) => entry.stored.record)
      .sort((a, b) => b.createdMs - a.createdMs || (a.id < b.id ? -1 : 1));
  }

  #exact(idOrName: string): ContainerEntry | undefined {
    const named = this.#names.get(idOrName.replace(/^\//, ""));
    return this.#entries.get(idOrName) ?? (named === undefined ? undefined : this.#entries.get(named));
  }

  #startingWith(beginning: string): readonly ContainerEntry[] {
    if (!/^[0-9a-f]{1,63}$/.test(beginning)) return [];
    return this.entries().filter((entry) => entry.id.startsWith(beginning));
  }
}
