/**
 * Every manager's part in rotating keys and in autolock: its own files follow what the cluster says, a new
 * data key at every epoch, another lock when the unlock key changes. Pure loop over ports. Invariant: a
 * lock is changed only to what a read barrier confirmed, because a replica that has just started may show
 * an unlock key that was revoked long ago. Order: the node's identity, then Raft's data keys; whoever holds
 * the newer key can open both at every moment (node/node-lock.ts).
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { Random } from "../../base/random/random.js";
import type { RaftNode } from "../../raft/host/raft-node.js";
import type { Store } from "../store/types.js";
import { dataKeyLockOf } from "./unlock-lock.js";

const RETRY_MS = 2_000;

/** Whoever keeps the node's identity: the daemon. */
export interface LockFollower {
  /** Resolves when the identity is locked under the new key, "" for none, and remembers the one before. */
  changing(unlockKey: string): Promise<void>;
  /** Everything is: the one before may be forgotten. */
  changed(unlockKey: string): void;
}

export interface KeyKeeperComponents {
  readonly store: Store;
  readonly raft: Pick<RaftNode, "rotateDataKey" | "relock" | "readBarrier">;
  readonly follower: LockFollower;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface KeyKeeper {
  close(): Promise<void>;
}

/** @param options.unlockKey what this manager's files are locked under now; "": nothing. */
export function startKeyKeeper(
  { store, raft, follower, clock, random, log }: KeyKeeperComponents,
  options: { readonly unlockKey: string },
): KeyKeeper {
  /** What everything is locked under; undefined while some files may be and others not. */
  let held: string | undefined = options.unlockKey;
  let timer: Timer | undefined;
  const clusterNow = () => store.view((tx) => tx.list("cluster")[0]);

  async function followLock(signal: AbortSignal): Promise<void> {
    if (clusterNow()?.unlockKey === held) return;
    await raft.readBarrier({ signal });
    const wanted = clusterNow()?.unlockKey;
    if (wanted === undefined || wanted === held) return;
    held = undefined;
    await follower.changing(wanted);
    await raft.relock(dataKeyLockOf(wanted, random));
    held = wanted;
    follower.changed(wanted);
    log.info(
      wanted === "" ? "this manager's files are not locked any more" : "this manager's files are locked",
    );
  }

  const loop = new ComponentLoop({
    name: "key-keeper",
    log,
    pass: async (signal) => {
      watch.take();
      timer?.cancel();
      if (clusterNow() === undefined) return; // not caught up yet
      try {
        await followLock(signal);
        await raft.rotateDataKey(clusterNow()?.dataKeyEpoch ?? 0);
      } catch (error) {
        if (signal.aborted) return;
        log.warn("following the cluster's keys failed; it is tried again", { error: messageOf(error) });
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
