import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  lstatSync,
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
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { DataLossError, InvalidArgumentError, ResourceExhaustedError } from "../../base/errors/errors.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { buildTar, digestOf, type TarEntry } from "../../test/support/image-tar.js";
import { unpackLayer } from "./linux-layer-unpack.js";

let base: string;
let linux: Linux;
let count = 0;

before(async () => {
  base = mkdtempSync(join(tmpdir(), "skein-unpack-"));
  writeFileSync(join(base, "outside"), "untouched");
  linux = await openKoffiLinux();
});
after(() => rmSync(base, { recursive: true }));

interface Unpacked {
  readonly root: string;
  readonly sizeBytes: number;
  readonly digest: string;
  readonly diffId: string;
}

async function unpackBytes(
  bytes: Uint8Array,
  limits: { unpackedBytesMax?: number; entryCountMax?: number } = {},
): Promise<Unpacked> {
  count += 1;
  const file = join(base, `layer-${count}`);
  const root = join(base, `root-${count}`, "diff");
  writeFileSync(file, bytes);
  mkdirSync(root, { recursive: true });
  const request = { file, root, layer: "L1", unpackedBytesMax: 1 << 20, entryCountMax: 100, ...limits };
  return { root, ...(await unpackLayer(request, linux)) };
}

async function unpack(entries: readonly TarEntry[]): Promise<Unpacked> {
  return unpackBytes(await buildTar(entries));
}

async function refused(entries: readonly TarEntry[], path: string): Promise<void> {
  await assert.rejects(unpack(entries), (error: unknown) => {
    assert.ok(error instanceof InvalidArgumentError, String(error));
    assert.ok(error.message.includes(path), error.message);
    assert.ok(error.message.includes("L1"), error.message);
    return true;
  });
  assert.equal(readFileSync(join(base, "outside"), "utf8"), "untouched");
  assert.deepEqual(readdirSync(join(base, `root-${count}`)), ["diff"]);
}

test("a layer keeps types, modes, owners, times and links", async () => {
  const { root, sizeBytes } = await unpack([
    { name: "./", type: "directory", mode: 0o711 },
    { name: "bin/", type: "directory" },
    { name: "bin/su", content: "suid", mode: 0o4755, uid: 7, gid: 8 },
    { name: "bin/hard", type: "link", linkname: "bin/su" },
    { name: "bin/soft", type: "symlink", linkname: "/anywhere" },
    { name: "pipe", type: "fifo", mode: 0o622 },
    { name: "dev/null", type: "character-device", devmajor: 1, devminor: 3, mode: 0o666 },
    { name: "big-id", content: "x", pax: { uid: "3000000000", mtime: "1600000000.5" } },
  ]);
  const su = statSync(join(root, "bin/su"));
  assert.equal(su.mode & 0o7777, 0o4755);
  assert.deepEqual([su.uid, su.gid, su.nlink, su.mtimeMs], [7, 8, 2, 1_700_000_000_000]);
  assert.equal(statSync(join(root, "bin")).mtimeMs, 1_700_000_000_000);
  assert.equal(statSync(root).mode & 0o7777, 0o711);
  assert.equal(readlinkSync(join(root, "bin/soft")), "/anywhere");
  assert.ok(lstatSync(join(root, "pipe")).isFIFO());
  assert.equal(lstatSync(join(root, "dev/null")).rdev, (1 << 8) | 3);
  assert.equal(lstatSync(join(root, "dev/null")).mode & 0o7777, 0o666);
  assert.equal(statSync(join(root, "big-id")).uid, 3_000_000_000);
  assert.equal(statSync(join(root, "big-id")).mtimeMs, 1_600_000_000_500);
  assert.equal(sizeBytes, 5);
});

test("gzip, zstd and plain layers give the same diff id, and the digest of what was stored", async () => {
  const plain = await buildTar([{ name: "a", content: "hello" }]);
  const zstd = execFileSync("zstd", ["-c"], { input: plain, stdio: ["pipe", "pipe", "ignore"] });
  for (const stored of [plain, gzipSync(plain), zstd]) {
    const result = await unpackBytes(stored);
    assert.equal(result.diffId, digestOf(plain));
    assert.equal(result.digest, digestOf(stored));
    assert.equal(readFileSync(join(result.root, "a"), "utf8"), "hello");
  }
});

test("a whiteout becomes a device 0:0, an opaque mark an attribute of its folder", async () => {
  const { root } = await unpack([
    { name: "etc/.wh.gone" },
    { name: "etc/kept", content: "mine" },
    { name: "etc/.wh.kept" },
    { name: "opt/.wh..wh..opq" },
    { name: ".wh..wh.plnk/x" },
    { name: ".wh.again" },
    { name: "again/", type: "directory" },
    { name: "later/f", content: "1" },
    { name: ".wh.later" },
  ]);
  const gone = lstatSync(join(root, "etc/gone"));
  assert.ok(gone.isCharacterDevice() && gone.rdev === 0);
  assert.equal(readFileSync(join(root, "etc/kept"), "utf8"), "mine");
  for (const folder of ["opt", "again", "later"]) assert.equal(opaqueOf(join(root, folder)), "y", folder);
  assert.deepEqual(readdirSync(join(root, "opt")), []);
});

