/**
 * Everything that is wrong with a definition, gathered: who deploys a file wants to hear of all of it.
 * Pure. Bound: `FAULTS_TOLD_MAX` are told, the rest is counted.
 */
import { InvalidArgumentError, messageOf, SkeinError } from "../../../base/errors/errors.js";

/** Lines of an answer that somebody reads. */
const FAULTS_TOLD_MAX = 50;

export type ObjectKind = "network" | "secret" | "config" | "service";

interface Fault {
  readonly kind: ObjectKind | "stack";
  /** The file's word for it. */
  readonly key: string;
  readonly rule: string;
}

export class DefinitionFaults {
  readonly #faults: Fault[] = [];

  get count(): number {
    return this.#faults.length;
  }

  add(kind: Fault["kind"], key: string, rule: string): void {
    const isTold = this.#faults.some(
      (fault) => fault.kind === kind && fault.key === key && fault.rule === rule,
    );
    if (!isTold) this.#faults.push({ kind, key, rule });
  }

  /** Runs a check that throws; an operating error is a fault, anything else a bug. */
  attempt<T>(kind: Fault["kind"], key: string, check: () => T): T | undefined {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error;
      this.add(kind, key, messageOf(error));
      return undefined;
    }
  }

  /** @throws {InvalidArgumentError} a line for each fault. */
  throwIfAny(): void {
    if (this.#faults.length === 0) return;
    const lines = this.#faults
      .slice(0, FAULTS_TOLD_MAX)
      .map(({ kind, key, rule }) => (key === "" ? rule : `${kind} ${key}: ${rule}`));
    const more = this.#faults.length - lines.length;
    if (more > 0) lines.push(`and ${more} more`);
    throw new InvalidArgumentError(lines.join("\n"));
  }
}
