import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { systemClock } from "../../base/clock/system-clock.js";
import {
  AbortedError,
  DataLossError,
  InvalidArgumentError,
  NotFoundError,
} from "../../base/errors/errors.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { silentLogger } from "../../base/log/logger.js";
import {
  buildImage,
  buildTar,
  chunksOf,
  dockerArchive,
  ociLayout,
  type TarEntry,
} from "../../test/support/image-tar.js";
import type { ImageStore } from "./image-store.js";
import { openImageStore } from "./linux-image-store.js";

let linux: Linux;
before(async () => {
  linux = await openKoffiLinux();
});

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newDir(): string {
  const folder = mkdtempSync(join(tmpdir(), "skein-images-"));
  folders.push(folder);
  return join(folder, "images");
}

async function open(t: TestContext, dir = newDir()): Promise<{ store: ImageStore; dir: string }> {
  const store = await openImageStore({ dir, linux, clock: systemClock, log: silentLogger });
  t.after(async () => {
    for (const container of existsSync(join(dir, "rootfs")) ? readdirSync(join(dir, "rootfs")) : [])
      await store.removeRootfs(container);
    await store.close();
  });
  return { store, dir };
}

const LOWER: readonly TarEntry[] = [
  { name: "bin/", type: "directory" },
  { name: "bin/tool", content: "tool", mode: 0o755 },
  { name: "etc/motd", content: "lower" },
  { name: "var/a", content: "a" },
];
const UPPER: readonly TarEntry[] = [
  { name: "etc/motd", content: "upper" },
  { name: "bin/.wh.tool" },
  { name: "var/.wh..wh..opq" },
  { name: "var/b", content: "b" },
];

test("people of the host cannot walk to the files of layers and containers", async (t) => {
  const { dir } = await open(t);
  assert.equal(statSync(dir).mode & 0o077, 0);
});

test("a docker archive is loaded, found by name, id and prefix, and mounted with its whiteouts", async (t) => {
  const { store, dir } = await open(t);
  const image = await buildImage({
    layers: [LOWER, UPPER],
    config: { Cmd: ["/bin/sh"], Env: ["A=1"], ExposedPorts: { "80/tcp": {} } },
  });
  const progress: string[] = [];
  const loaded = await store.load(chunksOf(await dockerArchive(image, ["hello:v1"])), {
    onProgress: ({ status }) => progress.push(status),
  });
  assert.equal(loaded.length, 1);
  const record = loaded[0];
  assert.ok(record);
  assert.equal(record.id, image.config.digest);
  assert.deepEqual(record.repoTags, ["docker.io/library/hello:v1"]);
  assert.deepEqual(record.config.exposedPorts, ["80/tcp"]);
  assert.equal(record.createdMs, Date.parse("2026-01-02T03:04:05Z"));
  assert.equal(record.sizeBytes, 4 + 5 + 1 + 5 + 1);
  assert.deepEqual(progress, ["Loading layer", "Loading layer", "Loaded image: hello:v1"]);
  for (const name of [
    "hello:v1",
    "library/hello:v1",
    record.id,
    record.id.slice(7),
    record.id.slice(7, 13),
  ]) {
    assert.equal(store.find(name)?.id, record.id, name);
  }
  assert.equal(store.find("hello"), undefined);
  assert.equal(store.find(record.id.slice(7, 10)), undefined);

  const root = await store.mountRootfs(record.id, "c1");
  assert.equal(await store.mountRootfs(record.id, "c1"), root);
  assert.equal(readFileSync(join(root, "etc/motd"), "utf8"), "upper");
  assert.equal(existsSync(join(root, "bin/tool")), false);
  assert.deepEqual(readdirSync(join(root, "var")), ["b"]);
  writeFileSync(join(root, "mine"), "1");
  await store.unmountRootfs("c1");
  assert.deepEqual(readdirSync(root), []);
  await store.mountRootfs(record.id, "c1");
  assert.equal(readFileSync(join(root, "mine"), "utf8"), "1");
  await store.removeRootfs("c1");
  await store.removeRootfs("c1");
  assert.deepEqual(readdirSync(join(dir, "rootfs")), []);
});

