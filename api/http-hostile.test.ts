/**
 * What clients may do to the HTTP surface and must not bring down with it: the daemon ends on an error that
 * nobody handles, so each test asks afterwards whether it still answers.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ManualClock } from "../base/clock/manual-clock.js";
import { InvalidArgumentError, NotFoundError } from "../base/errors/errors.js";
import { silentLogger } from "../base/log/logger.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import type { ImageProgress } from "../proto/engine/images.js";
import type { AttachedStream, ContainerStreams } from "../proto/engine/streams.js";
import type { VolumeStore } from "../proto/engine/volumes.js";
import { MemoryContainers } from "../test/support/memory-containers.js";
import { joinClient } from "./attached-client.js";
import type { ContainerBackend, ImageBackend } from "./engine-ports.js";
import { PLAIN_SETTINGS } from "./engine-settings-fixtures.js";
import { type ApiServer, openApiServer } from "./http-server.js";
import type { EngineBackend, SwarmBackend } from "./ports.js";

const dir = mkdtempSync(join(tmpdir(), "skein-hostile-"));
const socketPath = join(dir, "s");
let server: ApiServer;
let reportLate: ((progress: ImageProgress) => void) | undefined;

const images = {
  list: () => [],
  find: () => undefined,
  onEvent: () => () => undefined,
  pull: (reference, options) => {
    reportLate = options?.onProgress;
    return Promise.reject(new NotFoundError(`manifest for ${reference} not found: manifest unknown`));
  },
  load: async (tar) => {
    for await (const _chunk of tar) throw new InvalidArgumentError("it is no archive");
    return [];
  },
} satisfies Partial<ImageBackend> as unknown as ImageBackend; // the part that is used

const volumes = { list: () => [], onEvent: () => () => undefined } as unknown as VolumeStore; // the same
const containers: ContainerBackend = Object.assign(
  new MemoryContainers({ nowMs: () => 0, imageId: () => "sha256:0" }),
  { volumes, volumesOf: () => [] },
);
const swarm = {
  info: () => ({
    ...{ nodeId: "", nodeAddr: "", state: "inactive" as const, controlAvailable: false, error: "" },
    remoteManagers: [],
  }),
} as unknown as SwarmBackend; // the part that is used

before(async () => {
  const backend: EngineBackend = {
    settings: () => PLAIN_SETTINGS,
    onSettingsChange: () => () => undefined,
    facts: {
      ...{ engineId: "e", hostname: "h", dataDir: "/d", version: "9.9.9", kernelVersion: "6" },
      ...{ operatingSystem: "Linux", architecture: "amd64", cpus: 2, memoryBytes: 1, cgroupVersion: "2" },
      ...{ runtime: "crun", runtimes: ["crun"], labels: [], genericResources: [], devices: [] },
    },
    swarm,
    isManager: () => false,
    manager: () => undefined,
    managerReached: async () => undefined,
    onManagerChange: () => () => undefined,
    images,
    containers,
    streaming: { containers, streams: {} as ContainerStreams }, // refusals come before it
    networksOfTask: () => [],
    clock: new ManualClock(),
    random: new SeededRandom("hostile"),
    log: silentLogger,
  };
  server = await openApiServer(backend, { listeners: [{ kind: "unix", path: socketPath }], group: "" });
});

after(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});

/** What comes back for these bytes until the other side closes. */
function exchange(bytes: string, options: { end?: boolean } = {}): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk) => {
      text += String(chunk);
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(text));
    if (options.end === false) socket.write(bytes);
    else socket.end(bytes);
  });
}

