/** /dev/null of the machine, for one that containers were given. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keepNullDevice } from "./linux-null-device.js";

test("a null device that a container's user was given is root's and everybody's again", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sk-null-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "null");
  execFileSync("mknod", [path, "c", "1", "3"]);
  chownSync(path, 100, 101);
  chmodSync(path, 0);
  await keepNullDevice(path);
  const { uid, gid, mode } = statSync(path);
  assert.deepEqual([uid, gid, mode & 0o777], [0, 0, 0o666]);
});

test("a file in its place is left alone", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sk-null-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "null");
  writeFileSync(path, "");
  chownSync(path, 100, 101);
  await keepNullDevice(path);
  assert.equal(statSync(path).uid, 100);
});