test("an OCI layout and a gzip archive are loaded as well, and share layers", async (t) => {
  const { store, dir } = await open(t);
  const one = await buildImage({ layers: [LOWER] });
  const two = await buildImage({ layers: [LOWER, UPPER] });
  await store.load(chunksOf(gzipSync(await dockerArchive(one, ["one:1", "other.io/one:1"]))));
  const [record] = await store.load(chunksOf(await ociLayout(two, "registry.example:5000/two:2"), 5));
  assert.deepEqual(record?.repoTags, ["registry.example:5000/two:2"]);
  assert.equal(readdirSync(join(dir, "layers")).length, 2);
  assert.equal(store.list().length, 2);
  const removed = await store.remove("registry.example:5000/two:2");
  assert.deepEqual(removed, [
    { untagged: "registry.example:5000/two:2" },
    { deleted: two.config.digest },
    { deleted: record?.chainIds[1] },
  ]);
  assert.equal(readdirSync(join(dir, "layers")).length, 1);
  assert.equal(readdirSync(join(dir, "blobs/sha256")).length, 2); // a config and a layer
  await store.remove("one:1");
  assert.equal(store.list().length, 1);
  await store.remove("other.io/one:1");
  assert.deepEqual(
    [
      readdirSync(join(dir, "layers")),
      readdirSync(join(dir, "l")),
      readdirSync(join(dir, "blobs/sha256")),
      readdirSync(join(dir, "tmp")),
    ],
    [[], ["0"], [], []], // the lowest layer of every root stays
  );
});

test("a root file system is imported with changes", async (t) => {
  const { store } = await open(t);
  const tar = await buildTar([
    { name: "./", type: "directory" },
    { name: "./bin/busybox", content: readFileSync("/bin/busybox"), mode: 0o755 },
  ]);
  const record = await store.importRootfs(chunksOf(gzipSync(tar)), {
    reference: "bb:1",
    message: "from nowhere",
    changes: ['CMD ["/bin/busybox","sh"]', 'ENV A=1 B="two words"', "EXPOSE 80", "WORKDIR /srv"],
  });
  assert.deepEqual(record.config.cmd, ["/bin/busybox", "sh"]);
  assert.deepEqual(record.config.env, ["A=1", "B=two words"]);
  assert.deepEqual(record.config.exposedPorts, ["80/tcp"]);
  assert.equal(record.config.workingDir, "/srv");
  assert.equal(record.comment, "from nowhere");
  const root = await store.mountRootfs(record.id, "bb");
  assert.equal(execFileSync("chroot", [root, "/bin/busybox", "echo", "ran"]).toString(), "ran\n");
  await assert.rejects(store.importRootfs(chunksOf(tar), { changes: ["FROM x"] }), InvalidArgumentError);
});

test("a store opened again has its images and mounts, and no leftovers of a crash", async (t) => {
  const { store, dir } = await open(t);
  const image = await buildImage({ layers: [LOWER, UPPER] });
  await store.load(chunksOf(await dockerArchive(image, ["x:1"])));
  const root = await store.mountRootfs(image.config.digest, "kept");
  await store.close();
  for (const name of ["tmp/unpack-9/diff", `layers/${"0".repeat(64)}/diff`, "l"])
    mkdirSync(join(dir, name), { recursive: true });
  execFileSync("ln", ["-s", "../layers/nothing/diff", join(dir, "l/zz")]);
  writeFileSync(join(dir, "blobs/sha256", "1".repeat(64)), "left over");
  writeFileSync(join(dir, "images.json.new"), "{");
  const again = await open(t, dir);
  assert.equal(again.store.find("x:1")?.id, image.config.digest);
  assert.deepEqual(readdirSync(join(dir, "tmp")), []);
  assert.equal(readdirSync(join(dir, "layers")).length, 2);
  assert.deepEqual(readdirSync(join(dir, "l")).sort(), ["0", "1", "2"]);
  assert.equal(readdirSync(join(dir, "blobs/sha256")).length, 3); // a config and two layers
  assert.equal(await again.store.mountRootfs(image.config.digest, "kept"), root);
  assert.equal(readFileSync(join(root, "etc/motd"), "utf8"), "upper");
});

test("removal keeps what a container uses, unless forced; the layers live as long as the container", async (t) => {
  const { store, dir } = await open(t);
  const image = await buildImage({ layers: [LOWER] });
  await store.load(chunksOf(await dockerArchive(image, ["used:1"])));
  const root = await store.mountRootfs(image.config.digest, "user");
  const usedBy = (): string => "0123456789abcdef";
  await assert.rejects(store.remove("used:1", { usedBy }), (error: unknown) => {
    assert.ok(error instanceof AbortedError);
    const short = image.config.digest.slice(7, 19);
    assert.equal(
      error.message,
      'conflict: unable to remove repository reference "used:1" (must force) - ' +
        `container 0123456789ab is using its referenced image ${short}`,
    );
    return true;
  });
  await store.tag("used:1", "second/name:x");
  await assert.rejects(
    store.remove(image.config.digest.slice(7, 19), { usedBy }),
    /referenced in multiple repositories/,
  );
  assert.deepEqual(await store.remove("second/name:x", { usedBy }), [{ untagged: "second/name:x" }]);
  assert.deepEqual(await store.remove("used:1", { usedBy, force: true }), [
    { untagged: "used:1" },
    { deleted: image.config.digest },
  ]);
  assert.equal(readFileSync(join(root, "etc/motd"), "utf8"), "lower");
  assert.equal(await store.mountRootfs(image.config.digest, "user"), root);
  await store.removeRootfs("user");
  assert.deepEqual(readdirSync(join(dir, "layers")), []);
  await assert.rejects(
    store.remove("used:1"),
    (error: unknown) => error instanceof NotFoundError && error.message === "No such image: used:1",
  );
  await assert.rejects(store.mountRootfs(image.config.digest, "user"), NotFoundError);
});

