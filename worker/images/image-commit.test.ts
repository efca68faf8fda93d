import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import { NotFoundError } from "../../base/errors/errors.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { silentLogger } from "../../base/log/logger.js";
import { buildImage, chunksOf, dockerArchive } from "../../test/support/image-tar.js";
import type { CommitOptions, ImageRecord, ImageWorkshop } from "./image-store.js";
import { openImageStore } from "./linux-image-store.js";

let linux: Linux;
before(async () => {
  linux = await openKoffiLinux();
});
const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function scene(t: TestContext): Promise<{ store: ImageWorkshop; base: ImageRecord; dir: string }> {
  const dir = join(mkdtempSync(join(tmpdir(), "skein-commit-")), "images");
  folders.push(join(dir, ".."));
  const store = await openImageStore({ dir, linux, clock: systemClock, log: silentLogger });
  t.after(async () => {
    for (const container of readdirSync(join(dir, "rootfs"))) await store.removeRootfs(container);
    await store.close();
  });
  const image = await buildImage({
    layers: [
      [
        { name: "bin/", type: "directory" },
        { name: "bin/tool", content: "tool", mode: 0o755 },
        { name: "etc/motd", content: "lower" },
        { name: "var/old", content: "x" },
      ],
    ],
  });
  const [base] = await store.load(chunksOf(await dockerArchive(image, ["base:1"])));
  assert.ok(base);
  return { store, base, dir };
}

function options(base: ImageRecord, changes: Partial<CommitOptions> = {}): CommitOptions {
  return {
    parentImageId: base.id,
    rootfsId: "c1",
    config: { Cmd: ["/bin/tool"], Env: ["A=2"] },
    createdBy: "sh -c work",
    comment: "a comment",
    author: "An Author",
    names: ["made:1"],
    ...changes,
  };
}

test("a container's changes become a layer that shows the same files", async (t) => {
  const { store, base } = await scene(t);
  const root = await store.mountRootfs(base.id, "c1");
  writeFileSync(join(root, "etc/motd"), "upper");
  chownSync(join(root, "etc/motd"), 12, 3_000_000);
  chmodSync(join(root, "etc/motd"), 0o4711);
  utimesSync(join(root, "etc/motd"), 1_600_000_000.75, 1_600_000_000.75);
  rmSync(join(root, "bin/tool"));
  rmSync(join(root, "var"), { recursive: true });
  mkdirSync(join(root, "var"));
  writeFileSync(join(root, "var/new"), "n");
  linkSync(join(root, "var/new"), join(root, "var/same"));
  symlinkSync("../etc/motd", join(root, "var/link"));
  writeFileSync(join(root, "sparse"), "begin");
  truncateSync(join(root, "sparse"), 8 * 2 ** 20);
  execFileSync("mkfifo", [join(root, "pipe")]);
  const long = `${"d".repeat(120)}/${"é".repeat(100)}`;
  mkdirSync(join(root, "d".repeat(120)));
  writeFileSync(join(root, long), "long");
  linux.setXattr(join(root, "var/new"), "user.note", Buffer.from([1, 0, 255]));

  const made = await store.commit(options(base));
  assert.equal(made.parentId, base.id);
  assert.deepEqual(store.childrenOf(base.id), [made.id]);
  assert.deepEqual(made.repoTags, ["docker.io/library/made:1"]);
  assert.equal(made.diffIds.length, 2);
  assert.equal(made.comment, "a comment");
  assert.equal(made.author, "An Author");
  assert.deepEqual(made.config.env, ["A=2"]);
  const document = await store.document(made.id);
  assert.deepEqual((document["config"] as { Cmd: unknown }).Cmd, ["/bin/tool"]);
  const history = await store.history(made.id);
  assert.equal(history.at(-1)?.createdBy, "sh -c work");
  assert.equal(history.at(-1)?.sizeBytes, 5 + 1 + 8 * 2 ** 20 + 4);

  writeFileSync(join(root, "etc/motd"), "the container goes on");
  const seen = await store.mountRootfs(made.id, "c2");
  assert.equal(readFileSync(join(seen, "etc/motd"), "utf8"), "upper");
  const motd = statSync(join(seen, "etc/motd"));
  assert.deepEqual([motd.uid, motd.gid, motd.mode & 0o7777], [12, 3_000_000, 0o4711]);
  assert.equal(motd.mtimeMs, 1_600_000_000_000, "times are whole seconds, as in its tar");
  assert.deepEqual(readdirSync(join(seen, "bin")), []);
  assert.deepEqual(readdirSync(join(seen, "var")), ["link", "new", "same"]);
  assert.equal(lstatSync(join(seen, "var/new")).ino, lstatSync(join(seen, "var/same")).ino);
  assert.ok(statSync(join(seen, "sparse")).blocks < 1_000);
  assert.ok(lstatSync(join(seen, "pipe")).isFIFO());
  assert.equal(readFileSync(join(seen, long), "utf8"), "long");
  assert.deepEqual(linux.readXattrs(join(seen, "var/new")), [
    { name: "user.note", value: new Uint8Array([1, 0, 255]) },
  ]);
});

test("nothing changed, or no container: only the configuration and the history change", async (t) => {
  const { store, base } = await scene(t);
  await store.mountRootfs(base.id, "c1");
  const unchanged = await store.commit(options(base));
  const configured = await store.commit(options(base, { rootfsId: undefined, names: [] }));
  for (const image of [unchanged, configured]) {
    assert.deepEqual(image.diffIds, base.diffIds);
    assert.equal((await store.history(image.id)).at(-1)?.emptyLayer, true);
  }
});

test("an image of nothing: an empty root, and a layer of what was put there", async (t) => {
  const { store } = await scene(t);
  const root = await store.mountRootfs("", "c1");
  writeFileSync(join(root, "hello"), "hi");
  const { base } = { base: { id: "" } as ImageRecord };
  const made = await store.commit(options(base, { parentImageId: undefined }));
  assert.equal(made.diffIds.length, 1);
  assert.equal(made.parentId, undefined);
});

test("equal files give equal layers, whenever they are committed", async (t) => {
  const { store, base } = await scene(t);
  const diffIds = [];
  for (const id of ["c1", "c2"]) {
    const root = await store.mountRootfs(base.id, id);
    for (const name of id === "c1" ? ["b", "a"] : ["a", "b"]) {
      writeFileSync(join(root, name), name);
      utimesSync(join(root, name), 1_600_000_000, 1_600_000_000);
    }
    diffIds.push((await store.commit(options(base, { rootfsId: id, names: [] }))).diffIds.at(-1));
  }
  assert.equal(diffIds[0], diffIds[1]);
});

test("an unknown parent or container is refused", async (t) => {
  const { store, base } = await scene(t);
  await assert.rejects(store.commit(options(base)), NotFoundError);
  await assert.rejects(
    store.commit(options(base, { parentImageId: `sha256:${"0".repeat(64)}` })),
    NotFoundError,
  );
});

test("a container that was made, but never started, stands on its layers though the image was removed", async (t) => {
  const { store, base } = await scene(t);
  store.holdRootfs?.(base.id, "c1");
  store.holdRootfs?.("sha256:none", "c2");
  await store.remove(base.id, { force: true });
  assert.equal(store.find(base.id), undefined);
  const root = await store.mountRootfs(base.id, "c1");
  assert.ok(lstatSync(join(root, "bin/tool")).isFile());
  await store.removeRootfs("c1");
  await assert.rejects(store.mountRootfs(base.id, "c1"), NotFoundError);
});
