import assert from "node:assert/strict";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { codeOf, messageOf } from "../../base/errors/errors.js";
import { STATUS } from "../../base/errors/status.js";
import { MemoryContainers } from "../../test/support/memory-containers.js";
import type { ContainerOutParts } from "../convert/container-out.js";
import { PLAIN_SETTINGS } from "../engine-settings-fixtures.js";
import { Exchange, sendReply } from "../http-exchange.js";
import { containerLifeRoutes } from "./container-life-routes.js";
import { containerRoutes } from "./container-routes.js";

const IMAGE = { id: "sha256:web", os: "linux", architecture: "amd64", config: { volumes: [] } };
const PARTS: ContainerOutParts = {
  findImage: (name) => (name === "web" || name === IMAGE.id ? IMAGE : undefined),
  execIds: () => [],
  findVolume: () => undefined,
  volumesOf: () => [],
  networkId: () => undefined,
  networksOfTask: () => [],
};
let containers: MemoryContainers;
let pruned: number[];
let server: Server;
let port: number;

beforeEach(() => {
  containers = new MemoryContainers({ nowMs: () => 1_000_000, imageId: (name) => PARTS.findImage(name)?.id });
  pruned = [];
});

before(async () => {
  server = createServer((incoming, response) => {
    const url = new URL(incoming.url ?? "/", "http://x");
    const path = url.pathname.replace(/^\/v1\.\d+/, "");
    const options = {
      ...PARTS,
      containers,
      withDescendants: (name: string) => new Set(name === "web" ? [IMAGE.id] : []),
      sizeOf: () => undefined,
      nowMs: () => 1_002_000,
      world: () => ({
        cgroupVersion: "1" as const,
        cpus: 2,
        runtime: "crun",
        defaults: PLAIN_SETTINGS.container,
        defaultSeccomp: { kind: "default" as const },
        pathExists: () => true,
      }),
      architecture: "amd64",
      writableBytes: async () => 5,
      onPruned: (bytes: number) => pruned.push(bytes),
    };
    const routes = [...containerRoutes(options), ...containerLifeRoutes(options)];
    for (const route of routes) {
      const pattern = new RegExp(`^${route.path.replace(":id", "(?!json$|create$|prune$)([^/]+)")}$`);
      const match = pattern.exec(path);
      if (match === null || route.method !== incoming.method) continue;
      const params = { id: match[1] };
      route.handle(new Exchange({ request: incoming, response, params, query: url.searchParams })).then(
        (reply) => (reply === undefined ? undefined : sendReply(response, reply)),
        (error: unknown) =>
          sendReply(response, { status: STATUS[codeOf(error)].http, json: { message: messageOf(error) } }),
      );
      return;
    }
    sendReply(response, { status: 599 });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port; // it listens on TCP
});

after(() => {
  server.closeAllConnections();
  server.close();
});

function begin(method: string, path: string, body?: object): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, method, path, agent: false }, resolve);
    outgoing.on("error", reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of incoming) text += String(chunk);
  return text;
}

async function ask(method: string, path: string, body?: object): Promise<readonly [number, unknown]> {
  const incoming = await begin(method, path, body);
  const text = await textOf(incoming);
  return [incoming.statusCode ?? 0, text === "" ? undefined : JSON.parse(text)];
}

const message = (answer: readonly [number, unknown]): string => (answer[1] as { message: string }).message;

async function create(name: string, body: object = {}): Promise<void> {
  const [status] = await ask("POST", `/containers/create?name=${name}`, {
    Image: "web",
    Cmd: ["x"],
    ...body,
  });
  assert.equal(status, 201);
}

test("status codes: 204 when it is done, 304 when there was nothing to do, 409 when the state forbids it", async () => {
  await create("c1");
  const statuses: number[] = [];
  for (const action of [
    "pause",
    "kill",
    "stop",
    "start",
    "start",
    "pause",
    "start",
    "unpause",
    "unpause",
    "stop?t=0",
    "stop",
    "restart",
    "kill",
  ])
    statuses.push((await ask("POST", `/containers/c1/${action}`))[0]);
  assert.deepEqual(statuses, [409, 409, 304, 204, 304, 204, 409, 204, 409, 204, 304, 204, 204]);
  assert.equal((await ask("POST", "/containers/nope/start"))[0], 404);
});

