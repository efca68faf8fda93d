/**
 * What a node must remember about its swarm across restarts: who it is, its certificate, where managers are.
 * Edge: to node:fs. The key file is readable by root only; nothing else here is secret.
 *
 *   <data>/swarm/state.json   <data>/swarm/node.key   <data>/swarm/node.crt   <data>/swarm/ca.crt
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { DataLossError, messageOf } from "../base/errors/errors.js";
import { readFileIfThere, writeFileAtomic } from "./atomic-file.js";
import type { TlsIdentity } from "./rpc-host.js";

export interface SwarmState {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly role: "worker" | "manager";
  /** host:port this node's manager listens on. */
  readonly listenAddress: string;
  /** host:port other nodes use for this node. */
  readonly advertiseAddress: string;
  /** IP of the VTEP. */
  readonly dataPathAddress: string;
  /** host:port of the managers last heard of. */
  readonly managers: readonly string[];
}

export class SwarmFiles {
  readonly #dir: string;

  constructor(dataDir: string) {
    this.#dir = join(dataDir, "swarm");
  }

  load(): { state: SwarmState; identity: TlsIdentity } | undefined {
    const text = readFileIfThere(join(this.#dir, "state.json"));
    if (text === undefined) return undefined;
    const [keyPem, certificatePem, rootCaPem] = ["node.key", "node.crt", "ca.crt"].map((name) =>
      readFileIfThere(join(this.#dir, name)),
    );
    if (keyPem === undefined || certificatePem === undefined || rootCaPem === undefined) {
      throw new DataLossError(
        `${this.#dir} lacks node.key, node.crt or ca.crt: leave the swarm with --force and join again`,
      );
    }
    try {
      // written by saveState
      return { state: JSON.parse(text) as SwarmState, identity: { keyPem, certificatePem, rootCaPem } };
    } catch (error) {
      throw new DataLossError(`${this.#dir}/state.json is not JSON: ${messageOf(error)}`, { cause: error });
    }
  }

  saveState(state: SwarmState): void {
    writeFileAtomic(join(this.#dir, "state.json"), `${JSON.stringify(state, undefined, 2)}\n`);
  }

  saveIdentity(identity: TlsIdentity): void {
    writeFileAtomic(join(this.#dir, "node.key"), identity.keyPem);
    writeFileAtomic(join(this.#dir, "node.crt"), identity.certificatePem);
    writeFileAtomic(join(this.#dir, "ca.crt"), identity.rootCaPem);
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
