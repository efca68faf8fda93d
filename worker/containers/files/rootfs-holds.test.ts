/**
 * Who keeps a root mounted, and when it goes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../base/clock/manual-clock.js";
import { silentLogger } from "../../../base/log/logger.js";
import type { ImageStore } from "../../images/image-store.js";
import { holdRoots } from "./rootfs-holds.js";

class Mounts {
  readonly calls: string[] = [];
  #mounted = false;

  mountRootfs(): Promise<string> {
    if (!this.#mounted) this.calls.push("mount");
    this.#mounted = true;
    return Promise.resolve("/merged");
  }

  unmountRootfs(): Promise<void> {
    if (this.#mounted) this.calls.push("unmount");
    this.#mounted = false;
    return Promise.resolve();
  }

  removeRootfs(): Promise<void> {
    this.calls.push("remove");
    return Promise.resolve();
  }

  /** With a private field: it must be called on the store itself. */
  find(): undefined {
    return this.#mounted ? undefined : undefined;
  }
}

function stand(): { mounts: Mounts; images: ImageStore; holds: ReturnType<typeof holdRoots>["holds"] } {
  const mounts = new Mounts();
  return { mounts, ...holdRoots(mounts as unknown as ImageStore) }; // what is used of it is there
}

test("a root that nobody runs on goes with its last holder", async () => {
  const { mounts, holds } = stand();
  await holds.hold("i", "c");
  await holds.hold("i", "c");
  await holds.release("c");
  assert.deepEqual(mounts.calls, ["mount"]);
  await holds.release("c");
  assert.deepEqual(mounts.calls, ["mount", "unmount"]);
});

test("a holder leaves a running container's root alone", async () => {
  const { mounts, images, holds } = stand();
  await images.mountRootfs("i", "c");
  await holds.hold("i", "c");
  await holds.release("c");
  assert.deepEqual(mounts.calls, ["mount"]);
  await images.unmountRootfs("c");
  assert.deepEqual(mounts.calls, ["mount", "unmount"]);
});

test("a container that ends leaves its root to who still reads it, and may start on it again", async () => {
  const { mounts, images, holds } = stand();
  await images.mountRootfs("i", "c");
  await holds.hold("i", "c");
  await images.unmountRootfs("c");
  assert.deepEqual(mounts.calls, ["mount"]);
  await images.mountRootfs("i", "c");
  await holds.release("c");
  assert.deepEqual(mounts.calls, ["mount"], "one mount all the time");
  await images.unmountRootfs("c");
  assert.deepEqual(mounts.calls, ["mount", "unmount"]);
});

test("a removal does not wait, and a late release is harmless", async () => {
  const { mounts, images, holds } = stand();
  await holds.hold("i", "c");
  await images.removeRootfs("c");
  await holds.release("c");
  assert.deepEqual(mounts.calls, ["mount", "remove"]);
  assert.equal(images.find("x"), undefined);
});

test("what is not needed any more lingers, and who comes back finds it mounted", async () => {
  const clock = new ManualClock();
  const mounts = new Mounts();
  const store = mounts as unknown as ImageStore; // what is used of it is there
  const { images, holds } = holdRoots(store, { clock, log: silentLogger, lingerMs: 2_000 });
  await images.mountRootfs("i", "c");
  await images.unmountRootfs("c");
  clock.advance(1_900);
  await images.mountRootfs("i", "c");
  clock.advance(5_000);
  assert.deepEqual(mounts.calls, ["mount"]);
  await images.unmountRootfs("c");
  clock.advance(2_000);
  assert.deepEqual(mounts.calls, ["mount", "unmount"]);
  await holds.hold("i", "c");
  await holds.release("c");
  await holds.close();
  assert.deepEqual(mounts.calls, ["mount", "unmount", "mount", "unmount"]);
});
