/**
 * What local networks remember. Pure (interface only). Implementations: file-local-records.ts, and
 * memory-local-host.ts for tests.
 */
import type { LocalNetworkRecord } from "../../proto/engine/networks.js";
import type { LocalSandbox } from "./local-sandbox.js";

export interface LocalRecords {
  loadNetworks(): readonly LocalNetworkRecord[];
  /** Survives a crash of the machine once it returns. */
  saveNetworks(networks: readonly LocalNetworkRecord[]): void;
  loadSandboxes(): readonly LocalSandbox[];
  /** Survives a crash of the process, as the namespaces do. */
  saveSandbox(sandbox: LocalSandbox): void;
  removeSandbox(containerId: string): void;
}
