import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseDaemonOptions } from "./daemon-options.js";
import { SKEIN_VERSION } from "./machine-facts.js";
import { V8_FLAGS } from "./v8-flags.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = HERE.includes("/dist/") ? resolve(HERE, "../..") : resolve(HERE, "..");

test("parseDaemonOptions, defaults", () => {
  const options = parseDaemonOptions([]);
  assert.ok(typeof options === "object");
  assert.equal(options.dataDir, "/var/lib/skein");
  assert.equal(options.socketPath, "/run/skein/skein.sock");
  assert.equal(options.cgroupParent, "skein");
});

test("parseDaemonOptions, the socket follows the run directory", () => {
  const options = parseDaemonOptions([
    "--run-dir",
    "/r",
    "--label",
    "a=b",
    "--label",
    "c=d",
    "--cgroup-parent",
    "/x/",
  ]);
  assert.ok(typeof options === "object");
  assert.equal(options.socketPath, "/r/skein.sock");
  assert.deepEqual(options.labels, ["a=b", "c=d"]);
  assert.equal(options.cgroupParent, "x");
});

test("parseDaemonOptions refuses unknown flags and levels by name", () => {
  assert.throws(() => parseDaemonOptions(["--nonsense"]), /--nonsense.*see skeind --help/);
  assert.throws(
    () => parseDaemonOptions(["--log-level", "loud"]),
    /--log-level must be debug, info, warn or error, got "loud"/,
  );
  assert.equal(parseDaemonOptions(["-h"]), "help");
});

test("the version is that of package.json, and the wrapper uses the same flags", () => {
  const json = JSON.parse(readFileSync(resolve(ROOT, "package.json"), "utf8")) as { version: string };
  assert.equal(SKEIN_VERSION, json.version);
  const wrapper = readFileSync(resolve(ROOT, "scripts/skeind"), "utf8");
  for (const flag of V8_FLAGS) assert.ok(wrapper.includes(flag), flag);
});
