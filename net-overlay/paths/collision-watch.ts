/**
 * Tells what somebody else has of what this node needs, by whom, and tries again.
 * Pure (the world comes as ports). Invariants: what collides is a trouble until it was applied; who has it is
 * asked once while nothing changes.
 * Source: docs/design/network-paths.md, "Collisions".
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { TunnelCollision } from "./collision.js";
import { collisionWords } from "./collision.js";
import type { NetworkTroubles } from "./network-troubles.js";

/** Somebody who goes tells nobody. */
export const COLLISION_RETRY_MS = 5_000;
const PREFIX = "collision ";

export interface CollisionHolders {
  /** @returns words for who has the UDP port. */
  ofPort(port: number): Promise<string>;
  /** Words for who has the mesh. */
  ofMesh(): Promise<string>;
}

export interface CollisionWatchParts {
  readonly troubles: NetworkTroubles;
  readonly holders: CollisionHolders;
  readonly clock: Clock;
  readonly log: Logger;
  /** Asks for the plans of these, "mesh" or networks' ids, to be applied again. */
  readonly retry: (what: readonly string[]) => void;
}

export class CollisionWatch {
  readonly #parts: CollisionWatchParts;
  /** By key: what is told, to see when it changes. */
  readonly #told = new Map<string, string>();
  #timer: Timer | undefined;

  constructor(parts: CollisionWatchParts) {
    this.#parts = parts;
  }

  /**
   * After plans were applied.
   * @param mesh why the mesh was refused as a whole; undefined: it was not.
   */
  look(collisions: readonly TunnelCollision[], mesh: string | undefined): void {
    const { troubles, holders } = this.#parts;
    const keys = new Set<string>();
    if (mesh !== undefined) {
      keys.add(`${PREFIX}mesh`);
      this.#tell(`${PREFIX}mesh`, mesh, async () => `${mesh}: ${await holders.ofMesh()}`);
    }
    for (const collision of collisions) {
      const key = PREFIX + collision.what;
      keys.add(key);
      const plain = collisionWords(collision, "another program");
      const named = async (): Promise<string> =>
        collisionWords(collision, await holders.ofPort(collision.udpPort));
      this.#tell(key, plain, named);
    }
    for (const key of [...this.#told.keys()]) if (!keys.has(key)) this.#told.delete(key);
    troubles.retain(PREFIX, keys);
    this.#timer?.cancel();
    this.#timer = undefined;
    if (keys.size === 0) return;
    const what = [...keys].map((key) => key.slice(PREFIX.length));
    this.#timer = this.#parts.clock.setTimer(COLLISION_RETRY_MS, () => {
      this.#timer = undefined;
      this.#parts.retry(what);
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #tell(key: string, plain: string, named: () => Promise<string>): void {
    if (this.#told.get(key) === plain) return;
    this.#told.set(key, plain);
    named().then(
      (words) => {
        if (this.#told.get(key) === plain) this.#parts.troubles.set(key, words);
      },
      (error: unknown) => {
        this.#parts.log.warn("who has it is unknown", { collision: plain, error: messageOf(error) });
        if (this.#told.get(key) === plain) this.#parts.troubles.set(key, plain);
      },
    );
  }
}
