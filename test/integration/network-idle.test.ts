/**
 * Idle connections on a real kernel: both ends are reset when a service's idle timeout is over, and not
 * before.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, Socket } from "node:net";
import { after, before, test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
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
import type { TestHost, TestWorld } from "../support/network-world.js";
import { createTestWorld } from "../support/network-world.js";
import { patient } from "../support/patience.js";

const VIP = "10.0.1.2";
const VIP6 = "fd00:1::2";
const LIMIT_MS = 3_000;
let world: TestWorld;
let revision = 0;
let client: TaskSandbox;
let server: TaskSandbox;
/** Connections that reached the server, with how each ended. */
const served: { from: string; ended: Promise<string> }[] = [];
const closers: (() => void)[] = [];

const network = NetworkResource.fromPartial({
  id: "net1",
  name: "front",
  vni: 4097,
  ipam: [
    { subnet: "10.0.1.0/24", gateway: "10.0.1.1" },
    { subnet: "fd00:1::/64", gateway: "fd00:1::1" },
  ],
});
const web = (idleTimeoutMs: number): ServiceResource =>
  ServiceResource.fromPartial({
    id: "svcweb",
    name: "web",
    virtualIps: [`${VIP}/24`, `${VIP6}/64`].map((address) => ({ networkId: "net1", address })),
    ports: [{ targetPort: 80, publishedPort: 8080 }],
    idleTimeoutMs,
  });

async function tell(upserts: NodeResource[], complete = false): Promise<void> {
  revision += 1;
  await Promise.all(
    world.hosts.map((host) => host.plane.apply({ complete, revision, upserts, removals: [] })),
  );
}

async function attach(host: TestHost, id: string, address: string, serviceId: string): Promise<TaskSandbox> {
  const ports = serviceId === "" ? [] : [{ targetPort: 80, publishedPort: 8080 }];
  const networks = [{ networkId: "net1", addresses: addressesOf(address) }];
  const task = Task.fromPartial({
    id,
    serviceId,
    slot: 1,
    nodeId: host.nodeId,
    networks,
    endpoint: { ports },
  });
  const sandbox = await host.plane.attachTask(task, { hostname: id, extraHosts: [] });
  const value = EndpointResource.fromPartial({
    taskId: id,
    taskName: id,
    serviceId,
    nodeId: host.nodeId,
    state: EndpointState.READY,
    attachments: [{ networkId: "net1", addresses: addressesOf(address) }],
    gatewayAddress: sandbox.gatewayAddress,
    hostname: id,
    slot: 1,
  });
  await tell([{ resource: { $case: "endpoint", value } }]);
  return sandbox;
}

function addressesOf(address: string): string[] {
  return [`${address}/24`, `fd00:1::${address.split(".")[3]}/64`];
}

/** How a connection ends: the error's code, or "end". */
function endOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on("end", () => resolve("end"));
    socket.resume();
  });
}

/** A connection out of a namespace, with the greeting already read by both. */
async function connect(
  netnsPath: string,
  address: string,
  port: number,
): Promise<{ socket: Socket; ended: Promise<string>; peer: Promise<string>; openedAtMs: number }> {
  const count = served.length;
  const fd = world.linux.bindSocket({
    netnsPath,
    kind: "tcp",
    address: address.includes(":") ? "::" : "0.0.0.0",
    port: 0,
    traits: ["unlistened"],
  });
  const socket = new Socket({ fd, readable: true, writable: true });
  socket.connect(port, address);
  await once(socket, "connect");
  socket.write("hello");
  await once(socket, "data");
  closers.push(() => socket.destroy());
  const openedAtMs = systemClock.monotonicMs();
  return { socket, ended: endOf(socket), peer: served[count]?.ended ?? Promise.resolve("never"), openedAtMs };
}

function within<T>(what: string, result: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = systemClock.setTimer(patient(15_000), () => reject(new Error(`${what}: not within time`)));
    result.then(resolve, reject).finally(() => timer.cancel());
  });
}

