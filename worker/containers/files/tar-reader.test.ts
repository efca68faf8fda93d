/**
 * The tar reader against our own writer, the formats of GNU tar, and bytes nobody meant.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { holds } from "../../../test/fuzz/holds.js";
import { TAR_END_BYTES, type TarEntry, tarHeader, tarPadding } from "./tar-entry.js";
import { TarReader } from "./tar-reader.js";

interface Read {
  readonly entry: TarEntry;
  readonly pieces: { offset: number; bytes: Buffer }[];
}

function readAll(tar: Uint8Array, chunkBytes: number): Read[] {
  const read: Read[] = [];
  let open = false;
  const reader = new TarReader({
    begin(entry) {
      assert.equal(open, false);
      open = true;
      read.push({ entry, pieces: [] });
    },
    data(chunk, offset) {
      assert.equal(open, true);
      read.at(-1)?.pieces.push({ offset, bytes: Buffer.from(chunk) });
    },
    end() {
      assert.equal(open, true);
      open = false;
    },
  });
  for (let at = 0; at < tar.length; at += chunkBytes) reader.feed(tar.subarray(at, at + chunkBytes));
  reader.finish();
  return read;
}

function contentOf({ entry, pieces }: Read): Buffer {
  const content = Buffer.alloc(entry.sizeBytes);
  for (const { offset, bytes } of pieces) bytes.copy(content, offset);
  return content;
}

const byteName = fc
  .uint8Array({ minLength: 1, maxLength: 300 })
  .map((bytes) => Buffer.from(bytes).toString("latin1").replaceAll("\0", "n").replace(/\/+$/, "x"));

const arbitraryEntry: fc.Arbitrary<{ entry: TarEntry; content: Buffer }> = fc
  .record({
    name: byteName,
    kind: fc.constantFrom<TarEntry["kind"]>("file", "symlink", "link", "folder", "fifo", "char", "block"),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    gid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    mtimeSeconds: fc.integer({ min: -(2 ** 33), max: 2 ** 34 }),
    linkName: byteName,
    major: fc.integer({ min: 0, max: 4095 }),
    minor: fc.integer({ min: 0, max: 2 ** 20 - 1 }),
    content: fc.uint8Array({ maxLength: 2000 }),
    xattr: fc.option(fc.uint8Array({ minLength: 1, maxLength: 50 })),
  })
  .map(({ content, xattr, ...rest }) => {
    const bytes = Buffer.from(rest.kind === "file" ? content : []);
    const isLink = rest.kind === "symlink" || rest.kind === "link";
    const isDevice = rest.kind === "char" || rest.kind === "block";
    const entry: TarEntry = {
      ...rest,
      linkName: isLink ? rest.linkName : "",
      major: isDevice ? rest.major : 0,
      minor: isDevice ? rest.minor : 0,
      sizeBytes: bytes.length,
      xattrs: xattr === null ? [] : [{ name: "user.x", value: Buffer.from(xattr) }],
    };
    return { entry, content: bytes };
  });

test("fuzz: what the writer wrote the reader reads, however it is cut in chunks", () => {
  holds(
    fc.property(
      fc.array(arbitraryEntry, { maxLength: 6 }),
      fc.integer({ min: 1, max: 3000 }),
      (given, cut) => {
        const parts = given.flatMap(({ entry, content }) => [
          tarHeader(entry),
          content,
          Buffer.alloc(tarPadding(content.length)),
        ]);
        const read = readAll(Buffer.concat([...parts, Buffer.alloc(TAR_END_BYTES)]), cut);
        assert.deepEqual(
          read.map(({ entry }) => entry),
          given.map(({ entry }) => entry),
        );
        for (const [index, one] of read.entries()) assert.deepEqual(contentOf(one), given[index]?.content);
      },
    ),
    { numRuns: 200 },
  );
});

test("fuzz: bytes nobody meant are refused by name, never more", () => {
  const valid = tarHeader({
    name: "f",
    kind: "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeSeconds: 0,
    sizeBytes: 3,
    linkName: "",
    major: 0,
    minor: 0,
    xattrs: [{ name: "user.a", value: Buffer.from("b") }],
  });
  const flips = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 8 });
  holds(
    fc.property(flips, fc.uint8Array({ maxLength: 3000 }), fc.boolean(), (changes, tail, fix) => {
      const bytes = Buffer.concat([valid, tail]);
      for (const [at, value] of changes) bytes[at] = value;
      if (fix) for (const start of [0, 1024]) resum(bytes, start);
      try {
        readAll(bytes, 700);
      } catch (error) {
        assert.ok(error instanceof InvalidArgumentError, String(error));
      }
    }),
    { numRuns: 1_500 },
  );
});

/** Gives a changed header the sum that lets it through to the fields behind it. */
function resum(bytes: Buffer, start: number): void {
  if (bytes.length < start + 512) return;
  bytes.fill(0x20, start + 148, start + 156);
  let sum = 0;
  for (const byte of bytes.subarray(start, start + 512)) sum += byte;
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, start + 148, "latin1");
}

for (const format of [
  "--format=gnu",
  "--format=pax --sparse-version=0.0",
  "--format=pax --sparse-version=0.1",
  "--format=pax --sparse-version=1.0",
]) {
  test(`sparse files of GNU tar are read: ${format}`, () => {
    const dir = mkdtempSync("/tmp/skc-sparse-");
    try {
      const path = join(dir, "s");
      writeFileSync(path, "begin");
      truncateSync(path, 3_000_000);
      for (let at = 100_000; at < 2_900_000; at += 100_000) {
        const data = Buffer.alloc(4096, at / 100_000);
        execFileSync("dd", [`of=${path}`, "bs=1", `seek=${at}`, "conv=notrunc"], {
          input: data,
          stdio: "pipe",
        });
      }
      const tar = execFileSync("tar", ["-C", dir, "-cS", ...format.split(" "), "s"], { maxBuffer: 1 << 26 });
      assert.ok(tar.length < 1_000_000, "it is sparse in the tar");
      const [one] = readAll(tar, 1000);
      assert.ok(one !== undefined);
      assert.equal(one.entry.name, "s");
      assert.ok(one.entry.sparse !== undefined);
      const expected = execFileSync("cat", [path], { maxBuffer: 1 << 26 });
      assert.ok(contentOf(one).equals(expected));
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
}

test("long names of GNU tar are read", () => {
  const dir = mkdtempSync("/tmp/skc-long-");
  try {
    const name = "n".repeat(200);
    writeFileSync(join(dir, name), "x");
    const tar = execFileSync("tar", ["-C", dir, "-c", "--format=gnu", name]);
    assert.equal(readAll(tar, 512)[0]?.entry.name, name);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("a tar that ends in the middle of a file is refused", () => {
  const header = tarHeader({
    name: "f",
    kind: "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeSeconds: 0,
    sizeBytes: 3000,
    linkName: "",
    major: 0,
    minor: 0,
    xattrs: [],
  });
  assert.throws(() => readAll(Buffer.concat([header, Buffer.alloc(1000)]), 512), {
    message: "unexpected EOF",
  });
});
