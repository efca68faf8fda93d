import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ManualClock } from "../base/clock/manual-clock.js";
import { NotFoundError, NotImplementedError } from "../base/errors/errors.js";
import { silentLogger } from "../base/log/logger.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import type { VolumeStore } from "../proto/engine/volumes.js";
import { MemoryContainers } from "../test/support/memory-containers.js";
import type { ContainerBackend, EngineImage, ImageBackend } from "./engine-ports.js";
import { PLAIN_SETTINGS } from "./engine-settings-fixtures.js";
import { type ApiServer, openApiServer } from "./http-server.js";
import type { EngineBackend, SwarmBackend } from "./ports.js";

const IMAGE: EngineImage = {
  id: `sha256:${"a".repeat(64)}`,
  repoTags: ["docker.io/library/web:latest", "registry.lan/team/web:1"],
  repoDigests: [],
  createdMs: 1_700_000_000_000,
  sizeBytes: 1000,
  architecture: "amd64",
  os: "linux",
  diffIds: [],
  author: "",
  comment: "",
  config: {
    user: "",
    env: [],
    entrypoint: [],
    cmd: ["sh"],
    workingDir: "",
    labels: {},
    exposedPorts: [],
    volumes: [],
    stopSignal: "",
    shell: [],
    healthcheck: undefined,
  },
  chainIds: [],
};

const removed: string[] = [];

const images = {
  find: (reference) => (reference === "registry.lan/team/web:1" || reference === "web" ? IMAGE : undefined),
  list: () => [IMAGE],
  pull: (reference, options) => {
    options?.onProgress?.({ status: "Pulling fs layer", id: "abc" });
    return Promise.reject(new NotFoundError(`manifest for ${reference} not found: manifest unknown`));
  },
  describeRemote: () => Promise.reject(new NotFoundError("no registry here")),
  load: async () => [IMAGE],
  importRootfs: async () => IMAGE,
  tag: async () => undefined,
  remove: async (reference) => {
    removed.push(reference);
    return [{ untagged: "docker.io/library/web:latest" }, { deleted: IMAGE.id }];
  },
  document: async () => ({ created: "2026-01-02T03:04:05Z", config: { Cmd: ["sh"] } }),
  layerPaths: () => [],
  childrenOf: () => [],
  onEvent: () => () => undefined,
} satisfies Partial<ImageBackend> as unknown as ImageBackend; // the part that is used

const VOLUME = {
  name: "kept",
  driver: "local",
  mountpoint: "/d/volumes/kept",
  options: {},
  labels: { tier: "back" },
  createdMs: 1_700_000_000_000,
  anonymous: false,
};

const notPart = (): Promise<never> => Promise.reject(new NotImplementedError("not part of this test"));
const volumes: VolumeStore = {
  find: (name) => (name === VOLUME.name ? VOLUME : undefined),
  list: () => [VOLUME],
  ensure: notPart,
  remove: notPart,
  mount: notPart,
  unmount: notPart,
  copyUp: notPart,
  usage: notPart,
  onEvent: () => () => undefined,
  close: async () => undefined,
};

const containers: ContainerBackend = Object.assign(
  new MemoryContainers({ nowMs: () => 1_700_000_000_000, imageId: () => IMAGE.id }),
  { volumes, volumesOf: () => [] },
);

const swarm: SwarmBackend = {
  info: () => ({
    nodeId: "",
    nodeAddr: "",
    state: "inactive",
    controlAvailable: false,
    error: "",
    remoteManagers: [],
  }),
  recovery: () => undefined,
  init: async () => "node1",
  join: async () => undefined,
  leave: async () => undefined,
  restore: () => Promise.reject(new NotImplementedError("no restore")),
  unlock: async () => undefined,
};

const dir = mkdtempSync(join(tmpdir(), "skein-api-"));
const socketPath = join(dir, "s");
let server: ApiServer;

before(async () => {
  const backend: EngineBackend = {
    settings: () => ({ ...PLAIN_SETTINGS, insecureRegistries: ["registry.lan:5000", "10.0.0.0/8"] }),
    onSettingsChange: () => () => undefined,
    facts: {
      engineId: "e",
      hostname: "h",
      dataDir: "/d",
      version: "9.9.9",
      kernelVersion: "6",
      operatingSystem: "Linux",
      architecture: "amd64",
      cpus: 2,
      memoryBytes: 1,
      cgroupVersion: "2",
      runtime: "crun",
      runtimes: ["crun"],
      labels: [],
      genericResources: [],
      devices: [],
    },
    swarm,
    isManager: () => false,
    manager: () => undefined,
    managerReached: async () => undefined,
    onManagerChange: () => () => undefined,
    images,
    containers,
    networksOfTask: () => [],
    clock: new ManualClock(),
    random: new SeededRandom("api"),
    log: silentLogger,
  };
  server = await openApiServer(backend, { listeners: [{ kind: "unix", path: socketPath }], group: "" });
});

