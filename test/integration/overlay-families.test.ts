/**
 * Overlays on a real kernel: both families, each balance policy, several subnets, overlapping networks, an
 * underlay of IPv6, sizes that change live.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import type { TaskSandbox } from "../../net-overlay/network-plane.js";
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import {
  EndpointResource,
  EndpointState,
  NetworkResource,
  PeerResource,
  ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { BalancePolicy } from "../../proto/gen/skein/v1/types.js";
import type { TestHost, TestWorld } from "../support/network-world.js";
import { createTestWorld } from "../support/network-world.js";

const SUBNETS = [{ subnet: "10.0.1.0/24", gateway: "10.0.1.1" }, { subnet: "fd00:1::/64" }];
const VIPS = { ip: "10.0.1.2", ip6: "fd00:1::2" };
const PORT = 7000;

let world: TestWorld;
let revision = 0;
const sandboxes = new Map<string, TaskSandbox>();

async function tellAll(...upserts: NodeResource[]): Promise<void> {
  revision += 1;
  await Promise.all(
    world.hosts.map((host) => host.plane.apply({ complete: false, revision, upserts, removals: [] })),
  );
}

function network(fields: Parameters<typeof NetworkResource.fromPartial>[0] = {}): NodeResource {
  const value = NetworkResource.fromPartial({
    id: "dual",
    name: "dual",
    vni: 5001,
    ipam: SUBNETS,
    ...fields,
  });
  return { resource: { $case: "network", value } };
}

function service(balance: BalancePolicy, id = "svc"): NodeResource {
  const virtualIps = Object.values(VIPS).map((address) => ({ networkId: "dual", address: `${address}/24` }));
  return {
    resource: { $case: "service", value: ServiceResource.fromPartial({ id, name: id, virtualIps, balance }) },
  };
}

function peers(fields: { pathMtuBytes?: number; data?: (host: TestHost) => string } = {}): NodeResource[] {
  return world.hosts.map((host) => ({
    resource: {
      $case: "peer",
      value: PeerResource.fromPartial({
        nodeId: host.nodeId,
        hostname: host.nodeId,
        number: host.number,
        dataPathAddress: fields.data?.(host) ?? host.address,
        vxlanUdpPort: 4789,
        pathMtuBytes: fields.pathMtuBytes ?? 0,
      }),
    },
  }));
}

interface TaskOptions {
  readonly id: string;
  readonly networkId?: string;
  readonly addresses: readonly string[];
  readonly serviceId?: string;
  readonly state?: EndpointState;
}

function endpointOf(host: TestHost, options: TaskOptions): NodeResource {
  const { id, networkId = "dual", addresses, serviceId = "svc", state = EndpointState.READY } = options;
  const value = EndpointResource.fromPartial({
    taskId: id,
    serviceId,
    nodeId: host.nodeId,
    state,
    attachments: [{ networkId, addresses: [...addresses] }],
  });
  return { resource: { $case: "endpoint", value } };
}

/** A task that greets with its id and its client's address, by both families. */
async function start(host: TestHost, options: TaskOptions): Promise<void> {
  const { id, networkId = "dual", addresses, serviceId = "svc" } = options;
  const task = Task.fromPartial({
    id,
    serviceId,
    nodeId: host.nodeId,
    networks: [{ networkId, addresses: [...addresses] }],
  });
  const sandbox = await host.plane.attachTask(task, { hostname: id, extraHosts: [] });
  sandboxes.set(id, sandbox);
  world.greet(sandbox.netnsPath, PORT, id);
  world.greet(sandbox.netnsPath, PORT, id, "::");
  await tellAll(endpointOf(host, options));
}

async function ask(from: string, address: string): Promise<string> {
  const { out } = await world.run(
    sandboxes.get(from)?.netnsPath ?? "",
    ...["busybox", "nc", "-w", "2", address, String(PORT)],
  );
  return out;
}

async function tally(from: string, address: string, count: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < count; i += 1) {
    const [who = ""] = (await ask(from, address)).split(" ");
    counts[who] = (counts[who] ?? 0) + 1;
  }
  return counts;
}

function hostAt(index: number): TestHost {
  const host = world.hosts[index];
  assert.ok(host);
  return host;
}

function linkOf(netns: string, name: string): { mtu: number } {
  const out = execFileSync("nsenter", [`--net=${netns}`, "ip", "-j", "link", "show", name], {
    encoding: "utf8",
  });
  const [link] = JSON.parse(out) as { mtu: number }[]; // ip(8)'s own shape
  assert.ok(link);
  return link;
}

before(async () => {
  world = await createTestWorld(2, { ipv6: true });
  await tellAll(network(), ...peers(), service(BalancePolicy.ROUND_ROBIN));
  await start(hostAt(0), { id: "a1", addresses: ["10.0.1.11/24", "fd00:1::11/64"] });
  await start(hostAt(0), { id: "a2", addresses: ["10.0.1.12/24", "fd00:1::12/64"] });
  await start(hostAt(1), { id: "b1", addresses: ["10.0.1.21/24", "fd00:1::21/64"] });
  await start(hostAt(1), { id: "b2", addresses: ["10.0.1.22/24", "fd00:1::22/64"] });
});

