import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { NodeResource, ResourceKey } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointState, ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointMode } from "../../proto/gen/skein/v1/types.js";
import { holds } from "../../test/fuzz/holds.js";
import { endpoint, service } from "../endpoints/network-fixtures.js";
import { ClusterNames } from "./cluster-names.js";

const NETWORKS = ["net1", "net2"];
const HOSTNAMES = ["box", "web", "Tasks.web", "api"];

function key(resource: NodeResource): ResourceKey {
  const value = resource.resource;
  if (value?.$case === "endpoint") return { kind: ResourceKind.ENDPOINT, id: value.value.taskId };
  assert.ok(value?.$case === "service");
  return { kind: ResourceKind.SERVICE, id: value.value.id };
}

const endpoints = fc
  .record({
    number: fc.integer({ min: 1, max: 6 }),
    state: fc.constantFrom(EndpointState.JOINING, EndpointState.READY, EndpointState.DRAINING),
    networks: fc.subarray(NETWORKS),
    serviceId: fc.constantFrom("svc1", "svc2", ""),
    hostname: fc.constantFrom(...HOSTNAMES),
    host: fc.integer({ min: 1, max: 8 }),
  })
  .map(({ number, state, networks, serviceId, hostname, host }) =>
    endpoint(number, {
      state,
      serviceId,
      serviceName: serviceId === "" ? "" : "web",
      hostname,
      attachments: networks.map((networkId) => ({
        networkId,
        addresses: [`10.0.1.${host}/24`, `fd00:0::${host}/64`],
        aliases: serviceId === "" ? ["own"] : [],
      })),
    }),
  );
const services = fc
  .record({
    id: fc.constantFrom("svc1", "svc2"),
    name: fc.constantFrom("web", "api"),
    mode: fc.constantFrom(EndpointMode.VIP, EndpointMode.DNSRR),
    vips: fc.subarray(NETWORKS),
    aliased: fc.subarray(NETWORKS),
  })
  .map(({ id, name, mode, vips, aliased }) =>
    service({
      id,
      name,
      mode,
      virtualIps: vips.map((networkId) => ({ networkId, address: `10.0.1.10${id.slice(-1)}/24` })),
      aliases: aliased.map((networkId) => ({ networkId, aliases: ["www"] })),
    }),
  );
const steps = fc.array(
  fc.record({
    resource: fc.oneof(endpoints, services),
    kind: fc.constantFrom("upsert", "upsert", "upsert", "remove"),
  }),
  { maxLength: 30 },
);
const asked = ["web", "api", "www", "own", "box", "web.1", "web.2", "web.3.task3", "tasks.web", "tasks.www"];

/** All that can be asked, with addresses in no order. */
function everything(names: ClusterNames): unknown {
  return NETWORKS.map((networkId) => {
    const table = names.of(networkId);
    return {
      names: asked.map((name) => [name, table.find(name)?.addresses.toSorted()]),
      isNamed: [1, 2, 3, 4, 5, 6, 7, 8, 101, 102].map((host) => table.nameOf(`10.0.1.${host}`) !== undefined),
    };
  });
}

test("fuzz: names after any steps are those of the resources that are left", () => {
  holds(
    fc.property(steps, (all) => {
      const stepped = new ClusterNames();
      const left = new Map<string, NodeResource>();
      for (const { resource, kind } of all) {
        const { kind: what, id } = key(resource);
        if (kind === "remove") {
          left.delete(`${what} ${id}`);
          stepped.apply({ complete: false, upserts: [], removals: [{ kind: what, id }] });
        } else {
          left.set(`${what} ${id}`, resource);
          stepped.apply({ complete: false, upserts: [resource], removals: [] });
        }
        everything(stepped); // whatever is remembered from here must not be told later
      }
      const whole = new ClusterNames();
      whole.apply({ complete: true, upserts: [...left.values()], removals: [] });
      assert.deepEqual(everything(stepped), everything(whole));
      stepped.apply({ complete: true, upserts: [], removals: [] });
      assert.deepEqual(everything(stepped), everything(new ClusterNames()), "nothing is left behind");
    }),
  );
});

test("one endpoint's change touches its own names: others keep their records", () => {
  const names = new ClusterNames();
  const other = service({ id: "svc2", name: "api", virtualIps: [], mode: EndpointMode.DNSRR });
  const resources = [
    service({ mode: EndpointMode.DNSRR, virtualIps: [], aliases: [{ networkId: "net1" }] }),
    other,
    endpoint(21),
    endpoint(31, { serviceId: "svc2", serviceName: "api" }),
  ];
  names.apply({ complete: true, upserts: resources, removals: [] });
  const table = names.of("net1");
  const before = { web: table.find("web"), api: table.find("api") };
  assert.deepEqual(before.api?.addresses, ["10.0.1.31"], "known by its tasks alone");
  names.apply({ complete: false, upserts: [endpoint(22)], removals: [] });
  assert.deepEqual(table.find("web")?.addresses, ["10.0.1.21", "10.0.1.22"]);
  assert.equal(table.find("api"), before.api);
  assert.notEqual(table.find("web"), before.web);
});

test("a change among ten thousand endpoints costs microseconds, not a table", () => {
  const names = new ClusterNames();
  const upserts: NodeResource[] = [];
  for (let s = 0; s < 1_000; s += 1) {
    upserts.push(
      service({ id: `svc${s}`, name: `web${s}`, virtualIps: [], aliases: [{ networkId: "net1" }] }),
    );
    for (let slot = 1; slot <= 10; slot += 1) {
      const attachments = [{ networkId: "net1", addresses: [`10.${s >> 8}.${s & 255}.${slot}/8`] }];
      const ofService = {
        serviceId: `svc${s}`,
        serviceName: `web${s}`,
        taskId: `t${s}.${slot}`,
        attachments,
      };
      upserts.push(
        endpoint(slot, { ...ofService, taskName: `web${s}.${slot}.t`, hostname: `box${s}.${slot}` }),
      );
    }
  }
  names.apply({ complete: true, upserts, removals: [] });
  const changed = upserts.flatMap(({ resource }): NodeResource[] => {
    if (resource?.$case !== "endpoint") return [];
    return [{ resource: { $case: "endpoint", value: { ...resource.value, state: EndpointState.JOINING } } }];
  });
  const before = process.hrtime.bigint();
  for (const upsert of changed.slice(0, 1_000))
    names.apply({ complete: false, upserts: [upsert], removals: [] });
  const perChangeMs = Number(process.hrtime.bigint() - before) / 1e6 / 1_000;
  assert.ok(perChangeMs < 1, `${perChangeMs} ms a change`);
  assert.equal(names.of("net1").find("tasks.web7")?.addresses.length, 10);
});
