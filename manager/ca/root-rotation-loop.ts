/**
 * The leader's part in a root rotation: nodes renew their certificates by themselves as soon as they are told
 * of the new root (node/swarm-membership.ts); when the last has done so, the old root is dropped.
 * Pure loop over the store. It looks at nodes only while a rotation is under way.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { Random } from "../../base/random/random.js";
import type { RootCa } from "../../proto/gen/skein/v1/objects.js";
import type { ReadTx, Store } from "../store/types.js";
import { hasChangedOver, type RotationGoal, rotationGoal, withRotationDone } from "./root-rotation.js";

const RETRY_MS = 1_000;

export interface RootRotationComponents {
  readonly store: Pick<Store, "view" | "watch" | "update">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export function startRootRotation(components: RootRotationComponents): { close(): Promise<void> } {
  const { store, clock, random, log } = components;
  let retry: Timer | undefined;
  let goal: { readonly of: RootCa; readonly is: RotationGoal } | undefined;
  const isDone = (tx: ReadTx, rootCa: RootCa): boolean => {
    if (goal?.of !== rootCa) goal = { of: rootCa, is: rotationGoal(rootCa) };
    const { is } = goal;
    return tx.list("node").every((node) => hasChangedOver(node, is));
  };
  const loop = new ComponentLoop({
    name: "root-rotation",
    log,
    pass: async () => {
      watch.take();
      const cluster = store.view((tx) => tx.list("cluster")[0]);
      const rootCa = cluster?.rootCa;
      if (cluster === undefined || rootCa?.rotation === undefined || !store.view((tx) => isDone(tx, rootCa)))
        return;
      try {
        await store.update((tx) => {
          const now = tx.get("cluster", cluster.id);
          if (now?.rootCa?.rotation === undefined || !isDone(tx, now.rootCa)) return;
          tx.update("cluster", { ...now, rootCa: withRotationDone(now.rootCa, random) });
        });
        log.info("root CA rotated: every node has a certificate of the new one");
      } catch (error) {
        log.warn("the end of the root rotation was not stored; it is tried again", {
          error: messageOf(error),
        });
        retry?.cancel();
        retry = clock.setTimer(RETRY_MS, () => loop.wake());
      }
    },
  });
  const watch = store.watch({ tables: ["cluster", "node"], wake: () => loop.wake() });
  loop.wake();
  return {
    async close(): Promise<void> {
      watch.close();
      await loop.close();
      retry?.cancel();
    },
  };
}