before(async () => {
  world = await createTestWorld(2);
  const peers = world.hosts.map(({ nodeId, number, address }): NodeResource => {
    const value = PeerResource.fromPartial({ nodeId, number, dataPathAddress: address, vxlanUdpPort: 4789 });
    return { resource: { $case: "peer", value } };
  });
  const service = web(3_600_000);
  await tell(
    [
      { resource: { $case: "network", value: network } },
      { resource: { $case: "service", value: service } },
      ...peers,
    ],
    true,
  );
  const [first, second] = world.hosts;
  assert.ok(first && second);
  client = await attach(first, "client", "10.0.1.50", "");
  server = await attach(second, "server", "10.0.1.21", "svcweb");
  for (const address of ["0.0.0.0", "::"]) {
    const fd = world.linux.bindSocket({ netnsPath: server.netnsPath, kind: "tcp", address, port: 80 });
    const listener = createServer((socket) => {
      served.push({ from: socket.remoteAddress ?? "", ended: endOf(socket) });
      socket.on("data", (data) => {
        if (data.toString() === "keep") socket.setKeepAlive(true, 1_000);
        socket.write(data);
      });
    });
    listener.listen({ fd });
    closers.push(() => listener.close());
  }
});

after(async () => {
  for (const close of closers) close();
  await world.close();
});

test("idle connections are reset at both ends, through VIP and mesh; others stay", async () => {
  const entry = world.hosts[0]?.address ?? "";
  const byVip = await connect(client.netnsPath, VIP, 80);
  const byVip6 = await connect(client.netnsPath, VIP6, 80);
  const byMesh = await connect(world.clientNetns, entry, 8080);
  const direct = await connect(client.netnsPath, "10.0.1.21", 80);
  const busy = await connect(client.netnsPath, VIP, 80);
  const ticks = systemClock.setInterval(500, () => busy.socket.write("tick"));
  closers.push(() => ticks.cancel());
  let firstEndAtMs: number | undefined;
  for (const end of [byVip.ended, byVip.peer, byMesh.ended, byMesh.peer]) {
    void end.then(() => {
      firstEndAtMs ??= systemClock.monotonicMs();
    });
  }
  await tell([{ resource: { $case: "service", value: web(LIMIT_MS) } }]);
  const all = Promise.all([byVip.ended, byVip6.ended, byMesh.peer, byVip.peer, byVip6.peer, byMesh.ended]);
  const ends = await within("resets", all);
  assert.ok((firstEndAtMs ?? 0) - byVip.openedAtMs >= LIMIT_MS, "not before their time");
  // the end whose socket was closed sees an abort, the other one a reset
  assert.deepEqual(ends, [
    ...["ECONNABORTED", "ECONNABORTED", "ECONNABORTED"],
    ...["ECONNRESET", "ECONNRESET", "ECONNRESET"],
  ]);
  direct.socket.write("still there");
  await within("the direct connection's answer", once(direct.socket, "data"));
  busy.socket.write("still there");
  await within("the busy connection's answer", once(busy.socket, "data"));
});

test("keepalive probes of either end alone keep a connection", async () => {
  const kept = await connect(client.netnsPath, VIP, 80);
  const keptByServer = await connect(client.netnsPath, VIP, 80);
  const idle = await connect(client.netnsPath, VIP, 80);
  kept.socket.setKeepAlive(true, 1_000);
  keptByServer.socket.write("keep");
  await within("the reset of the other", idle.ended);
  let isOpen = true;
  void Promise.race([kept.ended, keptByServer.ended]).then(() => {
    isOpen = false;
  });
  const second = await connect(client.netnsPath, VIP, 80);
  await within("the reset of a third", second.ended);
  assert.ok(isOpen);
  for (const { socket } of [kept, keptByServer]) {
    socket.write("still there");
    await within("the kept connection's answer", once(socket, "data"));
  }
});

test("a limit beyond the kernel's own is had in the network's namespace", async () => {
  await tell([{ resource: { $case: "service", value: web(10 * 86_400_000) } }]);
  const overlay = `${world.hosts[0]?.runDir}/net/ns/net-net1`;
  const file = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established";
  const wanted = String(10 * 86_400 + 600);
  let found = "";
  for (let turn = 0; turn < patient(200) && found !== wanted; turn++) {
    found = (await world.run(overlay, "cat", file)).out; // set beside the plan, not before it is applied
    await systemClock.sleep(50);
  }
  await tell([{ resource: { $case: "service", value: web(LIMIT_MS) } }]);
  assert.equal(found, wanted);
});

test("a namespace that is gone meanwhile is no trouble", async () => {
  const [first] = world.hosts;
  const last = await connect(client.netnsPath, VIP, 80);
  await first?.plane.detachTask("client");
  const second = await connect(world.clientNetns, world.hosts[1]?.address ?? "", 8080);
  await within("the reset of another", second.ended);
  last.socket.destroy();
  const lines = first?.log.lines.filter(({ message }) => message.includes("idle connections were not")) ?? [];
  assert.deepEqual(lines, []);
});
