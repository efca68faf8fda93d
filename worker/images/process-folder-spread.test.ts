import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MemoryLogger } from "../../base/log/logger.js";
import { spreadFolders } from "./process-folder-spread.js";

test("a folder that cannot be marked is no failure", async () => {
  const log = new MemoryLogger();
  await spreadFolders("/proc/self", log);
  await spreadFolders("/nowhere", log);
  assert.equal(log.lines.filter(({ level }) => level === "debug").length, 2);
});

test("a marked folder stays usable", async () => {
  const dir = await mkdtemp(join(tmpdir(), "spread-"));
  await spreadFolders(dir, new MemoryLogger());
  assert.deepEqual(await readdir(dir), []);
  await rm(dir, { recursive: true });
});
