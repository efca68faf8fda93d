import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { silentLogger } from "../../base/log/logger.js";
import { KEPT_BYTES_MAX, KEPT_MS, KEPT_TASKS_MAX, RemovedLogs } from "./fs-removed-logs.js";

const OPTIONS = { follow: false, tail: -1, sinceMs: 0, stdout: true, stderr: true };
const task = (id: string) => ({ id, serviceId: "s1", name: `web.1.${id}` });

async function setUp(t: { after(work: () => void): void }) {
  const dir = mkdtempSync(join(tmpdir(), "skein-removed-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const clock = new ManualClock();
  const open = () => RemovedLogs.open({ dir: join(dir, "kept"), clock, log: silentLogger });
  const path = join(dir, "log");
  writeFileSync(path, "2026-01-01T00:00:01Z stdout F second\n");
  writeFileSync(`${path}.1`, "2026-01-01T00:00:00Z stdout F first\n");
  const read = async (logs: RemovedLogs, id: string): Promise<string> => {
    let text = "";
    for await (const { data } of logs.read(id, OPTIONS)) text += Buffer.from(data).toString();
    return text;
  };
  return { dir, clock, open, path, read };
}

const ids = (logs: RemovedLogs): string[] => logs.list().map(({ id }) => id);

test("a log is read after its files are gone, and after a restart, until its time is over", async (t) => {
  const { dir, clock, open, path, read } = await setUp(t);
  const logs = await open();
  await logs.keep(task("t1"), path);
  rmSync(path);
  rmSync(`${path}.1`);
  assert.equal(await read(logs, "t1"), "first\nsecond\n");
  logs.close();
  writeFileSync(join(dir, "kept", "junk"), "");
  const again = await open();
  assert.deepEqual([again.list(), await read(again, "t1")], [[task("t1")], "first\nsecond\n"]);
  assert.ok(!existsSync(join(dir, "kept", "junk")));
  clock.advance(KEPT_MS);
  assert.deepEqual(ids(again), []);
  assert.equal(clock.pendingCount, 0);
  while (existsSync(join(dir, "kept", "t1"))) await new Promise((wake) => setImmediate(wake));
});

test("the oldest go beyond the bounds of bytes and tasks", async (t) => {
  const { open, path } = await setUp(t);
  const logs = await open();
  truncateSync(path, KEPT_BYTES_MAX / 2);
  for (const id of ["a", "b", "c"]) await logs.keep(task(id), path);
  assert.deepEqual(ids(logs), ["c"]); // each is a little more than half of what is kept
  truncateSync(path, 10);
  for (let count = 0; count < KEPT_TASKS_MAX; count++) await logs.keep(task(`t${count}`), path);
  assert.equal(ids(logs).length, KEPT_TASKS_MAX);
  assert.equal(ids(logs)[0], "t0");
  logs.close();
});

test("a log that cannot be kept holds nothing up", async (t) => {
  const { dir, open, path } = await setUp(t);
  const logs = await open();
  rmSync(join(dir, "kept"), { recursive: true });
  writeFileSync(join(dir, "kept"), "in the way");
  await logs.keep(task("t1"), path);
  assert.deepEqual(ids(logs), []);
});
