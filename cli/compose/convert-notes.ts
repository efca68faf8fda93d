/**
 * What the conversion of a project has to say: warnings, and faults that stop a deployment. Pure.
 */
import type { Path } from "./compose-error.js";

export interface Note {
  /** Of the project's key; its line is the nearest one known. */
  readonly path: Path;
  readonly rule: string;
}

export class Notes {
  readonly warnings: Note[] = [];
  readonly faults: Note[] = [];

  warn(path: Path, rule: string): void {
    this.warnings.push({ path, rule });
  }

  refuse(path: Path, rule: string): void {
    this.faults.push({ path, rule });
  }
}
