/**
 * What a node must remember about its swarm across restarts: who it is, its certificate, where managers are.
 * Edge: to node:fs. Readable by root only, because of the key, which autolock seals (sealed-identity.ts).
 * Invariant: key and certificate stand in one file, because a renewal changes both, and a crash in between
 * must not leave a pair that does not fit.
 *
 *   <data>/swarm/state.json   identity.json   recovery.json   restoring
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { SwarmRecovery } from "../api/ports.js";
import { DataLossError } from "../base/errors/errors.js";
import { systemRandom } from "../base/random/system-random.js";
import { readFileIfThere, writeFileAtomic } from "./atomic-file.js";
import type { TlsIdentity } from "./rpc-host.js";
import {
  decodeIdentity,
  encodeIdentity,
  type FileLock,
  NO_LOCK,
  type OpenIdentity,
  type SealedIdentity,
} from "./sealed-identity.js";

export interface SwarmState {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly role: "worker" | "manager";
  /** host:port this node's manager listens on. */
  readonly listenAddress: string;
  /** host:port other nodes use for this node. */
  readonly advertiseAddress: string;
  /** The interface that held this address when it was chosen; "": none of this machine. */
  readonly advertiseInterface: string;
  /** IP of the VTEP. */
  readonly dataPathAddress: string;
  /** host:port of the managers last heard of. */
  readonly managers: readonly string[];
}

/** As the files hold it: a manager's identity may be locked. */
export interface SavedMember {
  readonly state: SwarmState;
  readonly identity: OpenIdentity | SealedIdentity;
}

const RESTORING = "restoring";

export class SwarmFiles {
  readonly #dir: string;

  constructor(dataDir: string) {
    this.#dir = join(dataDir, "swarm");
  }

  load(): SavedMember | undefined {
    const text = readFileIfThere(join(this.#dir, "state.json"));
    if (text === undefined) return undefined;
    const identity = readFileIfThere(join(this.#dir, "identity.json"));
    if (identity === undefined) {
      throw new DataLossError(
        `${this.#dir} lacks identity.json: leave the swarm with --force and join again`,
      );
    }
    return {
      state: this.#parsed<SwarmState>("state.json", text),
      identity: decodeIdentity(this.#parsed("identity.json", identity)),
    };
  }

  /** The account of a forced new cluster, kept for whoever asks later. */
  saveRecovery(recovery: SwarmRecovery): void {
    writeFileAtomic(join(this.#dir, "recovery.json"), `${JSON.stringify(recovery, undefined, 2)}\n`);
  }

  /** @throws {DataLossError} */
  loadRecovery(): SwarmRecovery | undefined {
    const text = readFileIfThere(join(this.#dir, "recovery.json"));
    return text === undefined ? undefined : this.#parsed<SwarmRecovery>("recovery.json", text);
  }

  saveState(state: SwarmState): void {
    writeFileAtomic(join(this.#dir, "state.json"), `${JSON.stringify(state, undefined, 2)}\n`);
  }

  saveIdentity(identity: TlsIdentity, lock: FileLock = NO_LOCK): void {
    writeFileAtomic(join(this.#dir, "identity.json"), encodeIdentity({ identity, lock }, systemRandom));
  }

  /** The parser's own words are left out: they quote the text, which may be a key. */
  #parsed<T>(name: string, text: string): T {
    try {
      return JSON.parse(text) as T; // written by this class
    } catch {
      throw new DataLossError(
        `${this.#dir}/${name} is not JSON: leave the swarm with --force and join again`,
      );
    }
  }

  /** While it is there, the manager's folder is being made from a backup: without a state it is half done. */
  markRestoring(): void {
    writeFileAtomic(join(this.#dir, RESTORING), "");
  }

  get isRestoring(): boolean {
    return readFileIfThere(join(this.#dir, RESTORING)) !== undefined;
  }

  endRestoring(): void {
    rmSync(join(this.#dir, RESTORING), { force: true });
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
