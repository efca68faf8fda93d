/**
 * Published ports on a real kernel: where they are open, for whom, what a task sees of its client, and which
 * task a client gets. Three hosts as namespaces, a client beside them.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { transitIpv6 } from "../../net-overlay/vxlan/transit.js";
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import {
  EndpointResource,
  EndpointState,
  PeerResource,
  ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { BalancePolicy, PublishMode, SourceMode } from "../../proto/gen/skein/v1/types.js";
import type { TestHost, TestWorld } from "../support/network-world.js";
import { createTestWorld, ipv6Of } from "../support/network-world.js";

const ENTRY = 8080;
let world: TestWorld;
let revision = 0;
/** Task id -> its namespace. */
const netns = new Map<string, string>();
const endpoints: EndpointResource[] = [];

type Port = Parameters<typeof ServiceResource.fromPartial>[0]["ports"];

/** Publishes the one service anew, on all hosts. */
async function publish(port: object, fields: { balance?: BalancePolicy } = {}): Promise<void> {
  const ports = [{ targetPort: 80, publishedPort: ENTRY, ...port }] as NonNullable<Port>;
  const value = ServiceResource.fromPartial({ id: "svcweb", name: "web", ports, ...fields });
  revision += 1;
  const upserts: NodeResource[] = [{ resource: { $case: "service", value } }];
  await Promise.all(
    world.hosts.map(({ plane }) => plane.apply({ complete: false, revision, upserts, removals: [] })),
  );
}

function hostAt(index: number): TestHost {
  return world.hosts[index] ?? assert.fail();
}

async function start(host: TestHost, slot: number): Promise<void> {
  const id = `task${host.index}${slot}`;
  const task = Task.fromPartial({
    id,
    serviceId: "svcweb",
    nodeId: host.nodeId,
    endpoint: { ports: [{ targetPort: 80, publishedPort: ENTRY }] },
  });
  const sandbox = await host.plane.attachTask(task, { hostname: id, extraHosts: [] });
  netns.set(id, sandbox.netnsPath);
  world.greet(sandbox.netnsPath, 80, id);
  world.greet(sandbox.netnsPath, 80, id, "::");
  endpoints.push(
    EndpointResource.fromPartial({
      taskId: id,
      serviceId: "svcweb",
      nodeId: host.nodeId,
      state: EndpointState.READY,
      gatewayAddress: sandbox.gatewayAddress,
    }),
  );
}

before(async () => {
  world = await createTestWorld(3, { ipv6: true });
  const peers = world.hosts.map(
    ({ nodeId, number, address }): NodeResource => ({
      resource: {
        $case: "peer",
        value: PeerResource.fromPartial({
          nodeId,
          number,
          dataPathAddress: address,
          nodeAddresses: [address, ipv6Of(address)],
          vxlanUdpPort: 4789,
        }),
      },
    }),
  );
  const tell = async (complete: boolean, upserts: NodeResource[]): Promise<void> => {
    revision += 1;
    const changes = { complete, revision, upserts, removals: [] };
    await Promise.all(world.hosts.map(({ plane }) => plane.apply(changes)));
  };
  await tell(true, peers);
  await start(hostAt(0), 1);
  await start(hostAt(1), 1);
  await start(hostAt(1), 2);
  await tell(
    false,
    endpoints.map((value) => ({ resource: { $case: "endpoint", value } })),
  );
});

after(async () => {
  await world?.close();
});

/** One connection. @returns "task11 10.99.0.100", or "" when it was refused. */
async function greeting(from: string, address: string, port = ENTRY): Promise<string> {
  const { out, code } = await world.run(from, "busybox", "nc", "-w", "3", address, String(port));
  return code === 0 ? out : "";
}

async function greetings(from: string, address: string, count: number): Promise<string[]> {
  const all: string[] = [];
  for (let round = 0; round < count; round += 1) all.push(await greeting(from, address));
  return all;
}

/** A refusal comes at once: a reset or an ICMP error, not a silence. */
async function refused(from: string, address: string): Promise<void> {
  const since = performance.now();
  assert.equal(await greeting(from, address), "");
  assert.ok(performance.now() - since < 2_000, "refused at once");
}

const taskIn = (greeted: string): string => greeted.split(" ")[0] ?? "";

