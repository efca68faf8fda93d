import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointMode } from "../../proto/gen/skein/v1/types.js";
import { endpoint, network, service, stateOf } from "../endpoints/network-fixtures.js";
import { buildNetworkNames } from "./network-names.js";
import type { AskerView, Resolution } from "./resolve.js";
import { resolve } from "./resolve.js";

function viewOf(resources: Parameters<typeof stateOf>, fields: Partial<AskerView> = {}): AskerView {
  const names = buildNetworkNames(stateOf(...resources), "net1");
  return { networks: [{ name: "front", names }], forwards: true, nameservers: [], ...fields };
}

function addresses(
  view: AskerView,
  name: string,
  type = "A",
  turn = 0,
): readonly string[] | Resolution["kind"] {
  const resolution = resolve({ name, type }, view, turn);
  return resolution.kind === "addresses" ? resolution.addresses : resolution.kind;
}

const joining = endpoint(22, { state: EndpointState.JOINING });
const draining = endpoint(23, { state: EndpointState.DRAINING });
const aliases = [
  { networkId: "net1", aliases: ["www"] },
  { networkId: "net2", aliases: ["elsewhere"] },
];
const all = [network(), service({ aliases }), endpoint(21), joining, draining];

test("a service is its VIP, by name, alias and with the network's name, in any case", () => {
  const view = viewOf(all);
  for (const name of ["web", "WEB", "web.", "www", "web.front", "www.Front"])
    assert.deepEqual(addresses(view, name), ["10.0.1.2"], name);
  assert.equal(addresses(view, "elsewhere"), "forward", "an alias belongs to its network");
});

test("tasks of a service are listed while they start, not while they drain", () => {
  assert.deepEqual(addresses(viewOf(all), "tasks.web"), ["10.0.1.21", "10.0.1.22"]);
  assert.deepEqual(addresses(viewOf(all), "tasks.www"), ["10.0.1.21", "10.0.1.22"]);
});

test("a service without a VIP is its ready tasks, in turns", () => {
  const view = viewOf([
    network(),
    service({ mode: EndpointMode.DNSRR }),
    endpoint(21),
    joining,
    draining,
    endpoint(31),
  ]);
  assert.deepEqual(addresses(view, "web"), ["10.0.1.21", "10.0.1.31"]);
  assert.deepEqual(addresses(view, "web", "A", 1), ["10.0.1.31", "10.0.1.21"]);
});

test("a task whose hostname is a service's name adds nothing to the service", () => {
  const tasks = [
    endpoint(21, { hostname: "web" }),
    endpoint(22, { hostname: "Tasks.web", state: EndpointState.JOINING }),
  ];
  const view = viewOf([network(), service({ aliases }), ...tasks]);
  assert.deepEqual(addresses(view, "web"), ["10.0.1.2"]);
  assert.deepEqual(addresses(view, "tasks.web"), ["10.0.1.21", "10.0.1.22"]);
});

test("containers and tasks have names of their own", () => {
  for (const name of ["box21", "web.21", "web.21.task21"])
    assert.deepEqual(addresses(viewOf(all), name), ["10.0.1.21"], name);
  assert.deepEqual(addresses(viewOf(all), "box23"), ["10.0.1.23"], "also while it drains");
});

test("a known name without the type asked for has no data; an unknown one does not exist", () => {
  assert.equal(addresses(viewOf(all), "web", "AAAA"), "no-data");
  assert.equal(addresses(viewOf(all), "web", "MX"), "no-data");
  assert.equal(
    addresses(viewOf([network(), service({ mode: EndpointMode.DNSRR }), joining]), "web"),
    "no-data",
  );
  assert.equal(addresses(viewOf(all), "unknown"), "forward");
  assert.equal(addresses(viewOf(all, { forwards: false }), "unknown"), "no-such-name");
});

test("only the asker's networks are known", () => {
  assert.equal(addresses(viewOf(all, { networks: [] }), "web"), "forward");
});

test("addresses lead back to names", () => {
  const view = viewOf(all);
  assert.deepEqual(resolve({ name: "2.1.0.10.in-addr.arpa", type: "PTR" }, view, 0), {
    kind: "pointer",
    name: "web.front",
  });
  assert.deepEqual(resolve({ name: "21.1.0.10.IN-ADDR.arpa", type: "PTR" }, view, 0), {
    kind: "pointer",
    name: "web.21.task21.front",
  });
  assert.deepEqual(resolve({ name: "1.1.1.1.in-addr.arpa", type: "PTR" }, view, 0), { kind: "forward" });
});

test("both families are answered, each to its own question", () => {
  const attachments = [{ networkId: "net1", addresses: ["10.0.1.21/24", "fd00::21/64"] }];
  const view = viewOf([network(), service(), endpoint(21, { attachments })]);
  assert.deepEqual(addresses(view, "box21"), ["10.0.1.21"]);
  assert.deepEqual(addresses(view, "box21", "AAAA"), ["fd00::21"]);
});
