/**
 * Volume plugins: a server of the protocol on a unix socket, also one that fails, lies, drips or says too
 * much.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import fc from "fast-check";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { SkeinError } from "../../base/errors/errors.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { holds } from "../../test/fuzz/holds.js";
import { pluginAnswer } from "../plugins/plugin-answer.js";
import { openVolumeStore } from "./fs-volume-store.js";
import { answeredPath, answeredScope, answeredVolume, implementsVolumes } from "./plugin-answers.js";
import type { VolumeEvent, VolumeStore } from "./volume-store.js";

let base = "";
let server: Server | undefined;
let calls: string[] = [];
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "skein-plug-"));
  calls = [];
  mkdirSync(join(base, "sockets"));
  mkdirSync(join(base, "specs"));
});
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
  server = undefined;
  rmSync(base, { recursive: true, force: true });
});

type Answers = Readonly<Record<string, object | string | ((response: ServerResponse) => void)>>;

const GOOD: Answers = {
  "Plugin.Activate": { Implements: ["VolumeDriver"] },
  "VolumeDriver.Capabilities": { Capabilities: { Scope: "global" } },
  "VolumeDriver.Create": { Err: "" },
  "VolumeDriver.Get": { Volume: { Name: "v1", Mountpoint: "" } },
  "VolumeDriver.Mount": { Mountpoint: "/mnt/v1" },
  "VolumeDriver.Unmount": {},
  "VolumeDriver.Remove": {},
};

async function serve(answers: Answers, socket = join(base, "sockets", "demo.sock")): Promise<void> {
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString("utf8");
    });
    request.on("end", () => {
      const method = (request.url ?? "").slice(1);
      calls.push(`${method} ${body}`);
      const answer = answers[method];
      if (typeof answer === "function") answer(response);
      else if (answer === undefined) response.writeHead(404).end("no such method");
      else response.end(typeof answer === "string" ? answer : JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server?.listen(socket, resolve));
}

const open = (timeoutMs = 5_000): Promise<VolumeStore> =>
  openVolumeStore({
    dir: join(base, "volumes"),
    clock: new ManualClock(),
    random: new SeededRandom("plugins"),
    plugins: { folders: { sockets: [join(base, "sockets")], specs: [join(base, "specs")] }, timeoutMs },
  });
const request = { name: "v1", driver: "demo", options: { size: "1" }, labels: {} };

test("a plugin's volume is made, mounted for each container, and removed, one word to the plugin each", async () => {
  await serve(GOOD);
  const store = await open();
  const events: string[] = [];
  store.onEvent((event: VolumeEvent) => events.push(`${event.kind} ${event.containerId ?? ""}`));
  assert.equal((await store.ensure(request)).driver, "demo");
  assert.equal((await store.ensure({ ...request, driver: "" })).driver, "demo");
  assert.equal(await store.mount("v1", "c1"), "/mnt/v1");
  assert.equal(store.find("v1")?.mountpoint, "/mnt/v1");
  assert.equal(await store.mount("v1", "c2"), "/mnt/v1");
  await assert.rejects(store.remove("v1"), /remove v1: volume is in use - \[c1, c2\]/);
  await store.unmount("v1", "c1");
  await store.unmount("v1", "c2");
  await store.unmount("v1", "c2");
  await (await open()).remove("v1"); // found again by its record
  assert.deepEqual(
    calls.filter((call) => !/Activate|Capabilities|Get/.test(call)),
    [
      'VolumeDriver.Create {"Name":"v1","Opts":{"size":"1"}}',
      'VolumeDriver.Mount {"Name":"v1","ID":"c1"}',
      'VolumeDriver.Mount {"Name":"v1","ID":"c2"}',
      'VolumeDriver.Unmount {"Name":"v1","ID":"c1"}',
      'VolumeDriver.Unmount {"Name":"v1","ID":"c2"}',
      'VolumeDriver.Remove {"Name":"v1"}',
    ],
  );
  assert.deepEqual(events, ["create ", "mount c1", "mount c2", "unmount c1", "unmount c2"]);
});

test("a name stands for one driver; an unknown driver is named", async () => {
  await serve(GOOD);
  const store = await open();
  await store.ensure({ ...request, driver: "local", options: {} });
  await assert.rejects(store.ensure(request), /already exists with the "local" driver/);
  await assert.rejects(
    store.ensure({ ...request, name: "v2", driver: "nope" }),
    /create v2: error looking up volume plugin nope: plugin "nope" not found/,
  );
  await assert.rejects(store.ensure({ ...request, name: "v2", driver: "../demo" }), /not found/);
});

test("addresses in files are followed, of unix sockets only", async () => {
  const socket = join(base, "elsewhere.sock");
  await serve(GOOD, socket);
  writeFileSync(join(base, "specs", "one.spec"), `unix://${socket}\n`);
  writeFileSync(join(base, "specs", "two.json"), JSON.stringify({ Name: "two", Addr: `unix://${socket}` }));
  writeFileSync(join(base, "specs", "three.spec"), "tcp://127.0.0.1:1");
  writeFileSync(join(base, "specs", "four.json"), "{");
  const store = await open();
  for (const driver of ["one", "two"]) await store.ensure({ ...request, name: `of-${driver}`, driver });
  for (const driver of ["three", "four"])
    await assert.rejects(store.ensure({ ...request, name: `of-${driver}`, driver }), /not found/);
});

test("a plugin that fails is quoted, and nothing is kept of the volume", async () => {
  await serve({ ...GOOD, "VolumeDriver.Create": { Err: "disk on fire" } });
  const store = await open();
  await assert.rejects(store.ensure(request), /create v1: VolumeDriver.Create: disk on fire/);
  assert.deepEqual(store.list(), []);
});

test("a plugin that is no volume driver, or gone, is refused; a forced removal does without it", async () => {
  await serve(GOOD);
  const store = await open();
  await store.ensure(request);
  server?.closeAllConnections();
  await new Promise<void>((resolve) => server?.close(() => resolve()));
  server = undefined;
  await assert.rejects(store.remove("v1"), /remove v1: VolumeDriver.Remove/);
  await store.remove("v1", { force: true });
  assert.deepEqual((await open()).list(), []);
  await serve({ "Plugin.Activate": { Implements: ["NetworkDriver"] } });
  await assert.rejects((await open()).ensure(request), /does not implement VolumeDriver/);
});

test("an answer that is late, too large, no JSON, or a path that is none, ends the call", async () => {
  const endless = (response: ServerResponse): void => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, 32)));
      if (!response.destroyed) response.once("drain", more);
    };
    more();
  };
  const wrong: readonly [Answers[string], RegExp, number][] = [
    [() => undefined, /did not answer in 100 ms/, 100],
    [endless, /larger than 1048576 bytes/, 5_000],
    ["{", /not JSON/, 5_000],
    [{ Mountpoint: "relative" }, /no absolute path/, 5_000],
    [{}, /told no mountpoint/, 5_000],
    [(response) => response.writeHead(500).end("oh no"), /answered 500: oh no/, 5_000],
  ];
  for (const [at, [answer, words, timeoutMs]] of wrong.entries()) {
    const name = `demo${at}`;
    await serve({ ...GOOD, "VolumeDriver.Mount": answer }, join(base, "sockets", `${name}.sock`));
    const store = await open(timeoutMs);
    await store.ensure({ ...request, name, driver: name });
    await assert.rejects(store.mount(name, "c"), words);
    server?.closeAllConnections();
    await new Promise<void>((resolve) => server?.close(() => resolve()));
    server = undefined;
  }
});

test("fuzz: whatever a plugin says is read or refused with words", () => {
  const anything = fc.oneof(
    fc.string(),
    fc.json(),
    fc.jsonValue().map((value) => JSON.stringify({ Volume: value })),
  );
  holds(
    fc.property(anything, (text) => {
      try {
        const fields = pluginAnswer(text, "m");
        const path = answeredPath(fields, "m");
        assert.ok(path === "" || path.startsWith("/"));
        assert.match(answeredScope(fields), /^(local|global)$/);
        assert.equal(typeof implementsVolumes(fields), "boolean");
        answeredVolume(fields, "m");
      } catch (error) {
        assert.ok(error instanceof SkeinError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});