test("every task in its turn, and each sees the client: outside, another node, a task", async () => {
  await publish({});
  for (const host of world.hosts) {
    const told = await greetings(world.clientNetns, host.address, 6);
    assert.deepEqual(
      [...new Set(told)].sort(),
      ["task11", "task21", "task22"].map((id) => `${id} 10.99.0.100`),
    );
    const counts = new Map<string, number>();
    for (const greeted of told) counts.set(greeted, (counts.get(greeted) ?? 0) + 1);
    assert.ok(Math.max(...counts.values()) <= 4, "turn by turn, on whatever processors it comes in");
  }
  const fromNode = await greetings(hostAt(2).netns, hostAt(0).address, 6);
  assert.deepEqual(
    new Set(fromNode.map((greeted) => greeted.split(" ")[1])),
    new Set([`100.${64 + (300 >> 8)}.${300 & 255}.1`]),
    "a node is known by its transit address",
  );
  const inTask = netns.get("task21") ?? "";
  const fromTask = await greetings(inTask, hostAt(2).address, 6);
  const gateway = endpoints.find(({ taskId }) => taskId === "task21")?.gatewayAddress;
  assert.ok(fromTask.includes(`task11 ${gateway}`) && fromTask.includes(`task22 ${gateway}`));
  assert.notEqual(await greeting(hostAt(2).netns, "127.0.0.1"), "");
});

test("on a chosen address it is open there alone; other nodes say that they have none of it", async () => {
  await publish({ hostAddresses: [hostAt(0).address] });
  assert.match(await greeting(world.clientNetns, hostAt(0).address), /10\.99\.0\.100$/);
  await refused(world.clientNetns, hostAt(1).address);
  await refused(hostAt(0).netns, "127.0.0.1");
  assert.notEqual(await greeting(hostAt(0).netns, hostAt(0).address), "");
  const told = hostAt(1).log.lines.filter(({ message }) => message.includes("has none of its addresses"));
  assert.deepEqual(
    told.map(({ fields }) => fields["port"]),
    [`${ENTRY}/tcp on ${hostAt(0).address}`],
  );
});

test("on a chosen interface it is open for what comes in by it", async () => {
  await publish({ hostAddresses: ["eth0"] });
  for (const host of world.hosts) assert.notEqual(await greeting(world.clientNetns, host.address), "");
  await refused(hostAt(0).netns, hostAt(0).address);
  await publish({ hostAddresses: ["eth7"] });
  await refused(world.clientNetns, hostAt(0).address);
});

test("clients outside the list are refused at once, wherever they are", async () => {
  await publish({ allowedSources: ["10.99.0.100/32"] });
  assert.notEqual(await greeting(world.clientNetns, hostAt(2).address), "");
  await refused(hostAt(2).netns, hostAt(0).address);
  await refused(hostAt(2).netns, "127.0.0.1");
  await refused(netns.get("task11") ?? "", hostAt(0).address);
  await publish({ allowedSources: ["10.0.0.0/9", "100.64.0.0/10"] });
  assert.notEqual(await greeting(netns.get("task11") ?? "", hostAt(0).address), "");
  await publish({ allowedSources: ["192.168.0.0/16"] });
  for (const host of world.hosts) await refused(world.clientNetns, host.address);
});

test("nobody goes round the list by a task's transit address", async () => {
  const address = endpoints.find(({ taskId }) => taskId === "task21")?.gatewayAddress ?? "";
  await publish({ allowedSources: ["10.99.0.100/32"] });
  for (const from of ["task11", "task22"]) {
    const { code } = await world.run(netns.get(from) ?? "", "busybox", "nc", "-w", "3", address, "80");
    assert.notEqual(code, 0, `${from}, a task`);
  }
  const route = ["ip", "route", "add", `${address}/32`, "via", hostAt(1).address];
  assert.equal((await world.run(world.clientNetns, ...route)).code, 0);
  assert.equal(await greeting(world.clientNetns, address, 80), "", "a neighbour that routes there");
});

test("with SNAT the task sees the entry node, wherever it is itself", async () => {
  await publish({ sourceMode: SourceMode.SNAT });
  const told = await greetings(world.clientNetns, hostAt(1).address, 6);
  assert.deepEqual(
    [...new Set(told)].sort(),
    ["task11", "task21", "task22"].map((id) => `${id} 100.64.2.1`),
  );
  assert.match(await greeting(netns.get("task11") ?? "", hostAt(1).address), / 100\.64\.1\.1$/);
});

test("by source hash a client stays with its task, through every node; local first keeps to the node", async () => {
  await publish({}, { balance: BalancePolicy.SOURCE_HASH });
  const tasks = new Set<string>();
  for (const host of world.hosts)
    for (const greeted of await greetings(world.clientNetns, host.address, 3)) tasks.add(taskIn(greeted));
  assert.equal(tasks.size, 1, [...tasks].join());
  await publish({}, { balance: BalancePolicy.LOCAL_FIRST });
  const seenAt = async (index: number): Promise<string[]> =>
    [...new Set((await greetings(world.clientNetns, hostAt(index).address, 6)).map(taskIn))].sort();
  assert.deepEqual(await seenAt(0), ["task11"]);
  assert.deepEqual(await seenAt(1), ["task21", "task22"]);
  assert.deepEqual(await seenAt(2), ["task11", "task21", "task22"], "none here: all of them");
});

