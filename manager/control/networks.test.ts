import assert from "node:assert/strict";
import { test } from "node:test";
import { ListNetworksRequest } from "../../proto/gen/skein/v1/control.js";
import { Network, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NetworkSpec, TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestControl, serviceSpec, type TestControl } from "./control-fixtures.js";

async function create(
  t: TestControl,
  name: string,
  changes: Parameters<typeof NetworkSpec.fromPartial>[0] = {},
): Promise<Network> {
  const spec = NetworkSpec.fromPartial({ annotations: { name }, ...changes });
  const { network } = await t.ask(t.control.createNetwork, { spec });
  assert.ok(network);
  return network;
}

test("an overlay network is created, listed and removed", async () => {
  const t = await createTestControl();
  const network = await create(t, "front", {
    ipamConfigs: [{ subnet: "10.9.0.0/24", gateway: "10.9.0.1", range: "10.9.0.128/25" }],
  });
  assert.equal(network.spec?.driver, "overlay");
  assert.equal(network.spec.scope, "swarm");
  assert.equal(network.vni, 0, "the allocator chooses");
  const { networks } = await t.ask(
    t.control.listNetworks,
    ListNetworksRequest.fromPartial({ filters: { names: ["fr"] } }),
  );
  assert.deepEqual(
    networks.map(({ id }) => id),
    [network.id],
  );
  await t.ask(t.control.removeNetwork, { id: "front" });
  await assert.rejects(t.ask(t.control.getNetwork, { id: "front" }), {
    code: "not-found",
    message: "network front not found",
  });
});

test("specifications that break a rule are refused, naming it", async () => {
  const t = await createTestControl();
  await create(t, "front", { ipamConfigs: [{ subnet: "10.9.0.0/24" }] });
  const subnet = (config: object) => ({ ipamConfigs: [{ subnet: "10.8.0.0/24", ...config }] });
  const cases: readonly (readonly [string, Parameters<typeof create>[2], RegExp])[] = [
    ["", {}, /name must be provided/],
    ["a b", {}, /invalid network name/],
    ["host", {}, /predefined host network/],
    ["front", {}, /network with name front already exists/],
    ["x", { driver: "bridge" }, /network driver "bridge" is not available in the swarm/],
    ["x", { ingress: true }, /ingress network exists already/],
    ["x", { ipv6Enabled: true }, /IPv6 in overlay networks is not supported yet/],
    ["x", { driverOptions: { encrypted: "" } }, /encrypted overlay networks are not supported yet/],
    ["x", { driverOptions: { colour: "red" } }, /option "colour" is not supported/],
    [
      "x",
      { driverOptions: { "com.docker.network.driver.mtu": "big" } },
      /must be an integer from 68 to 65535/,
    ],
    ["x", { ipamDriver: "dhcp" }, /IPAM driver "dhcp" is not available/],
    ["x", subnet({ subnet: "ten" }), /"ten" is not a subnet/],
    ["x", subnet({ subnet: "10.8.0.5/24" }), /it should be 10\.8\.0\.0\/24/],
    ["x", subnet({ subnet: "10.8.0.0/31" }), /prefix length must be from 8 to 29/],
    [
      "x",
      subnet({ subnet: "10.9.0.128/25" }),
      /Pool overlaps with other one on this address space.*network front/,
    ],
    ["x", subnet({ subnet: "100.64.7.0/24" }), /Pool overlaps.*the routing mesh/],
    [
      "x",
      { ipamConfigs: [{ subnet: "10.7.0.0/16" }, { subnet: "10.7.3.0/24" }] },
      /Pool overlaps.*this network/,
    ],
    ["x", subnet({ range: "10.7.0.0/25" }), /must lie inside the subnet/],
    ["x", subnet({ gateway: "10.7.0.1" }), /invalid address 10\.7\.0\.1 \(gateway\)/],
    ["x", subnet({ reserved: { printer: "10.7.0.9" } }), /\(printer\)/],
    ["x", { ipamConfigs: [{ gateway: "10.7.0.1" }] }, /need a subnet/],
    ["x", subnet({ subnet: "fd00::/64" }), /IPv6/],
  ];
  for (const [name, changes, message] of cases) await assert.rejects(create(t, name, changes), message);
  assert.equal(t.store.view((tx) => tx.list("network")).length, 1);
});

test("a network in use by services is not removed, and they are named", async () => {
  const t = await createTestControl();
  const network = await create(t, "front");
  const user = (name: string): Service =>
    Service.fromPartial({
      id: name,
      spec: serviceSpec(name, { task: { container: { image: "a" }, networks: [{ target: network.id }] } }),
    });
  await t.store.update((tx) => {
    tx.create("service", user("web"));
    tx.create("service", user("api"));
  });
  await assert.rejects(t.ask(t.control.removeNetwork, { id: "front" }), {
    code: "failed-precondition",
    message: "network front is in use by the following services: api, web",
  });
});

test("a network whose tasks still stop gives its name back at once, and goes later", async () => {
  const t = await createTestControl();
  const { id } = await create(t, "front");
  const running = { state: TaskState.RUNNING };
  await t.store.update((tx) =>
    tx.create("task", Task.fromPartial({ id: "t1", networks: [{ networkId: id }], status: running })),
  );
  await t.ask(t.control.removeNetwork, { id: "front" });
  assert.equal(t.store.view((tx) => tx.get("network", id))?.pendingDelete, true);
  await assert.rejects(t.ask(t.control.getNetwork, { id }), /not found/);
  assert.deepEqual((await t.ask(t.control.listNetworks, { filters: undefined })).networks, []);
  await create(t, "front");
});

test("the ingress network stays", async () => {
  const t = await createTestControl();
  await t.store.update((tx) =>
    tx.create(
      "network",
      Network.fromPartial({ id: "i", spec: { annotations: { name: "ingress" }, ingress: true } }),
    ),
  );
  await assert.rejects(
    t.ask(t.control.removeNetwork, { id: "ingress" }),
    /routing mesh and cannot be removed/,
  );
});
