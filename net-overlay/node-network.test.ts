import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../base/clock/manual-clock.js";
import { MemoryLogger } from "../base/log/logger.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import type { NodeResource } from "../proto/gen/skein/v1/dispatcher.js";
import { ResourceKind } from "../proto/gen/skein/v1/dispatcher.js";
import { Task } from "../proto/gen/skein/v1/objects.js";
import { PortProtocol, PublishMode } from "../proto/gen/skein/v1/types.js";
import { MemoryDataPlane } from "./dataplane/memory-data-plane.js";
import { MemorySandboxRecords } from "./dataplane/sandbox-records.js";
import { endpoint, identity, network, peer, service } from "./endpoints/network-fixtures.js";
import { NodeNetwork } from "./node-network.js";
import type { SandboxDns } from "./task-sandboxes.js";

class MemoryDns implements SandboxDns {
  readonly served = new Set<string>();
  /** Somebody in the sandbox has it. */
  isPortTaken = false;

  open({ taskId }: { taskId: string }): void {
    if (this.isPortTaken) throw new Error("port 65353 is taken");
    this.served.add(taskId);
  }

  closeSandbox(taskId: string): void {
    this.served.delete(taskId);
  }

  close(): void {
    this.served.clear();
  }
}

interface World {
  readonly dataPlane: MemoryDataPlane;
  readonly records: MemorySandboxRecords;
  readonly dns: MemoryDns;
  readonly clock: ManualClock;
  readonly log: MemoryLogger;
  readonly plane: NodeNetwork;
}

async function open(from: Partial<World> = {}): Promise<World> {
  const dns = new MemoryDns();
  const { dataPlane = new MemoryDataPlane(), records = new MemorySandboxRecords() } = from;
  const world = { dataPlane, records, dns, clock: new ManualClock(), log: new MemoryLogger() };
  const plane = new NodeNetwork({ ...world, random: new SeededRandom("a"), dns: () => dns });
  await plane.configure(identity);
  return { ...world, plane };
}

const attachment = { hostname: "box", extraHosts: [] };
let revision = 0;

async function tell(world: World, ...upserts: NodeResource[]): Promise<void> {
  revision += 1;
  await world.plane.apply({ complete: false, revision, upserts, removals: [] });
}

function taskOf(number: number, fields: Parameters<typeof Task.fromPartial>[0] = {}): Task {
  const networks = [{ networkId: "net1", addresses: [`10.0.1.${number}/24`] }];
  return Task.fromPartial({ id: `task${number}`, serviceId: "svc1", networks, ...fields });
}

test("attaching gives a sandbox in plans, records and DNS; detaching takes it out of all", async () => {
  const world = await open();
  await tell(world, network(), service(), peer(2), endpoint(21));
  const sandbox = await world.plane.attachTask(taskOf(11), attachment);
  assert.equal(sandbox.gatewayAddress, "100.64.1.2");
  assert.deepEqual(world.dataPlane.mesh?.localTasks, ["100.64.1.2"]);
  assert.deepEqual(world.dataPlane.overlays.get("net1")?.localTasks, ["10.0.1.11"]);
  assert.deepEqual([...world.dns.served], ["task11"]);
  assert.deepEqual(
    world.plane.taskNetworks("task11").map(({ networkId, address }) => [networkId, address]),
    [["net1", "10.0.1.11"]],
  );
  await world.plane.detachTask("task11");
  await world.plane.detachTask("task11");
  assert.deepEqual(world.plane.taskNetworks("task11"), []);
  assert.deepEqual(world.dataPlane.mesh?.localTasks, []);
  assert.deepEqual(world.dataPlane.overlays.get("net1")?.localTasks, []);
  assert.deepEqual(
    [world.dataPlane.listSandboxes(), world.records.list(), [...world.dns.served]],
    [[], [], []],
  );
});

test("a restart adopts what lives, forgets what does not, and gives out no address twice", async () => {
  const first = await open();
  await tell(first, network());
  const sandbox = await first.plane.attachTask(taskOf(11), attachment);
  await first.plane.attachTask(taskOf(12), attachment);
  await first.plane.close();
  await first.dataPlane.removeSandbox("task12");
  const second = await open(first);
  assert.deepEqual([...second.dns.served], ["task11"]);
  assert.deepEqual(
    second.dataPlane.mesh?.localTasks,
    ["100.64.1.2", "100.64.1.3"],
    "untouched until told what there is",
  );
  assert.deepEqual(await second.plane.attachTask(taskOf(11), attachment), sandbox);
  await tell(second, network());
  assert.deepEqual(second.dataPlane.mesh?.localTasks, ["100.64.1.2"]);
  assert.equal((await second.plane.attachTask(taskOf(13), attachment)).gatewayAddress, "100.64.1.3");
  await second.plane.retain(new Set(["task13"]));
  assert.deepEqual(second.dataPlane.listSandboxes(), ["task13"]);
});

