import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type DaemonOptions, parseDaemonOptions } from "./daemon-options.js";
import { LiveSettings } from "./live-settings.js";
import { SKEIN_VERSION } from "./machine-facts.js";
import { V8_FLAGS } from "./v8-flags.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = HERE.includes("/dist/") ? resolve(HERE, "../..") : resolve(HERE, "..");

function parse(args: readonly string[], file?: string): DaemonOptions | string {
  return parseDaemonOptions(args, { hostname: "here", readFile: () => file, environment: {} });
}

function options(args: readonly string[], file?: string): DaemonOptions {
  const parsed = parse(args, file);
  assert.ok(typeof parsed === "object");
  return parsed;
}

test("parseDaemonOptions, defaults", () => {
  const { dataDir, socketPath, cgroupParent, listeners, tls, settings, warnings } = options([]);
  assert.equal(dataDir, "/var/lib/skein");
  assert.equal(socketPath, "/run/skein/skein.sock");
  assert.equal(cgroupParent, "skein");
  assert.deepEqual(listeners, [{ kind: "unix", path: "/run/skein/skein.sock" }]);
  assert.equal(tls, undefined);
  assert.equal(settings.container.logDriver, "json-file");
  assert.deepEqual(warnings, []);
});

test("the socket follows the run directory, under its old name and dockerd's", () => {
  for (const name of ["--run-dir", "--exec-root"]) {
    const { socketPath, settings, cgroupParent } = options([
      name,
      "/r",
      "--label",
      "a=b",
      "--label=c=d",
      "--cgroup-parent",
      "/x/",
    ]);
    assert.equal(socketPath, "/r/skein.sock");
    assert.deepEqual(settings.labels, ["a=b", "c=d"]);
    assert.equal(cgroupParent, "x");
  }
});

test("listeners: sockets and TCP, with TLS and its default port", () => {
  const secure = ["--tlsverify", "--tlscacert", "/ca", "--tlscert", "/c", "--tlskey", "/k"];
  const { listeners, tls, warnings } = options(["-H", "unix:///a", "-H", "tcp://[::1]", ...secure]);
  assert.deepEqual(listeners, [
    { kind: "unix", path: "/a" },
    { kind: "tcp", address: "::1", port: 2376 },
  ]);
  assert.deepEqual(tls, { clientCa: "/ca", certificate: "/c", key: "/k" });
  assert.deepEqual(warnings, []);
  const open = ["-H", "tcp://0.0.0.0:2375"];
  assert.match(options([...open, "--tls=false"]).warnings.join(), /without client certificates/);
  assert.throws(() => options(open), /0\.0\.0\.0:2375 without TLS gives root on this host/);
  assert.throws(
    () => options([...open, "--tlscert", "/c", "--tlskey", "/k", "--tlscacert", "/ca"]),
    /without TLS/,
  );
  for (const near of ["tcp://127.0.0.1:2375", "tcp://[::1]:2375", "tcp://localhost:2375"])
    assert.match(options(["-H", near]).warnings.join(), /without client certificates/);
  for (const host of ["fd://", "tcp://name:1", "unix://relative", "tcp://1.2.3.4:99999", "npipe://x"])
    assert.throws(() => parse(["-H", host]), /--host/, host);
  assert.throws(() => parse(["--tlsverify"]), /--tlscert and --tlskey/);
});

