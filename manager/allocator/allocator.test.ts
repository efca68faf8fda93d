/**
 * The allocator on a store: what it gives, what it refuses and how it says so,
 * and that nothing is used twice or leaks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Clock } from "../../base/clock/clock.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import { Cluster, Task } from "../../proto/gen/skein/v1/objects.js";
import { EndpointMode, EndpointSpec, PortConfig, TaskState } from "../../proto/gen/skein/v1/types.js";
import { ControlLab } from "../../test/support/control-lab.js";
import { createTestStore } from "../../test/support/test-store.js";
import { AddressSpace } from "./address-space.js";
import { createAllocator } from "./allocator-loop.js";

const replicas = (count: number) => ({ $case: "replicated", value: { replicas: count } }) as const;

const port = (publishedPort: number, targetPort = 80): PortConfig =>
  PortConfig.fromPartial({ targetPort, publishedPort });

test("nodes get the lowest free number, networks VNI, subnet and gateway, also when nobody uses them", async () => {
  const lab = new ControlLab();
  await lab.addNodes("b", "a");
  await lab.createNetwork("net");
  await lab.createNetwork("own", "10.0.1.0/24");
  await lab.createNetwork("third");
  const { store } = lab.test;
  assert.deepEqual(
    store.view((tx) => tx.list("node").map((node) => [node.id, node.number])),
    [
      ["a", 2],
      ["b", 1],
    ],
  );
  assert.deepEqual(
    store.view((tx) => tx.list("network").map((n) => [n.id, n.vni, n.ipam[0]?.subnet, n.ipam[0]?.gateway])),
    [
      ["net", 4097, "10.0.0.0/24", "10.0.0.1"],
      ["own", 4098, "10.0.1.0/24", "10.0.1.1"],
      ["third", 4099, "10.0.2.0/24", "10.0.2.1"],
    ],
  );
  await lab.test.store.update((tx) => tx.remove("node", "b"));
  await lab.addNodes("c");
  assert.equal(
    store.view((tx) => tx.get("node", "c")?.number),
    1,
  );
  await lab.close();
});

test("the cluster's own pools are used", async () => {
  const lab = new ControlLab();
  const cluster = Cluster.fromPartial({ id: "c", defaultAddressPool: ["172.30.0.0/16"], subnetSize: 28 });
  await lab.test.store.update((tx) => tx.create("cluster", cluster));
  await lab.createNetwork("net");
  assert.equal(
    lab.test.store.view((tx) => tx.get("network", "net")?.ipam[0]?.subnet),
    "172.30.0.0/28",
  );
  await lab.close();
});

test("subnets of each family come from the cluster's pools of that family", () => {
  const defaultAddressPool = ["172.30.0.0/16", "fd00:9::/48"];
  const space = new AddressSpace(Cluster.fromPartial({ defaultAddressPool, subnetSize: 28 }));
  assert.deepEqual(
    [space.takeSubnet("a", 4), space.takeSubnet("a", 6), space.takeSubnet("b", 6)],
    ["172.30.0.0/28", "fd00:9::/64", "fd00:9:0:1::/64"],
  );
  assert.equal(new AddressSpace(undefined).takeSubnet("a", 6), "fd53:6b65:696f::/64");
});

test("a service without VIP mode has no virtual address; a task has one address per network", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createNetwork("net");
  await lab.createNetwork("net2");
  await lab.createService("web", {
    task: { networks: [{ target: "net", aliases: ["www"] }, { target: "net2" }] },
    endpoint: { mode: EndpointMode.DNSRR },
  });
  assert.deepEqual(lab.service("web").endpoint?.virtualIps, []);
  assert.deepEqual(lab.running("web")[0]?.networks, [
    { networkId: "net", addresses: ["10.0.0.2/24"], aliases: ["www"] },
    { networkId: "net2", addresses: ["10.0.1.2/24"], aliases: [] },
  ]);
  await lab.close();
});

test("published ports: chosen ones are kept, others come from the range and stay over updates", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("a", { endpoint: { ports: [port(8080), port(0), port(0, 81)] } });
  await lab.createService("b", { endpoint: { ports: [port(0)] } });
  const ports = (id: string) => lab.service(id).endpoint?.ports.map((p) => p.publishedPort);
  assert.deepEqual([ports("a"), ports("b")], [[8080, 30_000, 30_001], [30_002]]);
  await lab.updateService("a", (spec) => ({
    ...spec,
    endpoint: EndpointSpec.fromPartial({ ports: [port(0, 81)] }),
  }));
  assert.deepEqual(ports("a"), [30_001]);
  await lab.close();
});

test("a full subnet is said on the task, which is placed when an address comes free", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createNetwork("net", "10.0.1.0/29");
  await lab.createService("web", { mode: replicas(6), task: { networks: [{ target: "net" }] } });
  const waiting = lab.tasks("web").filter((task) => !task.allocated);
  assert.equal(lab.running("web").length, 4, "6 hosts less gateway and virtual address");
  assert.deepEqual(
    waiting.map((task) => [task.status?.state, task.status?.err, task.status?.cause]),
    Array(2).fill([TaskState.NEW, "no free address in 10.0.1.0/29 (6 of 6 in use)", "no-address"]),
  );
  await lab.scale("web", 4);
  await lab.createService("other", {
    task: { networks: [{ target: "net" }] },
    endpoint: { mode: EndpointMode.DNSRR },
  });
  assert.equal(lab.running("other").length, 0);
  await lab.scale("web", 2);
  assert.equal(lab.running("other").length, 1);
  await lab.close();
});

test("a network that cannot be allocated is said on the task, with the rule", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createNetwork("tiny", "10.0.1.0/31");
  await lab.createService("web", { task: { networks: [{ target: "tiny" }] } });
  const [task] = lab.tasks("web");
  assert.equal(
    task?.status?.err,
    "network tiny: subnet 10.0.1.0/31 has no room: it needs a gateway and one more address",
  );
  assert.equal(task?.status?.cause, "network-not-ready");
  await lab.close();
});

test("a network that is to be removed goes when its last task has ended", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createNetwork("net");
  await lab.createService("web", { task: { networks: [{ target: "net" }] } });
  await lab.test.store.update((tx) => {
    tx.remove("service", "web");
    const network = tx.get("network", "net");
    if (network !== undefined) tx.update("network", { ...network, pendingDelete: true });
  });
  await lab.settle();
  assert.equal(
    lab.test.store.view((tx) => tx.get("network", "net")),
    undefined,
  );
  await lab.close();
});

test("a space rebuilt from the store knows every lease", () => {
  const space = new AddressSpace(undefined);
  assert.equal(space.takeNodeNumber("n1"), 1);
  space.syncNode("n1", undefined);
  assert.equal(space.takeNodeNumber("n2"), 1, "what never reached the store is free again");
  assert.equal(space.takeSubnet("a", 4), "10.0.0.0/24");
  space.syncNetwork("a", undefined);
  assert.equal(space.takeSubnet("b", 4), "10.0.0.0/24");
});

type Action =
  | { readonly kind: "scale"; readonly service: string; readonly replicas: number }
  | { readonly kind: "image"; readonly service: string }
  | { readonly kind: "crash"; readonly service: string }
  | { readonly kind: "leader" }
  | { readonly kind: "down" | "up"; readonly node: string }
  | { readonly kind: "advance"; readonly ms: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    kind: fc.constant("scale" as const),
    service: fc.constantFrom("s1", "s2"),
    replicas: fc.integer({ min: 0, max: 7 }),
  }),
  fc.record({
    kind: fc.constantFrom("image" as const, "crash" as const),
    service: fc.constantFrom("s1", "s2"),
  }),
  fc.record({ kind: fc.constant("leader" as const) }),
  fc.record({ kind: fc.constantFrom("down" as const, "up" as const), node: fc.constantFrom("n1", "n2") }),
  fc.record({ kind: fc.constant("advance" as const), ms: fc.constantFrom(1_000, 6_000, 400_000) }),
);

test("whatever happens, no address has two owners and none is lost", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 12 }), async (actions) => {
      const lab = new ControlLab();
      await lab.addNodes("n1", "n2", "n3");
      await lab.createNetwork("net", "10.0.1.0/28");
      for (const id of ["s1", "s2"]) {
        await lab.createService(id, { mode: replicas(2), task: { networks: [{ target: "net" }] } });
      }
      for (const [i, step] of actions.entries()) {
        await perform(lab, step, i);
        assertNoneTwice(lab);
      }
      for (const id of ["n1", "n2"]) await lab.nodeUp(id);
      for (const id of ["s1", "s2"]) await lab.scale(id, 5);
      for (let i = 0; i < 20; i++) await lab.advance(30_000);
      assert.equal(
        lab.running("s1").length + lab.running("s2").length,
        10,
        "10 of 13 addresses: room for all",
      );
      assertNoneTwice(lab);
      await lab.close();
    }),
    { numRuns: 25 },
  );
});

async function perform(lab: ControlLab, step: Action, i: number): Promise<void> {
  switch (step.kind) {
    case "scale":
      return lab.scale(step.service, step.replicas);
    case "image":
      return lab.setImage(step.service, `app:v${i}`);
    case "crash":
      return lab.crash(lab.running(step.service)[0]?.id ?? "");
    case "leader":
      return lab.changeLeader();
    case "down":
      return lab.nodeDown(step.node);
    case "up":
      return lab.nodeUp(step.node);
    case "advance":
      return lab.advance(step.ms);
  }
}

function assertNoneTwice(lab: ControlLab): void {
  const seen = new Set<string>(["10.0.1.1/28"]);
  const ended = new Set<string>([
    TaskState.COMPLETE,
    TaskState.SHUTDOWN,
    TaskState.FAILED,
    TaskState.REJECTED,
    TaskState.REMOVE,
    TaskState.ORPHANED,
  ]);
  const held = lab.test.store.view((tx) => [
    ...tx.list("service").flatMap((service) => service.endpoint?.virtualIps.map((vip) => vip.address) ?? []),
    ...tx
      .list("task")
      .filter((task) => !ended.has(task.status?.state ?? ""))
      .flatMap((task) => task.networks.flatMap((network) => network.addresses)),
  ]);
  for (const address of held) {
    assert.ok(!seen.has(address), `${address} is used twice`);
    seen.add(address);
  }
}

test("the first look at many tasks lets others run meanwhile", async () => {
  const { store, clock, random, log } = createTestStore();
  const ids = Array.from({ length: 2_000 }, (_, at) => `t${at}`);
  await store.batch(ids, (tx, id) => tx.create("task", Task.fromPartial({ id, allocated: true })));
  let nowMs = 0;
  const slow: Clock = {
    nowMs: () => clock.nowMs(),
    monotonicMs: () => ++nowMs, // each look finds a millisecond gone
    setTimer: (delayMs, fire) => clock.setTimer(delayMs, fire),
    setInterval: (periodMs, fire) => clock.setInterval(periodMs, fire),
    sleep: (delayMs, options) => clock.sleep(delayMs, options),
  };
  const allocator = createAllocator({ store, clock: slow, random, log });
  allocator.start();
  let turns = 0;
  let isIdle = false;
  const idle = allocator.idle().then(() => {
    isIdle = true;
  });
  for (; !isIdle; turns++) await nextTurn();
  await idle;
  assert.ok(turns > 10, `${turns} turns`);
  await allocator.close();
});

test("a task on a network of its node has no address, and waits for none", async () => {
  const lab = new ControlLab();
  await lab.addNodes("a");
  await lab.createService("exporter", { task: { networks: [{ target: "host" }] } });
  await lab.settle();
  const [task] = lab.test.store.view((tx) => tx.list("task"));
  assert.equal(task?.status?.state, TaskState.RUNNING);
  assert.deepEqual(task?.networks, []);
  assert.deepEqual(lab.service("exporter").endpoint?.virtualIps, []);
  await lab.removeService("exporter");
  assert.deepEqual(lab.tasks("exporter"), []);
  await lab.close();
});
