/**
 * Whatever a tar holds, nothing outside the root changes. Runs on real folders.
 */
import assert from "node:assert/strict";
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { SkeinError } from "../../../base/errors/errors.js";
import { openKoffiLinux } from "../../../base/linux/linux-koffi.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import { holds } from "../../../test/fuzz/holds.js";
import { RootView } from "./linux-root-view.js";
import { TarUnpacker } from "./linux-tar-unpacker.js";
import type { TarEntry } from "./tar-entry.js";

let linux: Linux;
let base: string;

before(async () => {
  linux = await openKoffiLinux();
  base = mkdtempSync("/tmp/skc-unpack-");
  mkdirSync(join(base, "root/etc"), { recursive: true });
  mkdirSync(join(base, "outside/deep"), { recursive: true });
  writeFileSync(join(base, "outside/secret"), "secret", { mode: 0o600 });
  writeFileSync(join(base, "outside/deep/file"), "deep");
  chmodSync(join(base, "outside/deep"), 0o700);
});

after(() => rmSync(base, { recursive: true }));

/** Everything a change would show in: kinds, modes, owners, times, contents. */
function pictureOf(path: string): unknown {
  const stats = lstatSync(path);
  const facts = [stats.mode, stats.uid, stats.gid, stats.mtimeMs, stats.ctimeMs, stats.nlink, stats.size];
  if (stats.isDirectory())
    return [facts, readdirSync(path).map((name) => [name, pictureOf(join(path, name))])];
  return [facts, stats.isSymbolicLink() ? readlinkSync(path) : readFileSync(path, "latin1")];
}

function unpack(entries: readonly TarEntry[], options: { noOverwrite?: boolean; at?: string } = {}): void {
  const view = RootView.open({ root: join(base, "root"), readOnly: false, mounts: [] });
  try {
    const folder = view.resolveFolder(options.at ?? "");
    const unpacker = new TarUnpacker({
      view,
      folder,
      linux,
      noOverwriteDirNonDir: options.noOverwrite ?? false,
      owner: undefined,
    });
    try {
      for (const entry of entries) {
        try {
          unpacker.begin(entry);
          if (entry.kind === "file") unpacker.data(Buffer.from("evil"), 0);
          unpacker.end();
        } catch (error) {
          const isErrno = error instanceof Error && "code" in error;
          assert.ok(error instanceof SkeinError || isErrno, String(error));
        }
      }
      unpacker.finish();
    } finally {
      unpacker.close();
      closeSync(folder.fd);
    }
  } finally {
    view.close();
  }
}

function entryOf(changes: Partial<TarEntry>): TarEntry {
  return {
    name: "f",
    kind: "file",
    mode: 0o4777,
    uid: 12,
    gid: 34,
    mtimeSeconds: 1000,
    sizeBytes: 4,
    linkName: "",
    major: 0,
    minor: 0,
    xattrs: [],
    ...changes,
  };
}

test("fuzz: random entries, names and links leave everything outside as it is", () => {
  const outside = (): string => join(base, "outside");
  const part = fc.constantFrom("a", "b", "c", "..", ".", "", "secret", "deep", "outside", "etc", "OUT", "UP");
  const path = fc
    .array(part, { minLength: 1, maxLength: 6 })
    .map((parts) => parts.join("/").replaceAll("UP", "../../../../../../..").replaceAll("OUT", outside()));
  const entry = fc
    .record({
      name: path,
      linkName: path,
      kind: fc.constantFrom<TarEntry["kind"]>("file", "folder", "symlink", "symlink", "link", "fifo", "char"),
      mode: fc.constantFrom(0o644, 0o4777, 0),
    })
    .map((parts) => entryOf({ ...parts, sizeBytes: parts.kind === "file" ? 4 : 0, major: 1, minor: 3 }));
  const before = pictureOf(outside());
  holds(
    fc.property(fc.array(entry, { maxLength: 12 }), fc.boolean(), (entries, noOverwrite) => {
      unpack(entries, { noOverwrite });
      assert.deepEqual(pictureOf(outside()), before);
      assert.deepEqual(readdirSync(base).sort(), ["outside", "root"]);
    }),
    { numRuns: 400 },
  );
});

test("a folder that is a link to the outside is written to inside the root only", () => {
  rmSync(join(base, "root"), { recursive: true });
  mkdirSync(join(base, "root"));
  symlinkSync(join(base, "outside"), join(base, "root/link"));
  const before = pictureOf(join(base, "outside"));
  unpack([entryOf({ name: "link/secret" }), entryOf({ name: "link", kind: "folder", sizeBytes: 0 })]);
  assert.deepEqual(pictureOf(join(base, "outside")), before);
});

test("a link is removed as a link, not what it leads to", () => {
  rmSync(join(base, "root"), { recursive: true });
  mkdirSync(join(base, "root/tree"), { recursive: true });
  symlinkSync(join(base, "outside"), join(base, "root/tree/link"));
  unpack([entryOf({ name: "tree" })]);
  assert.equal(readFileSync(join(base, "root/tree"), "utf8"), "evil");
  assert.equal(existsSync(join(base, "outside/secret")), true);
});

test("sparse data is written where it belongs, holes between", () => {
  const view = RootView.open({ root: join(base, "root"), readOnly: false, mounts: [] });
  const folder = view.resolveFolder("");
  const unpacker = new TarUnpacker({ view, folder, linux, noOverwriteDirNonDir: true, owner: undefined });
  unpacker.begin(
    entryOf({ name: "sparse", sizeBytes: 50_000_000, sparse: [{ offset: 10_000_000, length: 4 }] }),
  );
  unpacker.data(Buffer.from("data"), 10_000_000);
  unpacker.end();
  unpacker.finish();
  closeSync(folder.fd);
  view.close();
  const stats = lstatSync(join(base, "root/sparse"));
  assert.equal(stats.size, 50_000_000);
  assert.ok(stats.blocks < 100);
});