test("wait: the head comes at once, the code at the end", async () => {
  await create("c1");
  const incoming = await begin("POST", "/v1.41/containers/c1/wait?condition=next-exit");
  assert.equal(incoming.statusCode, 200);
  await ask("POST", "/containers/c1/start");
  containers.exit("c1", 3);
  assert.deepEqual(JSON.parse(await textOf(incoming)), { StatusCode: 3 });
  assert.deepEqual(await ask("POST", "/containers/c1/wait"), [200, { StatusCode: 3 }]);
  const removed = await begin("POST", "/containers/c1/wait?condition=removed");
  assert.equal((await ask("DELETE", "/containers/c1"))[0], 204);
  assert.deepEqual(JSON.parse(await textOf(removed)), { StatusCode: 3 });
  await create("c2");
  const wrong = await ask("POST", "/containers/c2/wait?condition=zz");
  assert.deepEqual([wrong[0], message(wrong)], [400, 'invalid condition: "zz"']);
});

test("wait: a client that goes away leaves nothing behind", async () => {
  await create("c1");
  await ask("POST", "/containers/c1/start");
  const incoming = await begin("POST", "/containers/c1/wait");
  assert.equal(containers.waiting, 1);
  const gone = new Promise((resolve) => server.once("request", resolve));
  incoming.destroy();
  await ask("GET", "/containers/json"); // a round trip later the end of the other connection has been seen
  await gone;
  for (let tries = 0; containers.waiting > 0 && tries < 100; tries++) await ask("GET", "/containers/json");
  assert.equal(containers.waiting, 0);
});

test("start refuses what once was a HostConfig; times and sizes must be numbers", async () => {
  await create("c1");
  const started = await ask("POST", "/containers/c1/start", { Memory: 5 });
  assert.deepEqual([started[0], /deprecated since API v1.22/.test(message(started))], [400, true]);
  assert.match(message(await ask("POST", "/containers/c1/stop?t=zz")), /parsing "zz": invalid syntax/);
  assert.match(message(await ask("GET", "/containers/json?limit=zz")), /parsing "zz": invalid syntax/);
});

test("create: warnings beside the id; another platform than asked for is not found", async () => {
  const [status, body] = await ask("POST", "/containers/create", { Image: "web", Cmd: ["x"], Zork: 1 });
  assert.equal(status, 201);
  assert.deepEqual((body as { Warnings: string[] }).Warnings, ["Zork is not known here: it is ignored"]);
  const path = "/containers/create?platform=linux/arm64";
  const other = await ask("POST", path, { Image: "web", Cmd: ["x"] });
  assert.deepEqual([other[0], /its platform \(linux\/amd64\)/.test(message(other))], [404, true]);
  assert.equal((await ask("POST", "/containers/create?name=-x", { Image: "web" }))[0], 400);
});

test("the list: running ones alone unless all, a limit or a status is asked for; filters choose", async () => {
  await create("old", { Labels: { tier: "back", a: "1" } });
  await create("web1", { Labels: { tier: "front" }, ExposedPorts: { "80/tcp": {} } });
  await create("web2", { Labels: { tier: "front" }, Volumes: { "/data": {} } });
  await ask("POST", "/containers/web1/start");
  const names = async (query: string, filters?: object): Promise<string[]> => {
    const text = filters === undefined ? "" : `&filters=${encodeURIComponent(JSON.stringify(filters))}`;
    const [status, rows] = await ask("GET", `/containers/json?${query}${text}`);
    assert.equal(status, 200, JSON.stringify(rows));
    return (rows as { Names: string[] }[]).map(({ Names }) => Names[0] ?? "");
  };
  assert.deepEqual(await names(""), ["/web1"]);
  assert.deepEqual(await names("all=1"), ["/web2", "/web1", "/old"]);
  assert.deepEqual(await names("limit=2"), ["/web2", "/web1"]);
  assert.deepEqual(await names("", { status: ["created"] }), ["/web2", "/old"]);
  assert.deepEqual(await names("all=1", { label: ["tier=front"], name: ["^web"] }), ["/web2", "/web1"]);
  assert.deepEqual(await names("all=1", { label: { tier: true, "a=1": true } }), ["/old"]);
  assert.deepEqual(await names("all=1", { before: ["web2"] }), ["/web1", "/old"]);
  assert.deepEqual(await names("all=1", { since: ["old"], name: ["1$"] }), ["/web1"]);
  assert.deepEqual(await names("all=1", { ancestor: ["web"], name: ["/old"] }), ["/old"]);
  assert.deepEqual(await names("all=1", { ancestor: ["nope"] }), []);
  assert.deepEqual(await names("all=1", { volume: ["/data"] }), ["/web2"]);
  assert.deepEqual(await names("", { expose: ["80-90/tcp"] }), ["/web1"]);
  assert.deepEqual(await names("all=1", { network: ["bridge"], name: ["w.b2"] }), ["/web2"]);
  assert.deepEqual(await names("all=1", { name: ["(a+)+$"], health: ["none"] }), []);
  assert.deepEqual(await names("all=1", { "is-task": ["true"] }), []);
});

