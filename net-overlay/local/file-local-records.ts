/**
 * Local networks and sandboxes remembered as JSON files. Edge: to the file system.
 * Invariant: a file is whole or absent (written aside, then renamed). Networks are synced to disk; sandboxes
 * live as long as their namespaces do, and are not.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DataLossError, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { LocalNetworkRecord } from "../../proto/engine/networks.js";
import type { LocalRecords } from "./local-records.js";
import type { LocalSandbox } from "./local-sandbox.js";

const NETWORKS_FILE = "networks.json";
const FORMAT = 1;
const SUFFIX = ".json";

export class FileLocalRecords implements LocalRecords {
  readonly #networksDir: string;
  readonly #sandboxesDir: string;
  readonly #log: Logger;

  constructor(options: { networksDir: string; sandboxesDir: string; log: Logger }) {
    this.#networksDir = options.networksDir;
    this.#sandboxesDir = options.sandboxesDir;
    this.#log = options.log;
    mkdirSync(options.networksDir, { recursive: true, mode: 0o700 });
    mkdirSync(options.sandboxesDir, { recursive: true, mode: 0o700 });
  }

  loadNetworks(): readonly LocalNetworkRecord[] {
    const path = join(this.#networksDir, NETWORKS_FILE);
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
    try {
      return (JSON.parse(text) as { networks: LocalNetworkRecord[] }).networks; // we wrote it
    } catch (error) {
      throw new DataLossError(`${path} is damaged: ${messageOf(error)}`, { cause: error });
    }
  }

  saveNetworks(networks: readonly LocalNetworkRecord[]): void {
    const path = join(this.#networksDir, NETWORKS_FILE);
    const fd = openSync(`${path}.new`, "w", 0o600);
    try {
      writeFileSync(fd, `${JSON.stringify({ format: FORMAT, networks }, undefined, 1)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(`${path}.new`, path);
    const folder = openSync(this.#networksDir, "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }

  loadSandboxes(): readonly LocalSandbox[] {
    const sandboxes: LocalSandbox[] = [];
    for (const name of readdirSync(this.#sandboxesDir).sort()) {
      if (!name.endsWith(SUFFIX)) continue;
      try {
        const text = readFileSync(join(this.#sandboxesDir, name), "utf8");
        sandboxes.push(JSON.parse(text) as LocalSandbox); // we wrote it
      } catch (error) {
        this.#log.warn("sandbox record is unreadable and ignored", { file: name, error: messageOf(error) });
      }
    }
    return sandboxes;
  }

  saveSandbox(sandbox: LocalSandbox): void {
    const path = join(this.#sandboxesDir, `${sandbox.containerId}${SUFFIX}`);
    writeFileSync(`${path}.new`, JSON.stringify(sandbox), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  removeSandbox(containerId: string): void {
    rmSync(join(this.#sandboxesDir, `${containerId}${SUFFIX}`), { force: true });
  }
}
