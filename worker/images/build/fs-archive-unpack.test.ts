import assert from "node:assert/strict";
import {
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
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { type Header, pack } from "tar-stream";
import { CancelledError, InvalidArgumentError, ResourceExhaustedError } from "../../../base/errors/errors.js";
import { holds } from "../../../test/fuzz/holds.js";
import { isArchive, type UnpackOptions, unpackArchive } from "./fs-archive-unpack.js";
import { stageContext } from "./fs-build-context.js";
import { RootedTree } from "./fs-rooted-tree.js";

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A root, and beside it what must stay as it is. */
function scene(): { dir: string; root: string; outside: () => string } {
  const dir = mkdtempSync(join(tmpdir(), "skein-build-"));
  folders.push(dir);
  const root = join(dir, "root");
  mkdirSync(root);
  mkdirSync(join(dir, "outside"));
  writeFileSync(join(dir, "outside", "secret"), "secret");
  const outside = (): string =>
    [
      readdirSync(dir).sort(),
      readdirSync(join(dir, "outside")),
      readFileSync(join(dir, "outside/secret"), "utf8"),
    ]
      .flat()
      .join();
  return { dir, root, outside };
}

type Entry = Partial<Header> & { name: string; content?: string };

async function tarOf(entries: readonly Entry[]): Promise<Buffer> {
  const tar = pack();
  for (const { content = "", ...header } of entries) {
    const isFile = (header.type ?? "file") === "file";
    if (isFile) tar.entry(header, content);
    else tar.entry(header).end(undefined);
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer); // tar-stream yields Buffers
  return Buffer.concat(chunks);
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700);
}

const unpack = async (
  root: string,
  entries: readonly Entry[],
  more: Partial<UnpackOptions> = {},
): Promise<number> =>
  unpackArchive(chunksOf(await tarOf(entries)), {
    tree: new RootedTree(root),
    path: "",
    owner: { uid: 0, gid: 0 },
    devices: undefined,
    bytesMax: 1 << 20,
    entriesMax: 1_000,
    signal: undefined,
    ...more,
  });

test("files, folders, links and modes arrive; later entries win", async () => {
  const { root } = scene();
  await unpack(root, [
    { name: "./d/", type: "directory", mode: 0o750 },
    { name: "d/f", mode: 0o4711, content: "old" },
    { name: "/abs/f", content: "below the root" },
    { name: "d/l", type: "symlink", linkname: "/abs" },
    { name: "d/h", type: "link", linkname: "abs/f" },
    { name: "d/f", mode: 0o600, content: "new" },
    { name: "d/l/through", content: "x" },
  ]);
  assert.equal(readFileSync(join(root, "d/f"), "utf8"), "new");
  assert.equal(lstatSync(join(root, "d")).mode & 0o7777, 0o750);
  assert.equal(readlinkSync(join(root, "d/l")), "/abs");
  assert.equal(readFileSync(join(root, "abs/through"), "utf8"), "x", "an absolute link means the root");
  assert.equal(lstatSync(join(root, "d/h")).ino, lstatSync(join(root, "abs/f")).ino);
});

test("what would leave the root is refused, or stays inside", async () => {
  const cases: readonly (readonly Entry[])[] = [
    [{ name: "../outside/secret", content: "x" }],
    [{ name: "a/../../outside/secret", content: "x" }],
    [{ name: "h", type: "link", linkname: "../outside/secret" }],
    [
      { name: "l", type: "symlink", linkname: "../outside" },
      { name: "l/secret", content: "x" },
    ],
    [
      { name: "l", type: "symlink", linkname: "../outside/secret" },
      { name: "h", type: "link", linkname: "l" },
      { name: "h", content: "x" },
    ],
    [
      { name: "l", type: "symlink", linkname: "../outside/secret" },
      { name: "l", content: "x" },
    ],
    [{ name: "dev", type: "block-device", devmajor: 8, devminor: 0 }],
    [{ name: "loop/x", type: "symlink", linkname: "loop" }],
  ];
  for (const entries of cases) {
    const { root, outside } = scene();
    const before = outside();
    try {
      await unpack(root, entries);
    } catch (error) {
      assert.ok(error instanceof InvalidArgumentError, String(error));
    }
    assert.equal(outside(), before, JSON.stringify(entries));
  }
});

test("a folder that was replaced by a link keeps the link's target as it is (seed 402529948)", async () => {
  const { root } = scene();
  mkdirSync(join(root, "../outside/b"), { mode: 0o700 });
  await unpack(root, [
    { name: "a/b", type: "directory", mode: 0o777 },
    { name: "a", type: "symlink", linkname: "../outside" },
  ]);
  assert.equal(lstatSync(join(root, "../outside/b")).mode & 0o7777, 0o700);
  await unpack(root, [
    { name: "c/d", type: "directory" },
    { name: "c", content: "x" },
  ]);
});

