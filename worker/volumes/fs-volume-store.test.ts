/**
 * Local volumes: filling from an image, also at the same time, after a crash, and beside somebody who writes.
 */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { openVolumeStore } from "./fs-volume-store.js";
import type { VolumeStore } from "./volume-store.js";

let base = "";
let image = "";
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "skein-vol-"));
  image = join(base, "image");
  mkdirSync(join(image, "sub"), { recursive: true, mode: 0o750 });
  for (let i = 0; i < 20; i += 1) writeFileSync(join(image, "sub", `f${i}`), `${i}`);
  symlinkSync("sub/f0", join(image, "link"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const open = (): Promise<VolumeStore> =>
  openVolumeStore({
    dir: join(base, "volumes"),
    clock: new ManualClock(),
    random: new SeededRandom("volumes"),
  });
const request = { name: "data", driver: "", options: {}, labels: {} };

test("two containers that fill a volume at the same time fill it once", async () => {
  const store = await open();
  const { mountpoint } = await store.ensure(request);
  await Promise.all([store.copyUp("data", image), store.copyUp("data", image), store.copyUp("data", image)]);
  assert.equal(readFileSync(join(mountpoint, "link"), "utf8"), "0");
  assert.equal(readFileSync(join(mountpoint, "sub", "f19"), "utf8"), "19");
  assert.equal(statSync(mountpoint).mode & 0o777, 0o750, "mode of the image's folder");
  writeFileSync(join(mountpoint, "link.own"), "mine");
  await store.copyUp("data", join(base, "nothing"));
  assert.ok(existsSync(join(mountpoint, "link.own")));
});

test("a filling that a crash cut short is begun anew, one that was whole is brought to its end", async () => {
  const { mountpoint } = await (await open()).ensure(request);
  const beside = join(mountpoint, "..");
  mkdirSync(join(beside, "filling", "sub"), { recursive: true });
  writeFileSync(join(beside, "filling", "sub", "half"), "");
  await (await open()).copyUp("data", image);
  assert.ok(!existsSync(join(mountpoint, "sub", "half")));
  assert.equal(readFileSync(join(mountpoint, "sub", "f7"), "utf8"), "7");
  mkdirSync(join(beside, "filled", "later"), { recursive: true });
  await (await open()).copyUp("data", image);
  assert.deepEqual(readdirSync(mountpoint).sort(), ["later", "link", "sub"]);
  assert.deepEqual(readdirSync(beside).sort(), ["_data", "volume.json"]);
});

test("links that somebody puts into the volume meanwhile are not written through", async () => {
  const store = await open();
  const { mountpoint } = await store.ensure(request);
  const host = join(base, "host");
  mkdirSync(host);
  const names = Array.from({ length: 20 }, (_, i) => `d${i}`);
  for (const name of names) {
    mkdirSync(join(image, name));
    for (let i = 0; i < 10; i += 1) writeFileSync(join(image, name, `x${i}`), "");
  }
  let isOver = false;
  const copying = store.copyUp("data", image).finally(() => {
    isOver = true;
  });
  // A container that has the same volume waits until the filling has begun.
  while (!isOver && readdirSync(mountpoint).length === 0 && !existsSync(join(mountpoint, "..", "filling")))
    await new Promise((resolve) => setImmediate(resolve));
  for (const name of names)
    if (!existsSync(join(mountpoint, name))) symlinkSync(host, join(mountpoint, name));
  await copying;
  assert.deepEqual(readdirSync(host), []);
});

test("only root may walk into volumes on the host: set-uid files in them are the containers' alone", async () => {
  const store = await open();
  const { mountpoint } = await store.ensure(request);
  assert.equal(statSync(join(mountpoint, "..", "..")).mode & 0o077, 0);
});

test("an anonymous volume whose record a power cut emptied is found again, with its data", async () => {
  const store = await open();
  const { name, mountpoint } = await store.ensure({ ...request, name: "" });
  writeFileSync(join(mountpoint, "kept"), "");
  writeFileSync(join(mountpoint, "..", "volume.json"), Buffer.alloc(40));
  const again = (await open()).find(name);
  assert.deepEqual([again?.anonymous, again?.driver, again?.mountpoint], [true, "local", mountpoint]);
  assert.deepEqual(readdirSync(again?.mountpoint ?? ""), ["kept"]);
});