after(async () => {
  await world.close();
});

test("tasks reach each other by both families, here and on another node, seen by their own address", async () => {
  for (const [to, v4, v6] of [
    ["a2", "10.0.1.12", "fd00:1::12"],
    ["b1", "10.0.1.21", "fd00:1::21"],
  ] as const) {
    assert.match(await ask("a1", v4), new RegExp(`^${to} .*10\\.0\\.1\\.11$`));
    assert.equal(await ask("a1", v6), `${to} fd00:1::11`);
  }
});

test("the network's gateway answers by both families", async () => {
  for (const address of ["10.0.1.1", "fd00:1::1"]) {
    const ping = address.includes(":") ? ["ping", "-6"] : ["ping"];
    const { code, out } = await world.run(
      sandboxes.get("a1")?.netnsPath ?? "",
      ...["busybox", ...ping, "-c", "1", "-W", "2", address],
    );
    assert.equal(code, 0, out);
  }
});

for (const [family, vip] of Object.entries(VIPS)) {
  test(`round robin by ${family} is even, also to a task itself`, async () => {
    await tellAll(service(BalancePolicy.ROUND_ROBIN));
    assert.deepEqual(await tally("a1", vip, 8), { a1: 2, a2: 2, b1: 2, b2: 2 });
  });

  test(`the source hash by ${family} leads a client to the same task, from whichever node`, async () => {
    await tellAll(service(BalancePolicy.SOURCE_HASH));
    for (const from of ["a1", "b1"]) assert.equal(Object.keys(await tally(from, vip, 5)).length, 1);
  });

  test(`local first by ${family} stays here, and spills when there is nobody`, async () => {
    await tellAll(service(BalancePolicy.LOCAL_FIRST));
    assert.deepEqual(await tally("a1", vip, 4), { a1: 2, a2: 2 });
    const draining = { state: EndpointState.DRAINING };
    await tellAll(
      endpointOf(hostAt(0), { id: "a1", addresses: ["10.0.1.11/24", "fd00:1::11/64"], ...draining }),
      endpointOf(hostAt(0), { id: "a2", addresses: ["10.0.1.12/24", "fd00:1::12/64"], ...draining }),
    );
    assert.deepEqual(await tally("a1", vip, 4), { b1: 2, b2: 2 });
    await tellAll(
      endpointOf(hostAt(0), { id: "a1", addresses: ["10.0.1.11/24", "fd00:1::11/64"] }),
      endpointOf(hostAt(0), { id: "a2", addresses: ["10.0.1.12/24", "fd00:1::12/64"] }),
      service(BalancePolicy.ROUND_ROBIN),
    );
  });
}

test("a VIP of IPv6 without a ready task refuses at once", async () => {
  const idle = ServiceResource.fromPartial({
    id: "idle",
    name: "idle",
    virtualIps: [{ networkId: "dual", address: "fd00:1::99/64" }],
  });
  await tellAll({ resource: { $case: "service", value: idle } });
  const startedAt = performance.now();
  const { code } = await world.run(
    sandboxes.get("a1")?.netnsPath ?? "",
    ...["busybox", "nc", "-w", "5", "fd00:1::99", String(PORT)],
  );
  assert.notEqual(code, 0);
  assert.ok(performance.now() - startedAt < 2_000, "refused, not timed out");
});

test("a source of IPv6 that is not the task's own is dropped", async () => {
  const netns = sandboxes.get("a1")?.netnsPath ?? "";
  await world.run(netns, "ip", "addr", "add", "fd00:1::77/128", "dev", "eth0", "nodad");
  const from = ["busybox", "ping", "-6", "-c", "1", "-W", "1", "-I"];
  const spoofed = await world.run(netns, ...from, "fd00:1::77", "fd00:1::21");
  assert.notEqual(spoofed.code, 0);
  const own = await world.run(netns, ...from, "fd00:1::11", "fd00:1::21");
  assert.equal(own.code, 0, own.out);
  await world.run(netns, "ip", "addr", "del", "fd00:1::77/128", "dev", "eth0");
});

test("hosts of a dual-stack task name it by both addresses", () => {
  assert.match(sandboxes.get("a1")?.etcHosts ?? "", /^10\.0\.1\.11\ta1\nfd00:1::11\ta1$/m);
});