test("links that lead in circles end", async () => {
  const { root } = scene();
  symlinkSync("b", join(root, "a"));
  symlinkSync("a", join(root, "b"));
  await assert.rejects(unpack(root, [{ name: "a/x", content: "x" }]), /too many symbolic links/);
});

test("bounds hold, damage is told, cancelling ends it", async () => {
  const { root } = scene();
  const many = Array.from({ length: 20 }, (_, at) => ({ name: `f${at}`, content: "x".repeat(100) }));
  await assert.rejects(unpack(root, many, { entriesMax: 10 }), ResourceExhaustedError);
  await assert.rejects(unpack(root, many, { bytesMax: 1_000 }), ResourceExhaustedError);
  await assert.rejects(unpack(root, many, { signal: AbortSignal.abort() }), CancelledError);
  const options = { tree: new RootedTree(root), path: "", owner: undefined, devices: undefined };
  const limits = { bytesMax: 1_000, entriesMax: 10, signal: undefined };
  await assert.rejects(
    unpackArchive(chunksOf(Buffer.alloc(2_000, "no tar")), { ...options, ...limits }),
    /Error processing tar file/,
  );
});

test("an archive may end without padding and trailer, but not within a file", async () => {
  const whole = await tarOf([{ name: "a", content: "x".repeat(700) }]);
  const options = { path: "", owner: undefined, devices: undefined, bytesMax: 1_000, entriesMax: 10 };
  const cut = async (length: number): Promise<string> => {
    const { root } = scene();
    const tree = new RootedTree(root);
    await unpackArchive(chunksOf(whole.subarray(0, length)), { ...options, tree, signal: undefined });
    return readFileSync(join(root, "a"), "utf8");
  };
  assert.equal(await cut(512 + 700), "x".repeat(700));
  for (const length of [512 + 699, 512 + 512, 600, 100])
    await assert.rejects(cut(length), /Error processing tar file/, String(length));
});

test("fuzz: random archives write below the root alone", async () => {
  const name = fc
    .array(fc.constantFrom("a", "b", "..", ".", "l", ""), { maxLength: 4 })
    .map((parts) => parts.join("/"));
  const entry = fc.record({
    name: name.map((text) => text || "x"),
    type: fc.constantFrom("file", "directory", "symlink", "link", "fifo") as fc.Arbitrary<
      NonNullable<Header["type"]>
    >,
    linkname: fc.oneof(name, fc.constantFrom("../outside", "/../outside", "../outside/secret", "l", "/a")),
    content: fc.constantFrom("", "data"),
  });
  await holds(
    fc.asyncProperty(fc.array(entry, { maxLength: 12 }), async (entries) => {
      const { dir, root, outside } = scene();
      const before = outside();
      try {
        await unpack(
          root,
          entries.map(({ linkname, ...rest }) => ({ ...rest, linkname: linkname || "x" })),
        );
      } catch (error) {
        assert.ok(error instanceof InvalidArgumentError, String(error));
      }
      assert.equal(outside(), before);
      folders.pop();
      rmSync(dir, { recursive: true }); // cases are many
    }),
    { numRuns: 200 },
  );
});

test("archives are told by their first bytes", async () => {
  assert.ok(isArchive(await tarOf([{ name: "a", content: "x" }])));
  assert.ok(isArchive(Buffer.from([0x1f, 0x8b, 8, 0])));
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(512), Buffer.alloc(600, "text")])
    assert.ok(!isArchive(bytes));
});

test("a context is staged without what .dockerignore names; NAME.dockerignore comes before", async () => {
  const files = {
    Dockerfile: "FROM a",
    "other/my": "FROM b",
    "other/my.dockerignore": "x\n",
    ".dockerignore": "*\n!keep/this\n",
    x: "x",
    "keep/this": "1",
    "keep/that": "2",
  };
  const entries = Object.entries(files).map(([name, content]) => ({ name, content }));
  const stage = async (dockerfile: string): Promise<string> => {
    const { root } = scene();
    const limits = { bytesMax: 1 << 20, entriesMax: 100 };
    const options = { folder: root, dockerfile, limits, signal: undefined };
    const context = await stageContext(chunksOf(await tarOf(entries)), options);
    return `${context.dockerfile}: ${(readdirSync(root, { recursive: true }) as string[]).sort().join(" ")}`;
  };
  assert.equal(await stage(""), "FROM a: keep keep/this");
  assert.equal(
    await stage("other/my"),
    "FROM b: .dockerignore Dockerfile keep keep/that keep/this other other/my other/my.dockerignore",
  );
  await assert.rejects(stage("nothing"), /Cannot locate specified Dockerfile: nothing/);
  await assert.rejects(stage("../Dockerfile"), /must be within the build context/);
});
