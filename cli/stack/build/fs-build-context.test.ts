import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { extract } from "tar-stream";
import { type ContextSource, packContext } from "./fs-build-context.js";

function folder(t: { after(done: () => void): void }, files: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(tmpdir(), "skein-context-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return path;
}

/** Names with their texts, links with their targets, folders with "/". */
async function packed(source: ContextSource): Promise<{ name: string; entries: Record<string, string> }> {
  const { stream, dockerfile } = await packContext(source);
  const entries: Record<string, string> = {};
  const reader = extract();
  stream.pipe(reader);
  for await (const entry of reader) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(Buffer.from(chunk as Uint8Array));
    const { name, type, linkname } = entry.header;
    entries[name] =
      type === "symlink" ? `-> ${linkname}` : type === "directory" ? "/" : String(Buffer.concat(chunks));
  }
  return { name: dockerfile, entries };
}

test("a context has its files, folders and links, in an order of its own", async (t) => {
  const path = folder(t, { Dockerfile: "FROM a", "src/b.js": "b", "src/a.js": "", "empty/x": "x" });
  symlinkSync("src/a.js", join(path, "link"));
  const { name, entries } = await packed({ folder: path });
  assert.equal(name, "Dockerfile");
  assert.deepEqual(Object.entries(entries), [
    ["Dockerfile", "FROM a"],
    ["empty", "/"],
    ["empty/x", "x"],
    ["link", "-> src/a.js"],
    ["src", "/"],
    ["src/a.js", ""],
    ["src/b.js", "b"],
  ]);
});

test("what .dockerignore names stays at home, save the Dockerfile, the ignore file and its exceptions", async (t) => {
  const path = folder(t, {
    ".dockerignore": "*\n!keep/this\n",
    Dockerfile: "FROM a",
    "keep/this": "1",
    "keep/that": "2",
    "node_modules/x/index.js": "3",
  });
  const { entries } = await packed({ folder: path });
  assert.deepEqual(Object.keys(entries), [".dockerignore", "Dockerfile", "keep/this"]);
});

test("an ignore file beside a Dockerfile goes before the folder's", async (t) => {
  const path = folder(t, {
    ".dockerignore": "a",
    "build/web.Dockerfile": "FROM a",
    "build/web.Dockerfile.dockerignore": "b",
    a: "",
    b: "",
  });
  const { name, entries } = await packed({ folder: path, dockerfile: "build/web.Dockerfile" });
  assert.equal(name, "build/web.Dockerfile");
  assert.ok("a" in entries && !("b" in entries));
});

test("a Dockerfile in the compose file, or outside of the folder, comes along under another name", async (t) => {
  const path = folder(t, { "context/file": "x", "other/Dockerfile": "FROM outside" });
  const context = join(path, "context");
  const inline = await packed({ folder: context, dockerfileInline: "FROM inline" });
  assert.deepEqual([inline.name, inline.entries[inline.name]], [".skein.dockerfile", "FROM inline"]);
  const outside = await packed({ folder: context, dockerfile: "../other/Dockerfile" });
  assert.deepEqual(outside.entries, { ".skein.dockerfile": "FROM outside", file: "x" });
});

test("a context or Dockerfile that is not there is refused with its path", async (t) => {
  const path = folder(t, { file: "" });
  await assert.rejects(packContext({ folder: join(path, "none") }), /cannot read the build context .*none/);
  await assert.rejects(packContext({ folder: path }), /cannot read the Dockerfile .*Dockerfile/);
  await assert.rejects(packContext({ folder: join(path, "file") }), /is not a folder/);
});
