/**
 * Sandboxes remembered as one JSON file each. Edge: to the file system.
 * Invariant: a file is whole or absent (written aside, then renamed);
 * it lives as long as the namespaces do, so it is never synced.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Sandbox } from "../endpoints/sandbox.js";
import type { SandboxRecords } from "./sandbox-records.js";

const SUFFIX = ".json";

export class FileSandboxRecords implements SandboxRecords {
  readonly #dir: string;
  readonly #log: Logger;

  constructor(options: { dir: string; log: Logger }) {
    this.#dir = options.dir;
    this.#log = options.log;
    mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  }

  list(): Sandbox[] {
    const sandboxes: Sandbox[] = [];
    for (const name of readdirSync(this.#dir).sort()) {
      if (!name.endsWith(SUFFIX)) continue;
      try {
        sandboxes.push(JSON.parse(readFileSync(join(this.#dir, name), "utf8")) as Sandbox); // we wrote it
      } catch (error) {
        this.#log.warn("sandbox record is unreadable and ignored", { file: name, error: messageOf(error) });
      }
    }
    return sandboxes;
  }

  save(sandbox: Sandbox): void {
    const path = join(this.#dir, `${sandbox.taskId}${SUFFIX}`);
    writeFileSync(`${path}.new`, JSON.stringify(sandbox), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  remove(taskId: string): void {
    rmSync(join(this.#dir, `${taskId}${SUFFIX}`), { force: true });
  }
}