test("a pattern that would backtrack for ever matches itself alone, at once", async () => {
  await create("a".repeat(200));
  for (const pattern of ["(a+)+$", "(a|a)*b", "a?a?a?a?a?b", "(a|aa)+$", "x".repeat(300)]) {
    const filters = encodeURIComponent(JSON.stringify({ name: [pattern] }));
    assert.deepEqual(await ask("GET", `/containers/json?all=1&filters=${filters}`), [200, []], pattern);
  }
});

test("the list: filters are refused in dockerd's words", async () => {
  const refused: readonly (readonly [object, number, string])[] = [
    [{ zork: ["a"] }, 400, "invalid filter 'zork'"],
    [{ status: ["zz"] }, 400, "invalid filter 'status=zz'"],
    [{ health: ["zz"] }, 400, "unrecognized filter value for health: zz"],
    [{ exited: ["zz"] }, 400, 'strconv.Atoi: parsing "zz": invalid syntax'],
    [{ before: ["nope"] }, 404, "no such container nope"],
  ];
  for (const [filters, status, words] of refused) {
    const answer = await ask(
      "GET",
      `/containers/json?filters=${encodeURIComponent(JSON.stringify(filters))}`,
    );
    assert.deepEqual([answer[0], message(answer)], [status, words]);
  }
});

test("prune removes what is stopped, by label and age, and tells what it freed", async () => {
  await create("kept", { Labels: { keep: "" } });
  await create("gone1");
  await create("gone2");
  await create("runs");
  await ask("POST", "/containers/runs/start");
  const none = await ask("POST", `/containers/prune?filters=${encodeURIComponent('{"until":["1h"]}')}`);
  assert.deepEqual(none, [200, { ContainersDeleted: null, SpaceReclaimed: 0 }]);
  const [, done] = await ask(
    "POST",
    `/containers/prune?filters=${encodeURIComponent('{"label!":["keep"]}')}`,
  );
  assert.equal((done as { ContainersDeleted: string[] }).ContainersDeleted.length, 2);
  assert.equal((done as { SpaceReclaimed: number }).SpaceReclaimed, 10);
  assert.deepEqual(pruned, [0, 10]);
  assert.deepEqual(
    containers.list().map(({ name }) => name),
    ["runs", "kept"],
  );
});

test("rename, update and removal are refused in Docker's words", async () => {
  await create("c1");
  await create("c2");
  const taken = await ask("POST", "/containers/c1/rename?name=c2");
  assert.deepEqual([taken[0], /^Error when allocating new name: Conflict/.test(message(taken))], [409, true]);
  await ask("POST", "/containers/c1/start");
  assert.equal((await ask("DELETE", "/containers/c1"))[0], 409);
  assert.equal((await ask("DELETE", "/containers/c1?link=1"))[0], 409);
  assert.deepEqual(await ask("POST", "/containers/c1/update", { CpuShares: 100 }), [200, { Warnings: null }]);
  assert.deepEqual(containers.updates[0]?.resources, { cpuShares: 100 });
  assert.equal((await ask("DELETE", "/containers/c1?force=1"))[0], 204);
});
