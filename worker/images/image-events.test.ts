import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import { silentLogger } from "../../base/log/logger.js";
import { buildImage, chunksOf, dockerArchive } from "../../test/support/image-tar.js";
import { ImageEvents } from "./image-events.js";
import { openImageStore } from "./linux-image-store.js";

test("what happens to images is told in its order", async () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-events-"));
  const linux = await openKoffiLinux();
  const dir = join(folder, "images");
  const store = await openImageStore({ dir, linux, clock: systemClock, log: silentLogger });
  try {
    const seen: string[] = [];
    const stop = store.onEvent(({ kind, imageId }) => {
      assert.match(imageId, /^sha256:/);
      seen.push(kind);
    });
    const image = await buildImage({ layers: [[{ name: "a", content: "1" }]] });
    await store.load(chunksOf(await dockerArchive(image, ["a:1"])));
    await store.tag("a:1", "b:1");
    for await (const _chunk of await store.save(["a:1"], {}));
    await store.remove("a:1");
    await store.remove("b:1");
    stop();
    await store.load(chunksOf(await dockerArchive(image, ["a:1"])));
    assert.deepEqual(seen, ["load", "tag", "save", "untag", "untag", "delete"]);
  } finally {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a listener that fails keeps the others from nothing", () => {
  const events = new ImageEvents({ log: silentLogger, nowMs: () => 5 });
  const seen: number[] = [];
  events.listen(() => {
    throw new Error("mine");
  });
  events.listen(({ timeMs }) => seen.push(timeMs));
  events.emit("pull", "x", "sha256:1");
  assert.deepEqual(seen, [5]);
});