test("what fails to apply keeps the revision back and is tried again", async () => {
  const world = await open();
  world.dataPlane.nextFailure = new Error("kernel says no");
  await assert.rejects(tell(world, network()), /kernel says no/);
  assert.equal(world.plane.appliedRevision, 0);
  world.clock.advance(1_000);
  await world.plane.apply({ complete: false, revision, upserts: [], removals: [] });
  assert.ok(world.dataPlane.overlays.has("net1"));
  assert.equal(world.plane.appliedRevision, revision);
});

test("a sandbox that cannot be made leaves nothing behind", async () => {
  const world = await open();
  await tell(world, network());
  world.dataPlane.nextFailure = new Error("kernel says no");
  await assert.rejects(world.plane.attachTask(taskOf(11), attachment), /kernel says no/);
  assert.deepEqual(
    [world.dataPlane.listSandboxes(), world.records.list(), [...world.dns.served]],
    [[], [], []],
  );
  await assert.rejects(
    world.plane.attachTask(taskOf(12, { networks: [{ networkId: "none" }] }), attachment),
    /network none/,
  );
});

test("a running task that has taken the port of names goes on without them until it is free", async () => {
  const world = await open();
  await tell(world, network());
  await world.plane.attachTask(taskOf(11), attachment);
  world.dns.closeSandbox("task11");
  world.dns.isPortTaken = true;
  await world.plane.attachTask(taskOf(11), attachment);
  assert.equal(world.plane.trouble, "names are not served to task task11: port 65353 is taken");
  world.clock.advance(5_000);
  world.dns.isPortTaken = false;
  world.clock.advance(5_000);
  assert.deepEqual([...world.dns.served], ["task11"]);
  assert.equal(world.plane.trouble, "");
});

test("a sandbox is recorded only when it is whole: one cut short by a crash is not adopted", async () => {
  const world = await open();
  await tell(world, network());
  const recordedAtCreation: number[] = [];
  const create = world.dataPlane.createSandbox.bind(world.dataPlane);
  world.dataPlane.createSandbox = (sandbox) => {
    recordedAtCreation.push(world.records.list().length);
    create(sandbox);
  };
  await world.plane.attachTask(taskOf(11), attachment);
  await world.dataPlane.removeSandbox("task11"); // as if somebody had deleted the namespace
  await world.plane.attachTask(taskOf(11), attachment);
  assert.deepEqual(recordedAtCreation, [0, 0]);
  assert.equal(world.records.list().length, 1);
});

test("host ports: taken by a task, the mesh or a process is refused; none named is chosen", async () => {
  const world = await open();
  await tell(world, network(), service({ ports: [{ targetPort: 80, publishedPort: 8080 }] }));
  const at = (number: number, publishedPort: number): Promise<unknown> => {
    const ports = [{ targetPort: 80, publishedPort, publishMode: PublishMode.HOST }];
    return world.plane.attachTask(taskOf(number, { endpoint: { ports } }), attachment);
  };
  world.dataPlane.heldPorts.add("22/tcp").add("32768/tcp");
  await at(11, 9090);
  await assert.rejects(at(12, 9090), /port 9090\/tcp is already in use on node node1/);
  await assert.rejects(at(12, 8080), /port 8080\/tcp is already in use/);
  await assert.rejects(at(12, 22), /port 22\/tcp is already in use/);
  const chosen = (
    await world.plane.attachTask(
      taskOf(13, { endpoint: { ports: [{ targetPort: 80, publishMode: PublishMode.HOST }] } }),
      attachment,
    )
  ).hostPorts;
  assert.equal(chosen[0]?.publishedPort, 32_769);
});

test("a port on chosen places: refused where there is none for a task's own, told where the mesh has it", async () => {
  const world = await open();
  await tell(world, network());
  world.dataPlane.heldPorts.add("10.99.0.1 9091/tcp");
  const at = (number: number, publishedPort: number, ...hostAddresses: string[]): Promise<unknown> => {
    const ports = [{ targetPort: 80, publishedPort, publishMode: PublishMode.HOST, hostAddresses }];
    return world.plane.attachTask(taskOf(number, { endpoint: { ports } }), attachment);
  };
  await assert.rejects(
    at(11, 9090, "10.1.1.1", "eth7"),
    /9090\/tcp: none of 10\.1\.1\.1, eth7 is on node node1/,
  );
  await assert.rejects(at(11, 9091, "10.99.0.1"), /port 9091\/tcp is already in use/);
  await at(11, 9090, "10.1.1.1", "eth0");
  await at(12, 9092, "0.0.0.0");
  const elsewhere = { targetPort: 80, publishedPort: 8080, hostAddresses: ["10.1.1.1"] };
  await tell(world, service({ ports: [elsewhere] }));
  await tell(world, peer(2));
  const warnings = world.log.lines.filter(({ level }) => level === "warn");
  assert.deepEqual(
    warnings.map(({ message }) => message),
    ["a published port is not open on this node, which has none of its addresses"],
  );
});

