import assert from "node:assert/strict";
import { test } from "node:test";
import { apiSocketDir, withTaskListener } from "./task-api-socket.js";

test("tasks reach the API by a socket in a folder of its own, beside the ones that the options name", () => {
  const runDir = "/run/skein";
  const own = { kind: "unix", path: "/run/skein/api/skein.sock" } as const;
  const others = [
    { kind: "unix", path: "/run/skein.sock" },
    { kind: "tcp", address: "127.0.0.1", port: 2376 },
  ] as const;
  assert.equal(apiSocketDir(runDir), "/run/skein/api");
  assert.deepEqual(withTaskListener({ listeners: others, runDir }), [...others, own]);
  assert.deepEqual(withTaskListener({ listeners: [own], runDir }), [own], "once, when the options name it");
});

test("a folder whose socket's name would be too long for the kernel has none", () => {
  const listeners = [{ kind: "unix", path: "/run/skein.sock" }] as const;
  const longest = `/${"é".repeat(46)}`; // 93 bytes, and "/api/skein.sock" are 108 of at most 107
  assert.equal(apiSocketDir(longest), undefined);
  assert.deepEqual(withTaskListener({ listeners, runDir: longest }), listeners);
  assert.notEqual(apiSocketDir(longest.slice(0, -1)), undefined);
});
