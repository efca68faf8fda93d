/**
 * Where sandboxes are remembered across a restart of the daemon. Pure (interface, and the twin in memory).
 */
import type { Sandbox } from "../endpoints/sandbox.js";

export interface SandboxRecords {
  list(): Sandbox[];
  save(sandbox: Sandbox): void;
  /** Missing is fine. */
  remove(taskId: string): void;
}

export class MemorySandboxRecords implements SandboxRecords {
  readonly #records = new Map<string, Sandbox>();

  list(): Sandbox[] {
    return [...this.#records.values()];
  }

  save(sandbox: Sandbox): void {
    this.#records.set(sandbox.taskId, sandbox);
  }

  remove(taskId: string): void {
    this.#records.delete(taskId);
  }
}