test("IPv6 that comes to the node later comes to the mesh, and to tasks that are there already", async () => {
  const world = await open();
  await tell(world, network());
  await world.plane.attachTask(taskOf(11), attachment);
  assert.equal(world.dataPlane.mesh?.hasIpv6, false);
  let told = 0;
  world.plane.onDescribed(() => {
    told += 1;
  });
  world.dataPlane.moreAddresses = ["fd99::1"];
  world.clock.advance(30_000);
  await world.plane.detachTask("none"); // behind it in the queue
  assert.equal(world.dataPlane.mesh?.hasIpv6, true);
  assert.deepEqual([...world.dataPlane.twinned], ["task11"]);
  assert.deepEqual([world.plane.nodeAddresses, told], [["10.99.0.1", "fd99::1"], 1]);
});

test("a port of SCTP on a kernel without it is a trouble with its cause", async () => {
  const world = await open();
  world.dataPlane.hasSctp = false;
  const ports = [{ targetPort: 80, publishedPort: 3868, protocol: PortProtocol.SCTP }];
  await tell(world, service({ ports }));
  assert.match(world.plane.trouble, /port 3868\/sctp is published, but this kernel has no SCTP/);
  await tell(world, service());
  assert.equal(world.plane.trouble, "");
});

test("a successor waits until its predecessor has given up their host port, and nobody else's", async () => {
  const world = await open();
  await tell(world, network());
  const ports = [{ targetPort: 80, publishedPort: 9090, publishMode: PublishMode.HOST }];
  const signal = new AbortController().signal;
  const old = taskOf(11, { endpoint: { ports } });
  await world.plane.attachTask(old, attachment);
  const next = taskOf(12, { endpoint: { ports }, replacesTaskId: old.id });
  let released = false;
  const waiting = world.plane.portsReleased(next, { signal }).then(() => (released = true));
  await world.plane.portsReleased(taskOf(13, { endpoint: { ports } }), { signal });
  await world.plane.portsReleased(taskOf(14, { replacesTaskId: old.id }), { signal });
  const given = world.plane.portsReleased(next, { signal: AbortSignal.abort(new Error("told to stop")) });
  await assert.rejects(given, /told to stop/);
  assert.equal(released, false);
  assert.deepEqual(
    world.plane.taskPorts(old.id).map(({ hostPort }) => hostPort),
    [9090],
  );
  await world.plane.detachTask(old.id);
  await waiting;
  await world.plane.attachTask(next, attachment);
});

test("a published port that a process holds is warned about once", async () => {
  const world = await open();
  world.dataPlane.heldPorts.add("8080/tcp");
  await tell(world, service({ ports: [{ targetPort: 80, publishedPort: 8080 }] }));
  await tell(world, peer(2));
  assert.equal(world.log.lines.filter(({ level }) => level === "warn").length, 1);
});

test("a network that goes stays until its last task here is gone", async () => {
  const world = await open();
  await tell(world, network());
  await world.plane.attachTask(taskOf(11), attachment);
  const removals = [{ kind: ResourceKind.NETWORK, id: "net1" }];
  await world.plane.apply({ complete: false, revision, upserts: [], removals });
  assert.ok(world.dataPlane.overlays.has("net1"));
  await world.plane.detachTask("task11");
  assert.ok(!world.dataPlane.overlays.has("net1"));
});

test("a complete set removes overlays of a life before", async () => {
  const first = await open();
  await tell(first, network());
  await first.plane.close();
  const second = await open(first);
  await second.plane.apply({ complete: true, revision, upserts: [], removals: [] });
  assert.deepEqual(second.dataPlane.listOverlays(), []);
});

test("rules that somebody else removed are made again", async () => {
  const world = await open();
  await tell(world, network());
  world.dataPlane.mesh = undefined;
  world.clock.advance(30_000);
  await world.plane.retain(new Set());
  await world.plane.detachTask("none"); // behind the repair in the queue
  assert.ok(world.dataPlane.mesh);
});

test("a look at the host that fails is taken again, and harms nobody", async () => {
  const world = await open();
  await tell(world, network());
  world.dataPlane.checkHost = () => {
    throw new Error("nft refused");
  };
  world.clock.advance(60_000);
  assert.equal(world.log.lines.filter(({ message }) => /could not be looked at/.test(message)).length, 2);
});

test("nothing is done before the node knows who it is", async () => {
  const dataPlane = new MemoryDataPlane();
  const options = { dataPlane, records: new MemorySandboxRecords(), dns: () => new MemoryDns() };
  const plane = new NodeNetwork({
    ...options,
    clock: new ManualClock(),
    random: new SeededRandom("a"),
    log: new MemoryLogger(),
  });
  await plane.apply({ complete: true, revision: 5, upserts: [network()], removals: [] });
  await assert.rejects(plane.attachTask(taskOf(11), attachment), /not configured yet/);
  await plane.configure(identity);
  assert.ok(dataPlane.overlays.has("net1"));
});
