/** Networks over the control API: what is refused, what changes of a live one, how one goes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextTurn } from "../../base/loop/process-turn.js";
import { ListNetworksRequest, UpdateNetworkRequest } from "../../proto/gen/skein/v1/control.js";
import { type Network, Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NetworkSpec, TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestControl, serviceSpec, type TestControl } from "./control-fixtures.js";

const VNI = "com.docker.network.driver.overlay.vxlanid_list";

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
  await create(t, "front", { ipamConfigs: [{ subnet: "10.9.0.0/24" }], driverOptions: { [VNI]: "77" } });
  const { id: frontId } = t.store.view((tx) => tx.list("network", { by: "name", name: "front" }))[0] ?? {};
  await t.store.update((tx) => {
    const front = tx.get("network", frontId ?? "");
    if (front !== undefined) tx.update("network", { ...front, vni: 77 });
  });
  const subnet = (config: object) => ({ ipamConfigs: [{ subnet: "10.8.0.0/24", ...config }] });
  const option = (key: string, value: string) => ({ driverOptions: { [key]: value } });
  const cases: readonly (readonly [string, Parameters<typeof create>[2], RegExp])[] = [
    ["", {}, /name must be provided/],
    ["a b", {}, /invalid network name/],
    ["host", {}, /predefined host network/],
    ["front", {}, /network with name front already exists/],
    ["x", { driver: "bridge" }, /network driver "bridge" is not available in the swarm/],
    ["x", { ingress: true }, /ingress network \(mesh\) is already present/],
    ["x", { ingress: true, attachable: true }, /ingress network cannot be attachable/],
    ["x", { ingress: true, internal: true }, /ingress network cannot be internal/],
    ["x", { ipv4Disabled: true }, /IPv4 or IPv6 must be enabled/],
    ["x", { encrypted: true }, /no node of the swarm can encrypt/],
    ["x", option("colour", "red"), /option "colour" is not supported/],
    ["x", option("com.docker.network.driver.mtu", "big"), /must be an integer from 68 to 65535/],
    [
      "x",
      { ...option("com.docker.network.driver.mtu", "1279"), ipv6Enabled: true },
      /from 1280 to 65535 with IPv6/,
    ],
    ["x", option(VNI, "x"), /invalid vxlan id value "x" passed/],
    ["x", option(VNI, "4096"), /and not 4096, the routing mesh's/],
    ["x", option(VNI, "5000,5001"), /must name one identifier/],
    ["x", option(VNI, "77"), /VXLAN network identifier 77 is in use by network front/],
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
    ["x", subnet({ reserved: { a: "10.8.0.9", b: "10.8.0.9" } }), /reserved more than once/],
    ["x", { ipamConfigs: [{ gateway: "10.7.0.1" }] }, /need a subnet/],
    ["x", subnet({ subnet: "fd00::/64" }), /IPv6 is not enabled for this network/],
    ["x", { ...subnet({ subnet: "fd00::/126" }), ipv6Enabled: true }, /prefix length must be from 16 to 125/],
    [
      "x",
      { ...subnet({ subnet: "fd53:6b65:696e:7::/64" }), ipv6Enabled: true },
      /Pool overlaps.*the routing mesh/,
    ],
    ["x", { ...subnet({}), ipv6Enabled: true, ipv4Disabled: true }, /IPv4 is disabled for this network/],
  ];
  for (const [name, changes, message] of cases) await assert.rejects(create(t, name, changes), message);
  assert.equal(t.store.view((tx) => tx.list("network")).length, 2, "the mesh's and front");
});

test("an encrypted network is made where a node can encrypt", async () => {
  const t = await createTestControl();
  await t.store.update((tx) =>
    tx.create("node", Node.fromPartial({ id: "w", description: { wireguardPublicKey: "key" } })),
  );
  const network = await create(t, "secret", { encrypted: true, driverOptions: { encrypted: "" } });
  assert.equal(network.spec?.encrypted, true);
});

test("a network in use is not removed, and its users are named", async () => {
  const t = await createTestControl();
  const network = await create(t, "front");
  const user = (name: string): Service =>
    Service.fromPartial({
      id: name,
      spec: serviceSpec(name, { task: { container: { image: "a" }, networks: [{ target: network.id }] } }),
    });
  const remove = () => t.ask(t.control.removeNetwork, { id: "front" });
  const refused = (message: string) => ({ code: "failed-precondition", message });
  await t.store.update((tx) => tx.create("service", user("web")));
  await assert.rejects(remove(), refused("network front is in use by service web"));
  await t.store.update((tx) => tx.create("service", user("api")));
  await assert.rejects(remove(), refused("network front is in use by services api, web"));
  await t.store.update((tx) => {
    for (const id of ["api", "web"]) tx.remove("service", id);
    tx.create("task", Task.fromPartial({ id: "t", networks: [{ networkId: network.id }] }));
  });
  await assert.rejects(remove(), refused("network front is in use by task t"));
});

test("a network whose tasks still stop gives its name and subnet back at once; its removal waits", async () => {
  const t = await createTestControl();
  const subnet = { ipamConfigs: [{ subnet: "10.9.0.0/24" }] };
  const { id } = await create(t, "front", subnet);
  const task = Task.fromPartial({
    id: "t1",
    serviceId: "gone",
    networks: [{ networkId: id }],
    status: { state: TaskState.RUNNING },
  });
  await t.store.update((tx) => tx.create("task", task));
  let removed = false;
  const removal = t.ask(t.control.removeNetwork, { id: "front" }).then(() => {
    removed = true;
  });
  while (t.store.view((tx) => tx.get("network", id))?.pendingDelete !== true) await nextTurn();
  await assert.rejects(t.ask(t.control.getNetwork, { id }), /not found/);
  assert.deepEqual(
    (await t.ask(t.control.listNetworks, { filters: undefined })).networks.map((each) => each.id),
    ["mesh"],
  );
  await create(t, "front", subnet);
  assert.equal(removed, false, "its task still runs");
  await t.store.update((tx) => tx.remove("network", id)); // as the allocator does after the last task
  await removal;
});

test("a removal that takes too long is answered, and goes on", async () => {
  const t = await createTestControl();
  const { id } = await create(t, "front");
  const task = Task.fromPartial({ id: "t1", serviceId: "gone", networks: [{ networkId: id }] });
  await t.store.update((tx) => tx.create("task", task));
  const removal = t.ask(t.control.removeNetwork, { id: "front" });
  while (t.store.view((tx) => tx.get("network", id))?.pendingDelete !== true) await nextTurn();
  await nextTurn();
  await t.clock.advance(10_000);
  await removal;
  assert.equal(t.store.view((tx) => tx.get("network", id))?.pendingDelete, true);
});

test("the ingress network is replaced while nobody publishes by the mesh", async () => {
  const t = await createTestControl();
  const spec = serviceSpec("web", { endpoint: { ports: [{ targetPort: 80, publishedPort: 8080 }] } });
  const service = { spec, registryAuth: "" };
  await t.ask(t.control.createService, service);
  await assert.rejects(
    t.ask(t.control.removeNetwork, { id: "ingress" }),
    /ingress network cannot be removed because service web depends on it/,
  );
  await t.ask(t.control.removeService, { id: "web" });
  await t.ask(t.control.removeNetwork, { id: "ingress" });
  await assert.rejects(
    t.ask(t.control.createService, service),
    /service needs ingress network, but no ingress network is present/,
  );
  const made = await create(t, "my-ingress", {
    ingress: true,
    ipamConfigs: [{ subnet: "10.11.0.0/16", gateway: "10.11.0.2" }],
  });
  assert.equal(made.spec?.ingress, true);
  await t.ask(t.control.createService, service);
});

test("a live network gets subnets and labels, and nothing that does not fit", async () => {
  const t = await createTestControl();
  const { id } = await create(t, "front", {
    annotations: { name: "front", labels: { a: "1", b: "2" } },
    ipamConfigs: [{ subnet: "10.9.0.0/29" }],
  });
  const update = (changes: Parameters<typeof UpdateNetworkRequest.fromPartial>[0]) =>
    t.ask(t.control.updateNetwork, UpdateNetworkRequest.fromPartial({ id: "front", ...changes }));
  const { network } = await update({
    subnetsAdded: [{ subnet: "10.9.1.0/24", gateway: "10.9.1.9" }],
    labelsSet: { c: "3", a: "4" },
    labelsRemoved: ["b"],
  });
  assert.equal(network?.id, id);
  assert.deepEqual(network?.spec?.annotations, { name: "front", labels: { a: "4", c: "3" } });
  assert.deepEqual(
    network?.spec?.ipamConfigs.map((config) => [config.subnet, config.gateway]),
    [
      ["10.9.0.0/29", ""],
      ["10.9.1.0/24", "10.9.1.9"],
    ],
  );
  await assert.rejects(
    update({ subnetsAdded: [{ subnet: "10.9.1.128/25" }] }),
    /Pool overlaps.*this network/,
  );
  await assert.rejects(update({ subnetsAdded: [{ subnet: "" }] }), /must be given as ADDRESS\/LENGTH/);
  await assert.rejects(update({ subnetsAdded: [{ subnet: "fd00::/64" }] }), /IPv6 is not enabled/);
  const many = Array.from({ length: 256 }, (_, at) => ({ subnet: `10.10.${at}.0/24` }));
  await assert.rejects(update({ subnetsAdded: many }), /at most 256 subnets, got 258/);
  await assert.rejects(update({ labelsSet: { "": "y" } }), /a label must have a key/);
  await assert.rejects(update({ version: 999, labelsSet: { x: "y" } }), /update out of sequence/);
  await assert.rejects(
    t.ask(
      t.control.updateNetwork,
      UpdateNetworkRequest.fromPartial({ id: "ingress", subnetsAdded: [{ subnet: "10.40.0.0/24" }] }),
    ),
    /ingress network: it needs no subnet/,
  );
});

test("addresses in use are counted as the allocator leases them", async () => {
  const t = await createTestControl();
  const { id } = await create(t, "front");
  await t.store.update((tx) => {
    const network = tx.get("network", id);
    if (network === undefined) return;
    const ipam = [
      { subnet: "10.9.0.0/29", range: "", gateway: "10.9.0.1", reserved: { printer: "10.9.0.6" } },
      { subnet: "fd00::/64", range: "fd00::ff:0/125", gateway: "fd00::1", reserved: {} },
    ];
    tx.update("network", { ...network, ipam, vni: 4097 });
    const task = (taskId: string, state: TaskState, addresses: string[]) =>
      tx.create(
        "task",
        Task.fromPartial({ id: taskId, networks: [{ networkId: id, addresses }], status: { state } }),
      );
    task("t1", TaskState.RUNNING, ["10.9.0.2/29", "fd00::ff:1/64"]);
    task("t2", TaskState.FAILED, ["10.9.0.3/29", "fd00::ff:2/64"]);
    const virtualIps = [{ networkId: id, address: "10.9.0.4/29" }];
    const spec = serviceSpec("web", { task: { container: { image: "a" }, networks: [{ target: id }] } });
    tx.create("service", Service.fromPartial({ id: "s", spec, endpoint: { virtualIps } }));
  });
  const { subnets } = await t.ask(t.control.getNetwork, { id });
  assert.deepEqual(subnets, [
    { subnet: "10.9.0.0/29", inUse: 6, available: 2 },
    { subnet: "fd00::/64", inUse: 3, available: 7 },
  ]);
  const { networks } = await t.ask(t.control.listNetworkUse, {});
  assert.deepEqual(networks, [{ id, name: "front", subnets }]);
});