function opaqueOf(path: string): string {
  return execFileSync("python3", [
    "-c",
    `import os,sys;sys.stdout.write(os.getxattr(sys.argv[1],'trusted.overlay.opaque').decode())`,
    path,
  ]).toString();
}

test("attributes arrive unchanged, also bytes that are no text; those that steer overlayfs are dropped", async () => {
  const capability = Buffer.from("0100000200a4ff8000000000000000000000fe00", "hex");
  const marker = "A".repeat(capability.length);
  const tar = await buildTar([
    { name: "before", content: "b".repeat(5000) },
    {
      name: "bin/ping",
      content: "x",
      pax: { "SCHILY.xattr.security.capability": marker, "SCHILY.xattr.trusted.overlay.redirect": "/etc" },
    },
  ]);
  capability.copy(tar, tar.indexOf(marker));
  const { root } = await unpackBytes(tar);
  const code =
    "import os,sys;p=sys.argv[1];print(os.getxattr(p,'security.capability').hex(), sorted(os.listxattr(p)))";
  const [value, names] = execFileSync("python3", ["-c", code, join(root, "bin/ping")])
    .toString()
    .trim()
    .split(" ", 2);
  assert.equal(value, capability.toString("hex"));
  assert.equal(names, "['security.capability']");
});

test("a name with .. is refused", () =>
  refused([{ name: "a/../../outside", content: "bad" }], "a/../../outside"));
test("an absolute name is refused", () => refused([{ name: "/outside", content: "bad" }], "/outside"));
test("a name through a relative symbolic link out of the root is refused", () =>
  refused(
    [
      { name: "up", type: "symlink", linkname: "../.." },
      { name: "up/outside", content: "bad" },
    ],
    "up/outside",
  ));
test("a name through an absolute symbolic link out of the root is refused", () =>
  refused(
    [
      { name: "up", type: "symlink", linkname: base },
      { name: "up/outside", content: "bad" },
    ],
    "up/outside",
  ));
test("a name through a symbolic link that climbs inside and then out is refused", () =>
  refused(
    [
      { name: "d/e/", type: "directory" },
      { name: "d/e/l", type: "symlink", linkname: "../../.." },
      { name: "d/e/l/outside", content: "bad" },
    ],
    "d/e/l/outside",
  ));
test("a hard link with .. is refused", () =>
  refused([{ name: "h", type: "link", linkname: "../../outside" }], "../../outside"));
test("a hard link through a symbolic link out of the root is refused", () =>
  refused(
    [
      { name: "up", type: "symlink", linkname: "../.." },
      { name: "h", type: "link", linkname: "up/outside" },
    ],
    "h",
  ));
test("a hard link to nothing is refused", () =>
  refused([{ name: "h", type: "link", linkname: "nothing" }], "h"));
test("a whiteout of .. is refused", () => refused([{ name: ".wh..." }, { name: "a/.wh.." }], ".wh.."));
test("a loop of symbolic links is refused", () =>
  refused(
    [
      { name: "a", type: "symlink", linkname: "b" },
      { name: "b", type: "symlink", linkname: "a" },
      { name: "a/x" },
    ],
    "a/x",
  ));

test("a file over a symbolic link replaces the link and leaves its target alone", async () => {
  const { root } = await unpack([
    { name: "f", type: "symlink", linkname: join(base, "outside") },
    { name: "f", content: "new" },
  ]);
  assert.equal(readFileSync(join(root, "f"), "utf8"), "new");
  assert.equal(readFileSync(join(base, "outside"), "utf8"), "untouched");
});

test("a folder replaced by a symbolic link after use is not written through", () =>
  refused(
    [
      { name: "d/first", content: "1" },
      { name: "d", type: "symlink", linkname: base },
      { name: "d/outside", content: "bad" },
    ],
    "d/outside",
  ));

test("a name through a symbolic link that stays inside follows it", async () => {
  const { root } = await unpack([
    { name: "usr/lib/", type: "directory" },
    { name: "lib", type: "symlink", linkname: "usr/lib" },
    { name: "lib64", type: "symlink", linkname: "/usr/lib" },
    { name: "lib/a", content: "1" },
    { name: "lib64/b", content: "2" },
  ]);
  assert.deepEqual(readdirSync(join(root, "usr/lib")), ["a", "b"]);
});

test("a truncated gzip, a truncated tar and noise are data loss", async () => {
  const tar = await buildTar([{ name: "a", content: "hello".repeat(400) }]);
  const zipped = gzipSync(tar);
  await assert.rejects(unpackBytes(zipped.subarray(0, zipped.length - 20)), DataLossError);
  await assert.rejects(unpackBytes(tar.subarray(0, 1000)), DataLossError);
  await assert.rejects(unpackBytes(Buffer.alloc(4096, 0x61)), DataLossError);
});

test("a layer over its bounds is refused", async () => {
  const tar = await buildTar([
    { name: "a", content: "12345" },
    { name: "b", content: "12345" },
  ]);
  await assert.rejects(unpackBytes(tar, { unpackedBytesMax: 9 }), ResourceExhaustedError);
  await assert.rejects(unpackBytes(tar, { entryCountMax: 1 }), ResourceExhaustedError);
});
