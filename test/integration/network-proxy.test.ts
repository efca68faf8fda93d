/**
 * A published port whose tasks are told the client by the PROXY protocol, on a real kernel.
 */
import assert from "node:assert/strict";
import { createServer, type Server, Socket } from "node:net";
import { after, before, test } from "node:test";
import { decodeProxyHeader } from "../../net-overlay/proxy/proxy-header.js";
import {
  EndpointResource,
  EndpointState,
  type NodeResource,
  PeerResource,
  ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { SourceMode } from "../../proto/gen/skein/v1/types.js";
import type { TestHost, TestWorld } from "../support/network-world.js";
import { createTestWorld } from "../support/network-world.js";
import { patient } from "../support/patience.js";

let world: TestWorld;
let revision = 0;
const servers: Server[] = [];
const endpoints = new Map<number, EndpointResource>();
const PORT = { targetPort: 80, publishedPort: 8080, sourceMode: SourceMode.PROXY };

function hostAt(index: number): TestHost {
  const host = world.hosts[index];
  assert.ok(host);
  return host;
}

async function tell(idleTimeoutMs?: number): Promise<void> {
  revision += 1;
  const peers = world.hosts.map(({ nodeId, number, address: dataPathAddress }): NodeResource => {
    const value = PeerResource.fromPartial({ nodeId, hostname: nodeId, number, dataPathAddress });
    return { resource: { $case: "peer", value } };
  });
  const ports = [PORT];
  const service = ServiceResource.fromPartial({
    ...{ id: "svc", name: "web", ports },
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
  });
  const upserts: NodeResource[] = [
    ...peers,
    { resource: { $case: "service", value: service } },
    ...[...endpoints.values()].map((value): NodeResource => ({ resource: { $case: "endpoint", value } })),
  ];
  const changes = { complete: true, revision, upserts, removals: [] };
  await Promise.all(world.hosts.map(({ plane }) => plane.apply(changes)));
}

/** A task that says what the header said, and then gives back what it gets; it ends when it is told to. */
async function start(index: number): Promise<void> {
  const host = hostAt(index);
  const id = `task${index}`;
  const task = Task.fromPartial({
    ...{ id, serviceId: "svc", nodeId: host.nodeId, networks: [] },
    endpoint: { ports: [PORT] },
  });
  const { netnsPath, gatewayAddress } = await host.plane.attachTask(task, { hostname: id, extraHosts: [] });
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let head = Buffer.alloc(0);
    socket.on("error", () => socket.destroy());
    socket.once("readable", function look() {
      head = Buffer.concat([head, (socket.read() as Buffer | null) ?? Buffer.alloc(0)]);
      const read = decodeProxyHeader(head);
      if (read === "more") {
        socket.once("readable", look);
        return;
      }
      if (read === "none" || read.header === undefined) {
        socket.end("no header");
        return;
      }
      const { source, destination } = read.header;
      socket.write(`${id} ${source.address} ${source.port} ${destination.address} ${destination.port}\n`);
      socket.write(head.subarray(read.bytes));
      socket.pipe(socket);
    });
  });
  const at = { netnsPath, kind: "tcp", address: "0.0.0.0", port: 80 } as const;
  server.listen({ fd: world.linux.bindSocket(at) });
  servers.push(server);
  const value = { taskId: id, serviceId: "svc", nodeId: host.nodeId, state: EndpointState.READY };
  endpoints.set(index, EndpointResource.fromPartial({ ...value, gatewayAddress }));
}

