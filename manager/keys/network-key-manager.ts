/**
 * The leader's part in the keys of encrypted networks: it makes the first when there is such a network, and a
 * new one when that is due. Pure loop over ports; decisions are in network-key-plan.ts. Invariant: a key goes
 * into the store and nowhere else; the dispatcher tells it to the nodes that take part.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { Random } from "../../base/random/random.js";
import type { ReadTx, Store } from "../store/types.js";
import { NETWORK_KEY_BYTES, networkKeyDueInMs, withNewNetworkKey } from "./network-key-plan.js";

/** A timer holds at most 2^31 ms, and a clock may jump: it is looked at again after an hour. */
const LOOK_MS = 3_600_000;
const RETRY_MS = 5_000;

export interface NetworkKeyManagerComponents {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface NetworkKeyManager {
  close(): Promise<void>;
}

export function startNetworkKeyManager({
  store,
  clock,
  random,
  log,
}: NetworkKeyManagerComponents): NetworkKeyManager {
  let timer: Timer | undefined;
  const dueInMs = (tx: ReadTx): number | undefined => {
    const cluster = tx.list("cluster")[0];
    if (cluster === undefined) return undefined;
    return networkKeyDueInMs(cluster, { networks: tx.list("network"), nowMs: clock.nowMs() });
  };
  const loop = new ComponentLoop({
    name: "network-key-manager",
    log,
    pass: async () => {
      watch.take();
      timer?.cancel();
      const ms = store.view(dueInMs);
      if (ms === undefined) return;
      if (ms > 0) {
        timer = clock.setTimer(Math.min(ms, LOOK_MS), () => loop.wake());
        return;
      }
      try {
        await store.update((tx) => {
          const cluster = tx.list("cluster")[0];
          if (cluster === undefined || dueInMs(tx) !== 0) return;
          tx.update("cluster", withNewNetworkKey(cluster, random.bytes(NETWORK_KEY_BYTES), clock.nowMs()));
        });
      } catch (error) {
        log.warn("the network key's rotation failed; it is tried again", { error: messageOf(error) });
        timer = clock.setTimer(RETRY_MS, () => loop.wake());
      }
    },
  });
  const watch = store.watch({ tables: ["cluster", "network"], wake: () => loop.wake() });
  loop.wake();
  return {
    async close(): Promise<void> {
      watch.close();
      await loop.close();
      timer?.cancel();
    },
  };
}