async function assertAlive(): Promise<void> {
  assert.match(await exchange("GET /_ping HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 OK/);
}

test("a target that no URL can be made of is a page that is not there", async () => {
  for (const target of ["//[", "http://[", "//", "http://a:99999/x", "*", "//%zz"]) {
    assert.match(await exchange(`GET ${target} HTTP/1.0\r\n\r\n`), /^HTTP\/1\.1 404 /, target);
  }
  for (const target of ["/containers/%zz/json", "/containers/%00/json", `/${"x".repeat(9_000)}`])
    assert.match(await exchange(`GET ${target} HTTP/1.0\r\n\r\n`), /^HTTP\/1\.1 4\d\d /, target);
  await assertAlive();
});

test("the tokens of many registries fit into a header, and what fits nowhere is refused", async () => {
  const ping = (bytes: number): Promise<string> =>
    exchange(`GET /_ping HTTP/1.0\r\nX-Registry-Config: ${"x".repeat(bytes)}\r\n\r\n`, { end: false });
  assert.match(await ping(200_000), /^HTTP\/1\.1 200 /);
  assert.match(await ping(2_000_000), /^HTTP\/1\.1 431 /);
  await assertAlive();
});

test("an upgrade behind an answer that is under way is cut off", async () => {
  const events = "GET /events HTTP/1.1\r\nHost: x\r\n\r\n";
  const upgrade =
    "POST /containers/a/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
  await exchange(events + upgrade, { end: false });
  await assertAlive();
});

test("an upgrade of what cannot be upgraded is answered, and its connection ends", async () => {
  for (const protocol of ["h2c", "websocket", "tcp", "\x7f"]) {
    const head = `Host: x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
    assert.match(await exchange(`GET /_ping HTTP/1.1\r\n${head}\r\n`, { end: false }), /^HTTP\/1\.1 [24]00 /);
  }
  const refused = await exchange(
    "POST /containers/none/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
    { end: false },
  );
  assert.match(refused, /^HTTP\/1\.1 404 /);
  await assertAlive();
});

test("a body of an upgrade that breaks off ends its request", async () => {
  const head = "Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 100\r\n";
  await exchange(`POST /exec/none/start HTTP/1.1\r\n${head}\r\n{"Det`);
  await assertAlive();
});

test("a body that is refused while it comes does not cost the client the answer", async () => {
  const head = `POST /images/load HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4000000\r\n\r\n`;
  assert.match(await exchange(head + "x".repeat(4_000_000), { end: false }), /it is no archive/);
  await assertAlive();
});

test("a password in the address of an import is shown to nobody", async () => {
  const answer = await exchange(
    "POST /images/create?fromSrc=http://user:hidden@127.0.0.1:1/x.tar HTTP/1.0\r\n\r\n",
    { end: false },
  );
  assert.match(answer, /http:\/\/user:xxxxx@127\.0\.0\.1:1\/x\.tar/);
  assert.match(answer, /connection refused/);
  assert.doesNotMatch(answer, /hidden/);
});

test("progress that comes after a pull has failed is dropped", async () => {
  for (const early of [false, true]) {
    const answer = exchange("POST /images/create?fromImage=web&tag=1 HTTP/1.0\r\n\r\n");
    assert.match(await answer, /manifest unknown/);
    reportLate?.({ status: "Downloading", id: "abc", currentBytes: 1, totalBytes: 2 });
    assert.ok(reportLate !== undefined, String(early));
  }
  await assertAlive();
});

test("a detach that fails ends the attachment and nothing else", async () => {
  let closes = 0;
  let endOutput = (): void => undefined;
  const stream: AttachedStream = {
    output: (async function* () {
      await new Promise<void>((resolve) => {
        endOutput = resolve;
      });
    })(),
    write: async () => true,
    endInput: () => undefined,
    close: () => {
      closes += 1;
      endOutput();
    },
  };
  let ends = 0;
  const connection = {
    input: (async function* () {
      yield Buffer.from("\x10\x11");
    })(),
    write: async () => true,
    end: () => {
      ends += 1;
    },
    gone: new AbortController().signal,
  };
  await joinClient(connection, stream, {
    ...{ multiplexed: false, stdin: true, detachKeys: Buffer.from("\x10\x11") },
    onDetach: () => {
      throw new NotFoundError("No such container: it was removed meanwhile");
    },
  });
  assert.ok(closes > 0);
  assert.equal(ends, 1);
});
