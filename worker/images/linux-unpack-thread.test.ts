import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { CancelledError, DataLossError, UnavailableError } from "../../base/errors/errors.js";
import { buildTar } from "../../test/support/image-tar.js";
import type { UnpackRequest } from "./linux-layer-unpack.js";
import { UnpackThread } from "./linux-unpack-thread.js";

interface Scene extends AsyncDisposable {
  readonly clock: ManualClock;
  readonly thread: UnpackThread;
  /** Calls that crossed to the parent. */
  readonly calls: string[];
  request(bytes: Uint8Array): UnpackRequest;
}

function scene(): Scene {
  const base = mkdtempSync(join(tmpdir(), "skein-thread-"));
  const clock = new ManualClock();
  const calls: string[] = [];
  const linux = {
    makeNode: ({ path }: { path: string }) => void calls.push(`makeNode ${path.slice(base.length)}`),
    setXattr: () => {
      throw new Error("setxattr: EIO");
    },
  };
  const thread = new UnpackThread({ linux, clock });
  let count = 0;
  return {
    clock,
    thread,
    calls,
    request(bytes) {
      count += 1;
      const root = join(base, `root${count}`);
      mkdirSync(root);
      writeFileSync(`${root}.tar`, bytes);
      return { file: `${root}.tar`, root, layer: "L", unpackedBytesMax: 1e9, entryCountMax: 1e6 };
    },
    async [Symbol.asyncDispose]() {
      await thread.close();
      rmSync(base, { recursive: true });
    },
  };
}

test("the thread starts with the first layer and ends when idle", async () => {
  await using world = scene();
  assert.equal(world.thread.started, false);
  const tar = await buildTar([{ name: ".wh.gone" }, { name: "a", content: "1" }]);
  assert.equal((await world.thread.unpack(world.request(tar))).sizeBytes, 1);
  assert.deepEqual(world.calls, ["makeNode /root1/gone"]);
  assert.equal(world.thread.started, true);
  world.clock.advance(9_999);
  assert.equal(world.thread.started, true);
  await world.thread.unpack(world.request(tar));
  world.clock.advance(9_999);
  assert.equal(world.thread.started, true);
  world.clock.advance(1);
  assert.equal(world.thread.started, false);
  await world.thread.unpack(world.request(tar));
});

test("an error crosses with its class and words, and the thread goes on", async () => {
  await using world = scene();
  await assert.rejects(world.thread.unpack(world.request(Buffer.alloc(2000, 1))), DataLossError);
  await assert.rejects(
    world.thread.unpack(world.request(await buildTar([{ name: "d/.wh..wh..opq" }]))),
    /setxattr: EIO/,
  );
  assert.equal(
    (await world.thread.unpack(world.request(await buildTar([{ name: "a", content: "1" }])))).sizeBytes,
    1,
  );
});

test("a cancelled layer ends at once; the next one is unpacked", async () => {
  await using world = scene();
  const entries = Array.from({ length: 5_000 }, (_, index) => ({ name: `f${index}` }));
  const long = world.request(await buildTar(entries));
  const short = world.request(await buildTar([{ name: "a", content: "1" }]));
  const abort = new AbortController();
  const cancelled = world.thread.unpack(long, { signal: abort.signal });
  const waiting = world.thread.unpack(short, { signal: abort.signal });
  const next = world.thread.unpack(short);
  const outcomes = Promise.allSettled([cancelled, waiting]);
  setImmediate(() => abort.abort());
  for (const outcome of await outcomes) {
    assert.ok(outcome.status === "rejected" && outcome.reason instanceof CancelledError);
  }
  assert.equal((await next).sizeBytes, 1);
});

test("closing refuses what is under way and what comes after", async () => {
  await using world = scene();
  const tar = await buildTar(Array.from({ length: 5_000 }, (_, index) => ({ name: `f${index}` })));
  const running = assert.rejects(world.thread.unpack(world.request(tar)), UnavailableError);
  const waiting = assert.rejects(world.thread.unpack(world.request(tar)), UnavailableError);
  await Promise.all([world.thread.close(), running, waiting]);
  await assert.rejects(world.thread.unpack(world.request(tar)), UnavailableError);
  assert.equal(world.clock.pendingCount, 0);
});

test("a layer cancelled at the moment it is done does not cancel the next one", async () => {
  await using world = scene();
  const abort = new AbortController();
  const push = world.calls.push.bind(world.calls);
  world.calls.push = (...calls) => {
    // The thread goes on once this returns; it is done while the parent is held, and the cancellation comes
    // before the result is heard.
    setImmediate(() => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      abort.abort();
    });
    return push(...calls);
  };
  const first = world.thread.unpack(world.request(await buildTar([{ name: ".wh.gone" }])), {
    signal: abort.signal,
  });
  const second = world.thread.unpack(world.request(await buildTar([{ name: "a", content: "1" }])));
  await Promise.allSettled([first]);
  assert.equal((await second).sizeBytes, 1);
});
