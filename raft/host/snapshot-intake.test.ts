import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { CancelledError, UnavailableError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import type { RaftMessage, SnapshotMeta } from "../core/types.js";
import { emptyStateFolder, MemoryState } from "../storage/memory-state.js";
import type { StateInstall } from "../storage/state-store.js";
import type { SnapshotTransfer } from "../transport/transport.js";
import type { KeyValuePair } from "./raft-node.js";
import { SnapshotIntake } from "./snapshot-intake.js";

const META: SnapshotMeta = { index: 90, term: 4, membership: { members: [], removed: [] } };

function pair(key: string): KeyValuePair {
  return { key, value: Buffer.from(key) };
}

/** A stream whose portions a test hands out one by one. */
class Stream {
  readonly transfer: SnapshotTransfer;
  askedAfter: string | undefined | "never" = "never";
  #waiting: ((step: IteratorResult<readonly KeyValuePair[]> | Error) => void) | undefined;

  constructor(term: number, id: number) {
    this.transfer = {
      meta: META,
      term,
      id,
      portions: (after) => {
        this.askedAfter = after;
        return { [Symbol.asyncIterator]: () => ({ next: () => this.#next() }) };
      },
    };
  }

  #next(): Promise<IteratorResult<readonly KeyValuePair[]>> {
    return new Promise((resolve, reject) => {
      this.#waiting = (step) => (step instanceof Error ? reject(step) : resolve(step));
    });
  }

  async bring(...keys: string[]): Promise<void> {
    await settled();
    this.#waiting?.({ done: false, value: keys.map(pair) });
    await settled();
  }

  async end(error?: Error): Promise<void> {
    await settled();
    this.#waiting?.(error ?? { done: true, value: undefined });
    await settled();
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await setImmediate();
}

function setUp() {
  const clock = new ManualClock();
  const folder = emptyStateFolder();
  const state = new MemoryState(folder);
  const installs: { keys: string[]; aborted: boolean }[] = [];
  let failing: Error | undefined;
  let stuck: Error | undefined;
  const beginInstall = state.beginInstall.bind(state);
  state.beginInstall = async (meta): Promise<StateInstall> => {
    const inner = await beginInstall(meta);
    const install = { keys: [] as string[], aborted: false };
    installs.push(install);
    return {
      ...inner,
      add: async (pairs) => {
        if (failing !== undefined) throw failing;
        install.keys.push(...pairs.map(({ key }) => key));
        await inner.add(pairs);
      },
      abort: async () => {
        if (stuck !== undefined) throw stuck;
        install.aborted = true;
      },
    };
  };
  const told: RaftMessage[] = [];
  const intake = new SnapshotIntake({
    raftId: 7,
    state,
    clock,
    step: (message) => told.push(message),
    log: silentLogger,
  });
  const fail = (error: Error | undefined): void => {
    failing = error;
  };
  /** What has come cannot be removed. */
  const stick = (error: Error): void => {
    stuck = error;
  };
  return { clock, intake, installs, told, fail, stick, folder };
}

async function install(intake: SnapshotIntake): Promise<void> {
  const staged = intake.take(META);
  assert.ok(staged, "the core was told");
  await staged.install.commit();
  staged.done(undefined);
}

test("a newer stream of the same leader takes over from one that hangs, and goes on where it was", async () => {
  const { intake, installs, folder } = setUp();
  const first = new Stream(4, 1);
  const hanging = assert.rejects(intake.receive(1, first.transfer), CancelledError);
  await first.bring("a", "b");
  const second = new Stream(4, 1);
  const received = intake.receive(1, second.transfer);
  await second.bring("c");
  await hanging;
  assert.equal(second.askedAfter, "b");
  await second.end();
  await install(intake);
  await received;
  assert.deepEqual(installs[0]?.keys, ["a", "b", "c"]);
  assert.deepEqual([...folder.pairs.keys()], ["a", "b", "c"]);
});

test("another frozen view begins anew, and what the first brought is removed", async () => {
  const { intake, installs } = setUp();
  const first = new Stream(4, 1);
  const broken = assert.rejects(intake.receive(1, first.transfer), /broke/);
  await first.bring("a");
  await first.end(new UnavailableError("the snapshot stream broke"));
  await broken;
  const second = new Stream(4, 2);
  const received = intake.receive(1, second.transfer);
  await second.bring("x");
  assert.equal(second.askedAfter, undefined);
  assert.deepEqual(installs, [
    { keys: ["a"], aborted: true },
    { keys: ["x"], aborted: false },
  ]);
  await second.end();
  await install(intake);
  await received;
});

test("of two leaders' snapshots the later term's is taken, whichever comes first", async () => {
  const { intake } = setUp();
  const old = new Stream(4, 1);
  const outdated = assert.rejects(intake.receive(1, old.transfer), CancelledError);
  await old.bring("a");
  const fresh = new Stream(5, 9);
  const received = intake.receive(2, fresh.transfer);
  await fresh.bring("b");
  await outdated;
  await assert.rejects(intake.receive(1, new Stream(4, 3).transfer), /another snapshot is being received/);
  await fresh.end();
  await assert.rejects(
    intake.receive(3, new Stream(6, 4).transfer),
    UnavailableError,
    "one waits for the core",
  );
  await install(intake);
  await received;
});

test("half a snapshot is removed after a minute without a stream, and when the member stops", async () => {
  const { clock, intake, installs } = setUp();
  const first = new Stream(4, 1);
  const broken = assert.rejects(intake.receive(1, first.transfer));
  await first.bring("a");
  await first.end(new UnavailableError("broken"));
  await broken;
  clock.advance(59_000);
  await settled();
  assert.equal(installs[0]?.aborted, false);
  clock.advance(2_000);
  await settled();
  assert.equal(installs[0]?.aborted, true);
  const second = new Stream(4, 2);
  const stopped = assert.rejects(intake.receive(1, second.transfer), /stopping/);
  await second.bring("a");
  await intake.close();
  await stopped;
  assert.equal(installs[1]?.aborted, true);
  await assert.rejects(intake.receive(1, new Stream(4, 3).transfer), UnavailableError);
});

test("a snapshot that cannot be stored is refused with the reason, which is trouble until one can", async () => {
  const { intake, installs, fail } = setUp();
  fail(new Error("ENOSPC: no space left on device"));
  const first = new Stream(4, 1);
  const refused = assert.rejects(intake.receive(1, first.transfer), /cannot be stored: ENOSPC/);
  await first.bring("a");
  await refused;
  assert.match(intake.trouble ?? "", /a snapshot cannot be stored: ENOSPC/);
  assert.equal(installs[0]?.aborted, true);
  fail(undefined);
  const second = new Stream(4, 1);
  const received = intake.receive(1, second.transfer);
  await second.bring("a");
  assert.equal(second.askedAfter, undefined, "nothing is left of the first attempt");
  await second.end();
  await install(intake);
  await received;
  assert.equal(intake.trouble, undefined);
});

test("a failure to store a snapshot is no trouble any more once nobody has sent one for a minute", async () => {
  const { clock, intake, fail } = setUp();
  fail(new Error("ENOSPC: no space left on device"));
  const stream = new Stream(4, 1);
  const refused = assert.rejects(intake.receive(1, stream.transfer), UnavailableError);
  await stream.bring("a");
  await refused;
  clock.advance(59_000);
  assert.match(intake.trouble ?? "", /ENOSPC/, "the sender tries every ten seconds");
  clock.advance(2_000);
  assert.equal(intake.trouble, undefined, "the log has served this member");
});

test("closing ends although half a snapshot cannot be removed", async () => {
  const { intake, stick } = setUp();
  const stream = new Stream(4, 1);
  const ended = assert.rejects(intake.receive(1, stream.transfer), /EIO/);
  await stream.bring("a");
  stick(new Error("EIO: i/o error"));
  await intake.close();
  await ended;
});
