/**
 * The leader's part in rotating keys: it counts the epoch up when that is due; each manager follows by itself
 * (key-keeper.ts). Pure loop over ports; decisions are in rotation-plan.ts.
 * Keys are made where they are used and never travel. Keys of overlay networks will follow the same epoch.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { Store } from "../store/types.js";
import { KEY_PERIOD_MS, rotationDueInMs, withNewKeyEpoch } from "./rotation-plan.js";

/** A timer holds at most 2^31 ms, and a clock may jump: it is looked at again after an hour. */
const LOOK_MS = 3_600_000;
const RETRY_MS = 5_000;

export interface KeyManagerComponents {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface KeyManager {
  close(): Promise<void>;
}

export function startKeyManager(
  { store, clock, log }: KeyManagerComponents,
  { periodMs = KEY_PERIOD_MS }: { periodMs?: number } = {},
): KeyManager {
  let timer: Timer | undefined;
  const loop = new ComponentLoop({
    name: "key-manager",
    log,
    pass: async () => {
      watch.take();
      timer?.cancel();
      const cluster = store.view((tx) => tx.list("cluster")[0]);
      if (cluster === undefined) return;
      const dueInMs = rotationDueInMs(cluster, clock.nowMs(), periodMs);
      if (dueInMs > 0) {
        timer = clock.setTimer(Math.min(dueInMs, LOOK_MS), () => loop.wake());
        return;
      }
      try {
        await store.update((tx) => {
          const now = tx.get("cluster", cluster.id);
          if (now === undefined || rotationDueInMs(now, clock.nowMs(), periodMs) > 0) return;
          tx.update("cluster", withNewKeyEpoch(now, clock.nowMs()));
        });
      } catch (error) {
        log.warn("the keys' rotation failed; it is tried again", { error: messageOf(error) });
        timer = clock.setTimer(RETRY_MS, () => loop.wake());
      }
    },
  });
  const watch = store.watch({ tables: ["cluster"], wake: () => loop.wake() });
  loop.wake();
  return {
    async close(): Promise<void> {
      watch.close();
      await loop.close();
      timer?.cancel();
    },
  };
}