test("a host-mode port has chosen places and clients, too", async () => {
  const host = hostAt(2);
  const attach = (hostAddresses: string[], allowedSources: string[] = []): Promise<unknown> => {
    const port = { targetPort: 80, publishedPort: 9090, publishMode: PublishMode.HOST };
    const endpoint = { ports: [{ ...port, hostAddresses, allowedSources }] };
    const task = Task.fromPartial({ id: "task31", serviceId: "own", nodeId: host.nodeId, endpoint });
    return host.plane.attachTask(task, { hostname: "task31", extraHosts: [] });
  };
  await assert.rejects(attach(["10.1.1.1"]), /port 9090\/tcp: none of 10\.1\.1\.1 is on node node3/);
  const { netnsPath } = (await attach([host.address], ["10.99.0.100/32"])) as { netnsPath: string };
  world.greet(netnsPath, 80, "task31");
  assert.equal(await greeting(world.clientNetns, host.address, 9090), "task31 10.99.0.100");
  assert.equal(await greeting(hostAt(0).netns, host.address, 9090), "");
});

test("by IPv6: every task through every node, and each sees the client's address", async () => {
  await publish({});
  const client = ipv6Of(world.clientAddress);
  for (const host of world.hosts) {
    const told = await greetings(world.clientNetns, ipv6Of(host.address), 6);
    assert.deepEqual(
      [...new Set(told)].sort(),
      ["task11", "task21", "task22"].map((id) => `${id} ${client}`),
    );
  }
  assert.deepEqual(hostAt(0).plane.nodeAddresses, [hostAt(0).address, ipv6Of(hostAt(0).address)]);
});

test("by IPv6: nodes, their own loopback, and tasks are clients, too", async () => {
  const fromNode = await greetings(hostAt(2).netns, ipv6Of(hostAt(0).address), 6);
  assert.deepEqual(
    new Set(fromNode.map((greeted) => greeted.split(" ")[1])),
    new Set(["fd53:6b65:696e:12c::1"]),
  );
  for (const host of world.hosts) {
    const own = await greetings(host.netns, "::1", 6);
    assert.deepEqual([...new Set(own.map(taskIn))].sort(), ["task11", "task21", "task22"], host.nodeId);
  }
  const gateway = endpoints.find(({ taskId }) => taskId === "task21")?.gatewayAddress ?? "";
  const fromTask = await greetings(netns.get("task21") ?? "", ipv6Of(hostAt(2).address), 6);
  assert.ok(fromTask.includes(`task11 ${transitIpv6(gateway)}`), fromTask.join());
});

test("by IPv6: chosen addresses, clients and SNAT", async () => {
  const [address, client] = [ipv6Of(hostAt(0).address), ipv6Of(world.clientAddress)];
  await publish({ hostAddresses: [address] });
  assert.notEqual(await greeting(world.clientNetns, address), "");
  await refused(world.clientNetns, ipv6Of(hostAt(1).address));
  await refused(world.clientNetns, hostAt(0).address);
  await publish({ allowedSources: [`${client}/128`] });
  assert.notEqual(await greeting(world.clientNetns, address), "");
  await refused(world.clientNetns, hostAt(0).address);
  await refused(hostAt(1).netns, address);
  await publish({ sourceMode: SourceMode.SNAT });
  assert.match(await greeting(world.clientNetns, address), / fd53:6b65:696e:1::1$/);
});

test("by IPv6: a task goes out under its node's address, and is reached by no way round", async () => {
  world.greet(world.clientNetns, 7000, "outside", "::");
  const out = await greeting(netns.get("task21") ?? "", ipv6Of(world.clientAddress), 7000);
  assert.equal(out, `outside ${ipv6Of(hostAt(1).address)}`);
  const { out: routes } = await world.run(netns.get("task11") ?? "", "ip", "-6", "route");
  const twin = transitIpv6(endpoints.find(({ taskId }) => taskId === "task21")?.gatewayAddress ?? "");
  assert.match(routes, /default via fd53:6b65:696e:1::1/);
  const { code } = await world.run(netns.get("task11") ?? "", "busybox", "nc", "-w", "3", twin, "80");
  assert.notEqual(code, 0);
});

test("the audit finds nothing amiss, and leaving takes both families away", async () => {
  await publish({});
  for (const host of world.hosts) {
    const report = await host.plane.inspect?.();
    assert.deepEqual([report?.report.standing, report?.report.recent], [[], []], host.nodeId);
  }
  const host = hostAt(2);
  await host.plane.removeAll();
  const { out } = await world.run(
    host.netns,
    "sh",
    "-c",
    "nft list ruleset; ip -6 rule; ip -6 route show table all; ip rule; ip -o link",
  );
  assert.doesNotMatch(out, /skein|skg|proto 83|fd53|2200/);
});