/** Connects, sends, ends its half. @returns own port, all that came back, and how it ended. */
function talk(
  netnsPath: string,
  to: { host: string; port: number },
  text: string | Buffer,
  options: { keepsOpen?: boolean } = {},
): Promise<{ port: number; heard: string; failure: string }> {
  const address = to.host.includes(":") ? "::" : "0.0.0.0";
  const local = { netnsPath, kind: "tcp", address, port: 0, traits: ["unlistened"] } as const;
  const fd = world.linux.bindSocket(local);
  const given = { fd, allowHalfOpen: true, readable: true, writable: true, manualStart: true };
  const socket = new Socket(given).connect(to);
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let port = 0;
    let failure = "";
    socket.setTimeout(patient(10_000), () => {
      failure = "timeout";
      socket.destroy();
    });
    socket.on("connect", () => {
      port = socket.localPort ?? 0;
      if (options.keepsOpen === true) socket.write(text);
      else socket.end(text);
    });
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("end", () => socket.end());
    socket.on("error", (error) => {
      failure = "code" in error ? String(error.code) : error.message;
    });
    socket.on("close", () => resolve({ port, heard: Buffer.concat(chunks).toString(), failure }));
  });
}

before(async () => {
  world = await createTestWorld(3);
  await tell();
  await start(1);
  await tell();
});

after(async () => {
  for (const server of servers) server.close();
  await world.close();
});

test("a task on another node is told the client and where it connected to", async () => {
  for (const host of world.hosts) {
    const to = { host: host.address, port: 8080 };
    const { port, heard, failure } = await talk(world.clientNetns, to, "hello");
    assert.equal(failure, "");
    assert.equal(heard, `task1 ${world.clientAddress} ${port} ${host.address} 8080\nhello`);
  }
});

test("a client that comes by IPv6 is told as one", async () => {
  const [host] = world.hosts;
  assert.ok(host);
  for (const [netnsPath, address] of [
    [host.netns, "fd99::1/64"],
    [world.clientNetns, "fd99::100/64"],
  ] as const) {
    const { code, out } = await world.run(netnsPath, "ip", "addr", "add", address, "dev", "eth0", "nodad");
    assert.equal(code, 0, out);
  }
  await tell(); // the node looks at its addresses
  const to = { host: "fd99::1", port: 8080 };
  const { port, heard, failure } = await talk(world.clientNetns, to, "hello");
  assert.equal(failure, "");
  assert.equal(heard, `task1 fd99::100 ${port} fd99::1 8080\nhello`);
});

test("bytes pass both ways, with each side ending its half", async () => {
  const much = Buffer.alloc(3_000_000, "x");
  const { heard, failure } = await talk(world.clientNetns, { host: hostAt(0).address, port: 8080 }, much);
  assert.equal(failure, "");
  assert.equal(heard.slice(heard.indexOf("\n") + 1).length, much.length);
});

test("connections go round the tasks, and around one that does not answer", async () => {
  await start(2);
  await tell();
  const to = { host: hostAt(0).address, port: 8080 };
  const asked = async (): Promise<string> =>
    (await talk(world.clientNetns, to, "")).heard.split(" ")[0] ?? "";
  assert.deepEqual(new Set([await asked(), await asked()]), new Set(["task1", "task2"]));
  servers.pop()?.close();
  assert.deepEqual([await asked(), await asked()], ["task1", "task1"]);
  endpoints.delete(2);
  await tell();
});

test("the relay takes nobody whom the mesh did not lead to it", async () => {
  const { out } = await world.run(hostAt(0).netns, "nft", "list", "chain", "ip", "skein", "port_tcp_8080");
  const found = /(100\.64\.1\.1) \. (\d+)/.exec(out);
  assert.ok(found?.[1] !== undefined && found[2] !== undefined, out);
  const { failure, heard } = await talk(hostAt(0).netns, { host: found[1], port: Number(found[2]) }, "hi");
  assert.equal(failure, "ECONNRESET");
  assert.equal(heard, "");
});

test("a connection on which nothing passes is reset after the service's idle timeout", async () => {
  await tell(300);
  const to = { host: hostAt(0).address, port: 8080 };
  const { failure } = await talk(world.clientNetns, to, "hello", { keepsOpen: true });
  assert.equal(failure, "ECONNRESET");
});

test("without a task the port refuses", async () => {
  endpoints.clear();
  await tell();
  const { failure } = await talk(world.clientNetns, { host: hostAt(0).address, port: 8080 }, "hello");
  assert.ok(["ECONNREFUSED", "ECONNRESET"].includes(failure), failure);
});
