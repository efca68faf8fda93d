import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointMode } from "../../proto/gen/skein/v1/types.js";
import { endpoint, network, service } from "../endpoints/network-fixtures.js";
import { ClusterNames } from "./cluster-names.js";
import { CLASS_IN, TYPE } from "./dns-question.js";
import type { AskerView, Resolution } from "./resolve.js";
import { resolve } from "./resolve.js";

function viewOf(resources: readonly NodeResource[], fields: Partial<AskerView> = {}): AskerView {
  const names = new ClusterNames();
  names.apply({ complete: true, upserts: resources, removals: [] });
  return {
    networks: [{ name: "front", names: names.of("net1") }],
    forwards: true,
    nameservers: [],
    ...fields,
  };
}

function addresses(
  view: AskerView,
  name: string,
  type: number = TYPE.a,
): readonly string[] | Resolution["kind"] {
  const resolution = resolve({ name, type, dnsClass: CLASS_IN }, view);
  if (resolution.kind !== "addresses") return resolution.kind;
  return resolution.records.addresses.filter((one) => one.includes(":") === (resolution.family === 6));
}

const reverse = (view: AskerView, name: string): Resolution =>
  resolve({ name, type: TYPE.ptr, dnsClass: CLASS_IN }, view);

const joining = endpoint(22, { state: EndpointState.JOINING });
const draining = endpoint(23, { state: EndpointState.DRAINING });
const aliases = [
  { networkId: "net1", aliases: ["www"] },
  { networkId: "net2", aliases: ["elsewhere"] },
];
const all = [network(), service({ aliases }), endpoint(21), joining, draining];

test("a service is its VIP, by name, alias and with the network's name", () => {
  const view = viewOf(all);
  for (const name of ["web", "www", "web.front", "www.front"])
    assert.deepEqual(addresses(view, name), ["10.0.1.2"], name);
  assert.equal(addresses(view, "elsewhere"), "forward", "an alias belongs to its network");
});

test("tasks of a service are listed while they start, not while they drain", () => {
  assert.deepEqual(addresses(viewOf(all), "tasks.web"), ["10.0.1.21", "10.0.1.22"]);
  assert.deepEqual(addresses(viewOf(all), "tasks.www"), ["10.0.1.21", "10.0.1.22"]);
});

test("a service without a VIP is its ready tasks", () => {
  const view = viewOf([
    network(),
    service({ mode: EndpointMode.DNSRR }),
    endpoint(21),
    joining,
    draining,
    endpoint(31),
  ]);
  assert.deepEqual(addresses(view, "web"), ["10.0.1.21", "10.0.1.31"]);
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
  assert.equal(addresses(viewOf(all), "web", TYPE.aaaa), "no-data");
  assert.equal(addresses(viewOf(all), "web", 15), "no-data");
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
  assert.deepEqual(reverse(view, "2.1.0.10.in-addr.arpa"), {
    kind: "pointer",
    name: "web.front",
  });
  assert.deepEqual(reverse(view, "21.1.0.10.in-addr.arpa"), {
    kind: "pointer",
    name: "web.21.task21.front",
  });
  assert.deepEqual(reverse(view, "1.1.1.1.in-addr.arpa"), { kind: "forward" });
});

test("both families are answered, each to its own question", () => {
  const attachments = [{ networkId: "net1", addresses: ["10.0.1.21/24", "fd00::21/64"] }];
  const view = viewOf([network(), service(), endpoint(21, { attachments })]);
  assert.deepEqual(addresses(view, "box21"), ["10.0.1.21"]);
  assert.deepEqual(addresses(view, "box21", TYPE.aaaa), ["fd00::21"]);
  const nibbles = `1.2.${"0.".repeat(26)}0.0.d.f.ip6.arpa`;
  assert.deepEqual(reverse(view, nibbles), { kind: "pointer", name: "web.21.task21.front" });
});

test("before anything was told, an unknown name is a failure, not missing", () => {
  assert.equal(addresses(viewOf([], { isUntold: true }), "web"), "failure");
  assert.equal(addresses(viewOf([], { isUntold: true, forwards: false }), "web"), "failure");
});

test("what looks like the network's name must stand behind a dot", () => {
  assert.equal(addresses(viewOf(all), "webfront"), "forward");
  assert.equal(addresses(viewOf(all), ".front"), "forward");
  assert.equal(addresses(viewOf(all), "front"), "forward");
});
