/** Volumes over HTTP: which are listed, which are pruned, what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FailedPreconditionError, NotFoundError, NotImplementedError } from "../../base/errors/errors.js";
import type { VolumeRecord, VolumeStore } from "../../proto/engine/volumes.js";
import type { Exchange, Reply } from "../http-exchange.js";
import { volumeRoutes } from "./volume-routes.js";

const record = (name: string, changes: Partial<VolumeRecord> = {}): VolumeRecord => ({
  name,
  driver: "local",
  mountpoint: `/d/${name}/_data`,
  options: {},
  labels: {},
  createdMs: 1_700_000_000_500,
  anonymous: false,
  ...changes,
});

function world(records: readonly VolumeRecord[], used: readonly string[] = []) {
  const kept = new Map(records.map((each) => [each.name, each]));
  const notPart = (): Promise<never> => Promise.reject(new NotImplementedError("not part of this test"));
  const volumes: VolumeStore = {
    find: (name) => kept.get(name),
    list: () => [...kept.values()],
    ensure: notPart,
    remove: async (name, { force = false } = {}) => {
      if (used.includes(name)) throw new FailedPreconditionError(`remove ${name}: volume is in use - [c1]`);
      if (!kept.delete(name) && !force) throw new NotFoundError(`get ${name}: no such volume`);
    },
    mount: notPart,
    unmount: notPart,
    copyUp: notPart,
    usage: async () => 10,
    onEvent: () => () => undefined,
    close: async () => undefined,
  };
  const containers = { list: () => [{ id: "c1" }], volumesOf: () => used.map((name) => ({ name })) };
  const routes = volumeRoutes({ volumes, containers });
  return async (
    method: string,
    path: string,
    options: { filters?: object; name?: string; minor?: number } = {},
  ) => {
    const route = routes.find((each) => each.method === method && each.path === path);
    const query = new URLSearchParams(
      options.filters === undefined ? {} : { filters: JSON.stringify(options.filters) },
    );
    const exchange = {
      query,
      param: () => options.name ?? "",
      flag: () => false,
      apiMinor: () => options.minor ?? 51,
    } as unknown as Exchange; // what the handlers use of it
    return (await route?.handle(exchange)) as Reply & { json: Record<string, never> };
  };
}
const names = (reply: Reply): unknown =>
  (reply.json as unknown as { Volumes: { Name: string }[] }).Volumes.map(({ Name }) => Name);

test("the list is narrowed by name, driver, label and use", async () => {
  const ask = world([record("web", { labels: { tier: "front" } }), record("db", { driver: "demo" })], ["db"]);
  const list = async (filters: object): Promise<unknown> => names(await ask("GET", "/volumes", { filters }));
  assert.deepEqual(await list({}), ["web", "db"]);
  assert.deepEqual(await list({ dangling: ["true"] }), ["web"]);
  assert.deepEqual(await list({ dangling: { 0: true } }), ["db"]);
  assert.deepEqual(await list({ driver: ["demo"] }), ["db"]);
  assert.deepEqual(await list({ label: ["tier=front"] }), ["web"]);
  assert.deepEqual(await list({ name: ["e"] }), ["web"]);
  await assert.rejects(list({ dangling: ["x"] }), /invalid filter 'dangling=\[x\]'/);
  await assert.rejects(list({ foo: ["x"] }), /invalid filter 'foo'/);
});

test("pruning spares what is used, what has a name unless all is said, and what plugins hold", async () => {
  const records = [
    record("named"),
    record("unnamed", { anonymous: true }),
    record("used", { anonymous: true }),
    record("kept", { anonymous: true, labels: { keep: "" } }),
    record("plugged", { driver: "demo" }),
  ];
  const prune = async (filters: object, minor = 51): Promise<unknown> =>
    (await world(records, ["used"])("POST", "/volumes/prune", { filters, minor })).json;
  assert.deepEqual(await prune({ "label!": ["keep"] }), { VolumesDeleted: ["unnamed"], SpaceReclaimed: 10 });
  const all = { VolumesDeleted: ["named", "unnamed", "kept"], SpaceReclaimed: 30 };
  assert.deepEqual(await prune({ all: ["1"] }), all);
  assert.deepEqual(await prune({}, 41), all);
  await assert.rejects(prune({ all: ["maybe"] }), /invalid filter 'all=\[maybe\]'/);
});

test("one that is used or missing is not removed", async () => {
  const ask = world([record("used"), record("free")], ["used"]);
  assert.equal((await ask("DELETE", "/volumes/:name", { name: "free" })).status, 204);
  await assert.rejects(ask("DELETE", "/volumes/:name", { name: "used" }), /volume is in use - \[c1\]/);
  await assert.rejects(ask("GET", "/volumes/:name", { name: "free" }), /get free: no such volume/);
});
