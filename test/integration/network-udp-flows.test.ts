/**
 * UDP flows on a real kernel: a client that goes on sending leaves a backend that is gone, in both families,
 * also when the backend went while the daemon was down.
 */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
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
import type { TestHost, TestWorld } from "../support/network-world.js";
import { createTestWorld } from "../support/network-world.js";

let world: TestWorld;
let revision = 0;
const base: NodeResource[] = [];
const servers = new Map<string, NodeResource>();
const closers: (() => void)[] = [];

function addressesOf(number: number): string[] {
  return [`10.0.1.${number}/24`, `fd00:1::${number}/64`];
}

async function tellAll(): Promise<void> {
  revision += 1;
  const upserts = [...base, ...servers.values()];
  await Promise.all(
    world.hosts.map((host) => host.plane.apply({ complete: true, revision, upserts, removals: [] })),
  );
}

async function attach(host: TestHost | undefined, number: number, serviceId: string): Promise<TaskSandbox> {
  assert.ok(host);
  const attachments = [{ networkId: "net1", addresses: addressesOf(number) }];
  const task = Task.fromPartial({
    id: `task${number}`,
    serviceId,
    nodeId: host.nodeId,
    networks: attachments,
  });
  const sandbox = await host.plane.attachTask(task, { hostname: task.id, extraHosts: [] });
  const value = EndpointResource.fromPartial({
    taskId: task.id,
    serviceId,
    nodeId: host.nodeId,
    state: EndpointState.READY,
    attachments,
    gatewayAddress: sandbox.gatewayAddress,
    hostname: task.id,
  });
  const resource: NodeResource = { resource: { $case: "endpoint", value } };
  if (serviceId === "") base.push(resource);
  else servers.set(task.id, resource);
  return sandbox;
}

/** Answers datagrams with its name. */
function answerUdp(netnsPath: string, name: string): void {
  for (const [kind, address] of [
    ["udp4", "0.0.0.0"],
    ["udp6", "::"],
  ] as const) {
    const socket = createSocket({ type: kind, ipv6Only: kind === "udp6" });
    socket.on("message", (_message, from) => socket.send(name, from.port, from.address));
    const fd = world.linux.bindSocket({ netnsPath, kind: "udp", address, port: 5_000 });
    socket.bind({ fd, exclusive: true });
    closers.push(() => socket.close());
  }
}

/** One client, one port: one flow as long as the kernel remembers it. */
function client(sandbox: TaskSandbox, family: 4 | 6): () => Promise<string> {
  const address = family === 4 ? "0.0.0.0" : "::";
  const socket = createSocket(family === 4 ? "udp4" : "udp6");
  const fd = world.linux.bindSocket({ netnsPath: sandbox.netnsPath, kind: "udp", address, port: 0 });
  socket.bind({ fd, exclusive: true });
  closers.push(() => socket.close());
  return async () => {
    const answer = once(socket, "message", { signal: AbortSignal.timeout(5_000) });
    socket.send("who", 5_000, family === 4 ? "10.0.1.2" : "fd00:1::2");
    const [message] = (await answer) as [Buffer];
    return message.toString();
  };
}

before(async () => {
  world = await createTestWorld(2);
  const network = NetworkResource.fromPartial({
    id: "net1",
    name: "front",
    vni: 4097,
    ipam: [
      { subnet: "10.0.1.0/24", gateway: "10.0.1.1" },
      { subnet: "fd00:1::/64", gateway: "fd00:1::1" },
    ],
  });
  const service = ServiceResource.fromPartial({
    id: "svcdns",
    name: "dns",
    virtualIps: ["10.0.1.2/24", "fd00:1::2/64"].map((address) => ({ networkId: "net1", address })),
  });
  base.push({ resource: { $case: "network", value: network } });
  base.push({ resource: { $case: "service", value: service } });
  for (const { nodeId, number, address } of world.hosts) {
    const value = PeerResource.fromPartial({ nodeId, number, dataPathAddress: address, vxlanUdpPort: 4789 });
    base.push({ resource: { $case: "peer", value } });
  }
  await tellAll();
  for (const number of [21, 22]) {
    const { netnsPath } = await attach(world.hosts[1], number, "svcdns");
    answerUdp(netnsPath, `task${number}`);
  }
});

after(async () => {
  for (const close of closers) close();
  await world.close();
});

test("a flow stays with its backend and leaves it when it is gone, in both families", async () => {
  const sandbox = await attach(world.hosts[0], 50, "");
  await tellAll();
  for (const family of [4, 6] as const) {
    const ask = client(sandbox, family);
    const first = await ask();
    for (let i = 0; i < 5; i += 1) assert.equal(await ask(), first);
    const gone = servers.get(first);
    assert.ok(gone);
    servers.delete(first);
    await tellAll();
    const second = await ask();
    assert.notEqual(second, first, `IPv${family}`);
    servers.set(first, gone);
    await tellAll();
    assert.equal(await ask(), second, "a flow stays where it is");
  }
});

test("a flow leaves a backend that went while the daemon was down, in both families", async () => {
  const [host] = world.hosts;
  const sandbox = await attach(host, 51, "");
  await tellAll();
  const asks = ([4, 6] as const).map((family) => client(sandbox, family));
  for (const ask of asks) {
    const first = await ask();
    const gone = servers.get(first);
    assert.ok(gone && host);
    servers.delete(first);
    await host.restart();
    await tellAll();
    assert.notEqual(await ask(), first);
    servers.set(first, gone);
    await tellAll();
  }
});