test("a subnet added live is reached from tasks that were there, and the other way round", async () => {
  await tellAll(network({ ipam: [...SUBNETS, { subnet: "10.0.7.0/24" }, { subnet: "fd00:7::/64" }] }));
  await start(hostAt(1), { id: "c1", addresses: ["10.0.7.31/24", "fd00:7::31/64"], serviceId: "other" });
  assert.match(await ask("a1", "10.0.7.31"), /^c1 .*10\.0\.1\.11$/);
  assert.equal(await ask("a1", "fd00:7::31"), "c1 fd00:1::11");
  assert.match(await ask("c1", "10.0.1.11"), /^a1 .*10\.0\.7\.31$/);
  assert.equal(await ask("c1", "fd00:1::11"), "a1 fd00:7::31");
  assert.equal(Object.keys(await tally("c1", VIPS.ip, 4)).length, 4);
  assert.equal(Object.keys(await tally("c1", VIPS.ip6, 4)).length, 4);
});

test("networks with the same subnets do not meet", async () => {
  await tellAll(network({ id: "twin", name: "twin", vni: 5002 }));
  await start(hostAt(0), { id: "t1", networkId: "twin", addresses: ["10.0.1.11/24", "fd00:1::11/64"] });
  await start(hostAt(1), { id: "t2", networkId: "twin", addresses: ["10.0.1.21/24", "fd00:1::21/64"] });
  for (const address of ["10.0.1.21", "fd00:1::21"]) {
    assert.match(await ask("t1", address), /^t2 /);
    assert.match(await ask("a1", address), /^b1 /);
  }
});

test("a network of IPv6 alone works", async () => {
  await tellAll(network({ id: "six", name: "six", vni: 5003, ipam: [{ subnet: "fd00:6::/64" }] }));
  await start(hostAt(0), { id: "s1", networkId: "six", addresses: ["fd00:6::11/64"], serviceId: "six" });
  await start(hostAt(1), { id: "s2", networkId: "six", addresses: ["fd00:6::21/64"], serviceId: "six" });
  assert.equal(await ask("s1", "fd00:6::21"), "s2 fd00:6::11");
});

test("an audit finds nothing to mend", async () => {
  for (const host of world.hosts) {
    const found = await host.plane.inspect?.();
    assert.ok(found);
    assert.deepEqual(found.report.recent, []);
    assert.deepEqual(found.report.standing, []);
  }
});

test("a smaller path is taken live: by tunnels, by interfaces of tasks, on both ends", async () => {
  const netns = sandboxes.get("a1")?.netnsPath ?? "";
  assert.equal(linkOf(netns, "eth0").mtu, 1_450);
  await tellAll(...peers({ pathMtuBytes: 1_400 }));
  assert.equal(linkOf(netns, "eth0").mtu, 1_350);
  const bytes = ["busybox", "ping", "-c", "1", "-W", "2", "-s", "1300", "10.0.1.21"];
  assert.equal((await world.run(netns, ...bytes)).code, 0);
  await tellAll(...peers({ pathMtuBytes: 1_500 }));
  assert.equal(linkOf(netns, "eth0").mtu, 1_450);
});

test("a restarted daemon finds everything in place", async () => {
  const host = hostAt(0);
  await host.restart();
  revision += 1;
  const ipam = [...SUBNETS, { subnet: "10.0.7.0/24" }, { subnet: "fd00:7::/64" }];
  const upserts = [
    network({ ipam }),
    ...peers(),
    service(BalancePolicy.ROUND_ROBIN),
    ...(["a1", "a2", "b1", "b2"] as const).map((id) => {
      const number = `${id.startsWith("a") ? 1 : 2}${id.slice(1)}`;
      return endpointOf(hostAt(id.startsWith("a") ? 0 : 1), {
        id,
        addresses: [`10.0.1.${number}/24`, `fd00:1::${number}/64`],
      });
    }),
  ];
  await host.plane.apply({ complete: true, revision, upserts, removals: [] });
  for (const vip of Object.values(VIPS)) assert.equal(Object.keys(await tally("a1", vip, 4)).length, 4);
});

test("between hosts of IPv6, tunnels carry both families; a node of the other family is named", async () => {
  const six = (host: TestHost): string => `fd99::${host.index}`;
  const configure = (host: TestHost): Promise<void> =>
    host.plane.configure({
      nodeId: host.nodeId,
      number: host.number,
      dataPathAddress: six(host),
      vxlanUdpPort: 4789,
    });
  await configure(hostAt(0));
  assert.match(hostAt(0).plane.trouble, /does not reach node2.*different families/);
  await configure(hostAt(1));
  await tellAll(
    ...peers({ data: six }),
    endpointOf(hostAt(1), { id: "b1", addresses: ["10.0.1.21/24", "fd00:1::21/64"] }),
  );
  assert.doesNotMatch(hostAt(0).plane.trouble, /different families/);
  assert.match(await ask("a1", "10.0.1.21"), /^b1 /);
  assert.equal(await ask("a1", "fd00:1::21"), "b1 fd00:1::11");
  assert.equal(linkOf(sandboxes.get("a1")?.netnsPath ?? "", "eth0").mtu, 1_430);
});
