import assert from "node:assert/strict";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { NewFile } from "./new-file.js";

let root: string;
let folder: string;
let path: string;
let count = 0;

before(async () => {
  root = await mkdtemp(join(tmpdir(), "skein-new-file-"));
});

beforeEach(async () => {
  folder = join(root, String(count++));
  await mkdir(folder);
  path = join(folder, "file");
});

after(() => rm(root, { recursive: true }));

test("a new file appears whole, for its owner only, when it is committed", async () => {
  const file = await NewFile.open(path, { replace: false });
  await file.write(Buffer.from("one "));
  await file.write(Buffer.from("two"));
  await assert.rejects(lstat(path), { code: "ENOENT" });
  await file.commit();
  await file.abort();
  assert.equal(await readFile(path, "utf8"), "one two");
  assert.equal((await lstat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(folder), ["file"]);
});

test("what is given up leaves nothing", async () => {
  const file = await NewFile.open(path, { replace: false });
  await file.write(Buffer.from("half"));
  await file.abort();
  assert.deepEqual(await readdir(folder), []);
});

test("what is there stays, also when it came meanwhile; with replace it goes at the end", async () => {
  const late = await NewFile.open(path, { replace: false });
  await writeFile(path, "old");
  await assert.rejects(NewFile.open(path, { replace: false }), { code: "already-exists" });
  await assert.rejects(late.commit(), { code: "already-exists" });
  await late.abort();
  assert.equal(await readFile(path, "utf8"), "old");
  const file = await NewFile.open(path, { replace: true });
  await file.write(Buffer.from("new"));
  assert.equal(await readFile(path, "utf8"), "old");
  await file.commit();
  assert.equal(await readFile(path, "utf8"), "new");
  assert.deepEqual(await readdir(folder), ["file"]);
});

test("links and folders are never replaced, and a folder that is missing is named", async () => {
  await symlink("/dev/null", path);
  await assert.rejects(NewFile.open(path, { replace: true }), /is no regular file: it is left as it is/);
  await assert.rejects(NewFile.open(folder, { replace: true }), /is no regular file/);
  await assert.rejects(
    NewFile.open(join(folder, "none", "x"), { replace: false }),
    /cannot write .*none\/x: ENOENT/,
  );
});