test("a tag moves to the image that was named last", async (t) => {
  const { store } = await open(t);
  const one = await buildImage({ layers: [LOWER] });
  const two = await buildImage({ layers: [UPPER] });
  await store.load(chunksOf(await dockerArchive(one, ["app:1"])));
  await store.load(chunksOf(await dockerArchive(two, ["app:1"])));
  assert.equal(store.find("app:1")?.id, two.config.digest);
  assert.deepEqual(store.find(one.config.digest)?.repoTags, []);
  await assert.rejects(store.tag("app:1", `app@${one.config.digest}`), InvalidArgumentError);
});

test("bad archives are refused and leave nothing", async (t) => {
  const { store, dir } = await open(t);
  const good = await buildImage({ layers: [LOWER] });
  const evil = await buildImage({ layers: [[{ name: "../evil", content: "x" }]] });
  const other = await buildImage({ layers: [UPPER] });
  const swapped = {
    ...good,
    layers: other.layers.map((layer, index) => ({ ...layer, digest: good.layers[index]?.digest ?? "" })),
  };
  const wrongDiffId = { ...good, plainLayers: other.plainLayers };
  const cases: [Buffer, new (message: string) => Error, RegExp][] = [
    [
      await buildTar([{ name: "hello", content: "x" }]),
      InvalidArgumentError,
      /neither manifest.json nor index.json/,
    ],
    [Buffer.alloc(5000, 1), DataLossError, /damaged|Error processing tar file/],
    [
      gzipSync(await dockerArchive(good, ["a:1"])).subarray(0, 300),
      DataLossError,
      /damaged|Error processing tar file/,
    ],
    [await dockerArchive(evil, ["a:1"]), InvalidArgumentError, /"\.\.\/evil"/],
    [await ociLayout(swapped, "a:1"), DataLossError, /wrong digest/],
    [await dockerArchive(wrongDiffId, ["a:1"]), DataLossError, /diff id/],
    [
      await dockerArchive(await buildImage({ layers: [LOWER, [{ name: "/x" }]] }), ["a:1"]),
      InvalidArgumentError,
      /absolute/,
    ],
  ];
  for (const [bytes, kind, words] of cases) {
    await assert.rejects(store.load(chunksOf(bytes)), (error: unknown) => {
      assert.ok(error instanceof kind, String(error));
      assert.match(error.message, words);
      return true;
    });
    assert.deepEqual(
      [..."tmp new layers".split(" ").map((folder) => readdirSync(join(dir, folder))), store.list()],
      [[], [], [], []],
    );
  }
});

test("an image with very many layers is mounted, though their paths do not fit a page", async (t) => {
  const { store } = await open(t);
  const layers = Array.from({ length: 120 }, (_, index) => [{ name: `f${index}`, content: String(index) }]);
  const image = await buildImage({ layers });
  await store.load(chunksOf(await dockerArchive(image, ["deep:1"])));
  const root = await store.mountRootfs(image.config.digest, "deep");
  assert.equal(readdirSync(root).filter((name) => name.startsWith("f")).length, 120);
});

test("a root has the places that a runtime mounts on, below the image's own files and in no commit", async (t) => {
  const { store, dir } = await open(t);
  const own = await buildImage({ layers: [[{ name: "etc/hosts", content: "the image's" }]] });
  await store.load(chunksOf(await dockerArchive(own, ["own:1"])));
  const root = await store.mountRootfs(own.config.digest, "c1");
  assert.equal(readFileSync(join(root, "etc/hosts"), "utf8"), "the image's");
  assert.equal(readFileSync(join(root, ".dockerenv"), "utf8"), "");
  assert.equal(readlinkSync(join(root, "etc/mtab")), "/proc/mounts");
  for (const folder of ["dev/pts", "dev/shm", "proc", "sys"])
    assert.ok(statSync(join(root, folder)).isDirectory(), folder);
  assert.deepEqual(readdirSync(join(dir, "rootfs/c1/upper")), []);
});
