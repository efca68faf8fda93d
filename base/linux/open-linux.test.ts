import assert from "node:assert/strict";
import { test } from "node:test";
import { FailedPreconditionError, InvalidArgumentError, NotImplementedError } from "../errors/errors.js";
import { MemoryLogger } from "../log/logger.js";
import { openSpawnLinux } from "./linux-spawn.js";
import { openLinux } from "./open-linux.js";

const broken = async (): Promise<never> => {
  throw new Error("no such module");
};

test("system calls are used where they can be had, without a word", async () => {
  const log = new MemoryLogger();
  const koffi = openSpawnLinux();
  assert.equal(await openLinux({ log, choice: "", openKoffi: async () => koffi }), koffi);
  assert.equal(await openLinux({ log, choice: "koffi", openKoffi: async () => koffi }), koffi);
  assert.deepEqual(log.lines, []);
});

test("where they cannot, commands take their place with a warning that says why", async () => {
  const log = new MemoryLogger();
  const linux = await openLinux({ log, choice: "", openKoffi: broken });
  assert.throws(() => linux.netlink(undefined), NotImplementedError);
  assert.deepEqual(
    log.lines.map(({ level, fields }) => [level, fields]),
    [["warn", { error: "no such module" }]],
  );
});

test("a choice is obeyed or refused, never replaced", async () => {
  const log = new MemoryLogger();
  const linux = await openLinux({ log, choice: "spawn", openKoffi: broken });
  assert.throws(() => linux.netlink(undefined), NotImplementedError);
  assert.equal(log.lines[0]?.level, "warn");
  await assert.rejects(openLinux({ log, choice: "koffi", openKoffi: broken }), FailedPreconditionError);
  await assert.rejects(openLinux({ log, choice: "ffi", openKoffi: broken }), InvalidArgumentError);
});