after(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

function ask(
  method: string,
  path: string,
  body?: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const messageOf = (answer: Answer): string => (JSON.parse(answer.body) as { message: string }).message;

test("ping tells version and swarm state in its headers", async () => {
  const { status, headers, body } = await ask("GET", "/_ping");
  assert.deepEqual([status, body], [200, "OK"]);
  assert.equal(headers["api-version"], "1.51");
  assert.equal(headers["swarm"], "inactive");
  assert.equal((await ask("HEAD", "/v1.41/_ping")).status, 200);
});

test("info tells the registries that may be spoken to without TLS", async () => {
  const info = JSON.parse((await ask("GET", "/info")).body) as {
    RegistryConfig: { InsecureRegistryCIDRs: string[]; IndexConfigs: Record<string, { Secure: boolean }> };
  };
  assert.deepEqual(info.RegistryConfig.InsecureRegistryCIDRs, ["::1/128", "127.0.0.0/8", "10.0.0.0/8"]);
  const secure = Object.entries(info.RegistryConfig.IndexConfigs).map(([name, { Secure }]) => [name, Secure]);
  assert.deepEqual(secure, [
    ["docker.io", true],
    ["registry.lan:5000", false],
  ]);
});

test("versions outside the range are refused in Docker's words", async () => {
  assert.match(
    messageOf(await ask("GET", "/v1.12/version")),
    /client version 1\.12 is too old\. Minimum supported API version is 1\.24/,
  );
  assert.match(messageOf(await ask("GET", "/v1.52/version")), /client version 1\.52 is too new/);
  assert.equal((await ask("GET", "/v1.24/version")).status, 200);
});

test("an endpoint that is not served answers 501 and its name, a path that is none 404", async () => {
  const known = await ask("POST", "/v1.50/plugins/pull");
  assert.equal(known.status, 501);
  assert.match(messageOf(known), /POST \/plugins\/pull is not implemented/);
  const unknown = await ask("PATCH", "/nowhere/at/all");
  assert.equal(unknown.status, 404);
  assert.equal(messageOf(unknown), "page not found");
});

test("cluster endpoints of a node outside a swarm answer 503 in Docker's words", async () => {
  const answer = await ask("GET", "/services");
  assert.equal(answer.status, 503);
  assert.match(
    messageOf(answer),
    /This node is not a swarm manager\. Use "docker swarm init" or "docker swarm join"/,
  );
});

test("bad JSON, bad filters and unknown filter keys are 400 with the rule", async () => {
  assert.match(messageOf(await ask("POST", "/swarm/init", "{")), /the body must be JSON/);
  assert.match(
    messageOf(await ask("POST", "/swarm/init", '{"ListenAddr": 5}')),
    /body\.ListenAddr must be a string, got 5/,
  );
  assert.match(messageOf(await ask("GET", "/images/json?filters=nope")), /invalid filters/);
  const unknown = await ask("GET", `/images/json?filters=${encodeURIComponent('{"colour":["red"]}')}`);
  assert.deepEqual([unknown.status, messageOf(unknown)], [400, "invalid filter 'colour'"]);
});

test("a body that is too large is 413, and the client gets to read that", async () => {
  const answer = await ask("POST", "/secrets/create", `{"Data":"${"A".repeat(9 * 1024 * 1024)}"}`);
  assert.equal(answer.status, 413);
  assert.match(messageOf(answer), /the body must have at most 8388608 bytes/);
  assert.equal((await ask("GET", "/_ping")).status, 200);
});

test("a body of another type than JSON is refused: a page of another site cannot send this one", async () => {
  const answer = await ask("POST", "/containers/create", "{}", { "content-type": "text/plain" });
  assert.deepEqual(
    [answer.status, messageOf(answer)],
    [400, "unsupported Content-Type header (text/plain): must be 'application/json'"],
  );
  const typed = { "content-type": "application/json; charset=utf-8" };
  assert.match(messageOf(await ask("POST", "/containers/create", "{}", typed)), /config cannot be empty/);
});

test("a refused body or header quotes no secret", async () => {
  const bodies = [
    '{"Data":["hunter2"]}',
    '{"Data":"hunter2!"}',
    '{"Data":"hunter2',
    '{"Name":1,"Data":hunter2}',
  ];
  for (const body of bodies) {
    const answer = await ask("POST", "/secrets/create", body);
    assert.equal(answer.status, 400, body);
    assert.doesNotMatch(answer.body, /hunt/, body);
  }
  const auth = Buffer.from('{"password":["hunter2"]}').toString("base64");
  const answer = await ask("POST", "/images/create?fromImage=x", undefined, { "x-registry-auth": auth });
  assert.equal(answer.status, 400);
  assert.doesNotMatch(answer.body, /hunter2/);
  const join = await ask("POST", "/swarm/join", '{"JoinToken":{"t":"hunter2"}}');
  assert.doesNotMatch(join.body, /hunter2/);
});

test("filters are honoured or refused by name, words are those listed alone", async () => {
  const listed = async (path: string, filters: string): Promise<Answer> =>
    ask("GET", `${path}?filters=${encodeURIComponent(filters)}`);
  assert.equal((await listed("/containers/json", '{"network":["x"]}')).status, 200);
  assert.equal((await listed("/images/json", '{"until":["24h"]}')).status, 200);
  assert.equal((await listed("/images/json", '{"nonsense":["24h"]}')).status, 400);
  assert.deepEqual(JSON.parse((await listed("/images/json", '{"label":["constructor"]}')).body), []);
  const word = await ask("POST", "/swarm/init", '{"Availability":"constructor"}');
  assert.equal(word.status, 400);
});

test("image names may hold slashes and tags", async () => {
  const found = await ask("GET", "/images/registry.lan/team/web:1/json");
  assert.equal(found.status, 200);
  assert.deepEqual((JSON.parse(found.body) as { RepoTags: string[] }).RepoTags, [
    "web:latest",
    "registry.lan/team/web:1",
  ]);
  assert.equal((await ask("GET", "/images/no/such/json")).status, 404);
  const answer = await ask("DELETE", "/images/registry.lan/team/web:1");
  assert.deepEqual(JSON.parse(answer.body), [{ Untagged: "web:latest" }, { Deleted: IMAGE.id }]);
  assert.deepEqual(removed, ["registry.lan/team/web:1"]);
});

test("a pull that fails after its first line tells so inside the stream", async () => {
  const { status, body } = await ask("POST", "/images/create?fromImage=nope&tag=1");
  assert.equal(status, 200);
  const lines = body
    .trim()
    .split("\r\n")
    .map((line) => JSON.parse(line) as { status?: string; error?: string });
  assert.equal(lines[0]?.status, "Pulling fs layer");
  assert.equal(lines[1]?.error, "manifest for nope:1 not found: manifest unknown");
});

test("the platform asked for reaches the registry; one that is none is refused", async () => {
  const answer = await ask("POST", "/images/create?fromImage=x&tag=1&platform=linux/a/b/c");
  assert.deepEqual([answer.status, /cannot parse platform specifier/.test(messageOf(answer))], [400, true]);
  assert.equal((await ask("POST", "/images/create?fromImage=x&tag=1&platform=linux/s390x")).status, 200);
});

test("init answers the node id as a JSON string", async () => {
  assert.equal(JSON.parse((await ask("POST", "/swarm/init", "{}")).body), "node1");
});

test("volumes and plugins: what is there is shown, what is not is not found, so that inspect goes on", async () => {
  const list = await ask("GET", "/volumes?filters=%7B%22label%22%3A%5B%22tier%3Dback%22%5D%7D");
  assert.equal(list.status, 200);
  assert.deepEqual(
    (JSON.parse(list.body) as { Volumes: { Name: string }[] }).Volumes.map(({ Name }) => Name),
    ["kept"],
  );
  assert.equal((await ask("GET", "/volumes/kept")).status, 200);
  const missing = await ask("GET", "/volumes/other");
  assert.deepEqual(
    [missing.status, JSON.parse(missing.body)],
    [404, { message: "get other: no such volume" }],
  );
  assert.equal((await ask("GET", "/plugins/other/json")).status, 404);
  assert.equal((await ask("GET", "/plugins")).body.trim(), "[]");
});