test("daemon.json has dockerd's keys", () => {
  const file = JSON.stringify({
    "data-root": "/d",
    hosts: ["unix:///s"],
    labels: ["k=v"],
    "log-opts": { "max-size": "1m" },
    "default-address-pools": [{ base: "10.5.0.0/16", size: 24 }],
    "default-ulimits": { nofile: { Name: "nofile", Soft: 10, Hard: 20 } },
    "insecure-registries": ["r:5000"],
    "live-restore": true,
    debug: true,
  });
  const { dataDir, socketPath, settings, warnings, logLevel } = options(["--dns", "1.1.1.1"], file);
  assert.equal(dataDir, "/d");
  assert.equal(socketPath, "/s");
  assert.equal(logLevel, "debug");
  assert.deepEqual(settings.labels, ["k=v"]);
  assert.deepEqual(settings.container.logOptions, { "max-size": "1m" });
  assert.deepEqual(settings.container.ulimits, [{ name: "nofile", soft: 10, hard: 20 }]);
  assert.deepEqual(settings.container.dns, ["1.1.1.1"]);
  assert.deepEqual(settings.network.addressPools, [{ base: "10.5.0.0/16", size: 24 }]);
  assert.deepEqual(settings.insecureRegistries, ["r:5000"]);
  assert.deepEqual(warnings, [
    "configuration key live-restore has no effect: containers always go on when the daemon stops",
  ]);
});

test("what is wrong is refused by name", () => {
  assert.throws(() => parse(["--nonsense"]), /--nonsense.*see skeind --help/);
  assert.throws(() => parse(["--log-level", "loud"]), /--log-level must be one of .*got "loud"/);
  assert.throws(() => parse(["--userns-remap", "default"]), /--userns-remap is not supported/);
  assert.throws(() => parse(["--config-file"]), /--config-file needs a value/);
  assert.throws(() => parse([], "{"), /no JSON/);
  assert.throws(() => parse([], '{"nonsense": 1}'), /don't match any configuration option: nonsense/);
  assert.throws(() => parse([], '{"debug": "yes"}'), /debug must be true or false/);
  assert.throws(
    () => parse(["--label", "a=b"], '{"labels": ["c=d"]}'),
    /both as a flag and in the configuration/,
  );
  assert.throws(() => parse(["--bip=x", "extra"]), /unexpected argument "extra"/);
  assert.equal(parse(["--selinux-enabled=false", "--validate"]), "valid");
  assert.equal(parse(["-h"]), "help");
});

test("flags of dockerd that do not apply are named in a warning", () => {
  assert.deepEqual(options(["--live-restore=true", "--storage-driver", "overlay2"]).warnings, [
    "--live-restore has no effect: containers always go on when the daemon stops",
    "--storage-driver has no effect: layers are on overlayfs",
  ]);
});

test("a reload takes what may change, and nothing of a wrong file", () => {
  const first = '{"labels": ["a=b"], "bip": "10.9.0.1/24"}';
  let file = first;
  const sources = { hostname: "here", readFile: () => file, environment: {} };
  const settings = new LiveSettings(options([], first), [], sources);
  const seen: (readonly string[])[] = [];
  settings.onChange(({ labels }) => seen.push(labels));
  file = '{"labels": ["c=d"], "bip": "10.10.0.1/24"}';
  settings.reload();
  assert.deepEqual(settings.current.labels, ["c=d"]);
  assert.equal(settings.current.network.bridgeAddress, "10.9.0.1/24");
  file = "{";
  assert.throws(() => settings.reload(), /no JSON/);
  assert.deepEqual(settings.current.labels, ["c=d"]);
  assert.deepEqual(seen, [["c=d"]]);
});

test("the version is that of package.json, and the wrapper uses the same flags", () => {
  const json = JSON.parse(readFileSync(resolve(ROOT, "package.json"), "utf8")) as { version: string };
  assert.equal(SKEIN_VERSION, json.version);
  const wrapper = readFileSync(resolve(ROOT, "scripts/skeind"), "utf8");
  for (const flag of V8_FLAGS) assert.ok(wrapper.includes(flag), flag);
});

test("no bound on transfers is one that nothing reaches, not one that nothing passes", () => {
  const { settings } = options(["--max-concurrent-downloads", "0", "--max-concurrent-uploads", "7"]);
  assert.ok(settings.maxConcurrentDownloads > 1_000);
  assert.equal(settings.maxConcurrentUploads, 7);
});
