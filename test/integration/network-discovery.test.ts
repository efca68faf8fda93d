/**
 * Names on a real kernel: asked inside sandboxes, by both transports, for both families, and outside.
 */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { Socket } from "node:net";
import { after, before, test } from "node:test";
import dnsPacket from "dns-packet";
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
import { EndpointMode } from "../../proto/gen/skein/v1/types.js";
import type { TestHost, TestWorld } from "../support/network-world.js";
import { createTestWorld } from "../support/network-world.js";
import { patient } from "../support/patience.js";

let world: TestWorld;
let revision = 0;
const sandboxes = new Map<string, TaskSandbox>();

const resources: NodeResource[] = [
  {
    resource: {
      $case: "network",
      value: NetworkResource.fromPartial({
        id: "net1",
        name: "Front",
        vni: 4097,
        ipam: [{ subnet: "10.0.1.0/24", gateway: "10.0.1.1" }],
      }),
    },
  },
  {
    resource: {
      $case: "service",
      value: ServiceResource.fromPartial({
        id: "svcweb",
        name: "web",
        virtualIps: [{ networkId: "net1", address: "10.0.1.2/24" }],
        aliases: [{ networkId: "net1", aliases: ["www"] }],
      }),
    },
  },
  {
    resource: {
      $case: "service",
      value: ServiceResource.fromPartial({
        id: "svcdb",
        name: "db",
        mode: EndpointMode.DNSRR,
        aliases: [{ networkId: "net1" }],
      }),
    },
  },
];

async function tell(upserts: NodeResource[], complete = false): Promise<void> {
  revision += 1;
  await Promise.all(
    world.hosts.map((host) => host.plane.apply({ complete, revision, upserts, removals: [] })),
  );
}

/** A task of a service at 10.0.1.<number> and fd00:1::<number>. */
function endpointOf(
  number: number,
  fields: Parameters<typeof EndpointResource.fromPartial>[0],
): NodeResource {
  const value = EndpointResource.fromPartial({
    taskId: `task${number}`,
    taskName: `${fields.serviceName}.${number}.task${number}`,
    nodeId: "node2",
    state: EndpointState.READY,
    attachments: [{ networkId: "net1", addresses: [`10.0.1.${number}/24`, `fd00:1::${number}/64`] }],
    hostname: `box${number}`,
    slot: number,
    ...fields,
  });
  return { resource: { $case: "endpoint", value } };
}

async function attach(
  host: TestHost | undefined,
  id: string,
  address: string,
  nameservers: readonly string[] = [],
): Promise<TaskSandbox> {
  assert.ok(host);
  const task = Task.fromPartial({
    id,
    nodeId: host.nodeId,
    networks: [{ networkId: "net1", addresses: [`${address}/24`] }],
    spec: { container: { dnsConfig: { nameservers: [...nameservers], search: ["a.test"] } } },
  });
  const sandbox = await host.plane.attachTask(task, { hostname: id, extraHosts: [] });
  sandboxes.set(id, sandbox);
  const value = EndpointResource.fromPartial({
    taskId: id,
    taskName: id,
    nodeId: host.nodeId,
    state: EndpointState.READY,
    attachments: [{ networkId: "net1", addresses: [`${address}/24`] }],
    hostname: id,
  });
  await tell([{ resource: { $case: "endpoint", value } }]);
  return sandbox;
}

type Answer = dnsPacket.DecodedPacket & { rcode: number; size: number; data: string[] };

function decoded(bytes: Buffer): Answer {
  const packet = dnsPacket.decode(bytes);
  const data = (packet.answers ?? []).flatMap((record) =>
    record.type === "A" || record.type === "AAAA" || record.type === "PTR" ? record.data : [],
  );
  return { ...packet, rcode: (bytes[3] ?? 0) & 15, size: bytes.length, data };
}

function question(name: string, options: { type?: "A" | "AAAA" | "PTR"; payloadBytes?: number }): Buffer {
  const { type = "A", payloadBytes } = options;
  const edns = {
    ...{ type: "OPT" as const, name: ".", udpPayloadSize: payloadBytes ?? 512, extendedRcode: 0 },
    ...{ ednsVersion: 0, flags: 0, flag_do: false, options: [] },
  };
  return dnsPacket.encode({
    type: "query",
    id: 4711,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type, name }],
    additionals: payloadBytes === undefined ? [] : [edns],
  });
}

function fdIn(task: string, kind: "udp" | "tcp"): number {
  const netnsPath = sandboxes.get(task)?.netnsPath;
  return world.linux.bindSocket({ netnsPath, kind, address: "0.0.0.0", port: 0, traits: ["unlistened"] });
}

async function ask(
  task: string,
  name: string,
  options: { type?: "A" | "AAAA" | "PTR"; payloadBytes?: number; transport?: "udp" | "tcp" } = {},
): Promise<Answer> {
  const asked = question(name, options);
  const signal = AbortSignal.timeout(patient(10_000));
  if (options.transport === "tcp") {
    const socket = new Socket({ fd: fdIn(task, "tcp"), readable: true, writable: true });
    socket.connect(53, "127.0.0.11");
    socket.write(Buffer.concat([Buffer.from([asked.length >> 8, asked.length & 255]), asked]));
    let received = Buffer.alloc(0);
    while (received.length < 2 || received.length < received.readUInt16BE(0) + 2) {
      const [chunk] = (await once(socket, "data", { signal })) as [Buffer];
      received = Buffer.concat([received, chunk]);
    }
    socket.destroy();
    return decoded(received.subarray(2));
  }
  const socket = createSocket("udp4");
  socket.bind({ fd: fdIn(task, "udp"), exclusive: true });
  socket.send(asked, 53, "127.0.0.11");
  const [answer] = (await once(socket, "message", { signal })) as [Buffer];
  socket.close();
  return decoded(answer);
}

before(async () => {
  world = await createTestWorld(2);
  const peers = world.hosts.map(({ nodeId, number, address }): NodeResource => {
    const value = PeerResource.fromPartial({ nodeId, number, dataPathAddress: address, vxlanUdpPort: 4789 });
    return { resource: { $case: "peer", value } };
  });
  const tasks = [
    endpointOf(21, { serviceId: "svcweb", serviceName: "web" }),
    endpointOf(22, { serviceId: "svcweb", serviceName: "web", state: EndpointState.JOINING }),
    endpointOf(31, { serviceId: "svcdb", serviceName: "db" }),
    endpointOf(32, { serviceId: "svcdb", serviceName: "db", state: EndpointState.JOINING }),
    endpointOf(33, { serviceId: "svcdb", serviceName: "db", state: EndpointState.DRAINING }),
  ];
  await tell([...resources, ...peers, ...tasks], true);
  await attach(world.hosts[0], "asker", "10.0.1.50");
});

after(() => world.close());

test("services, tasks, aliases and hosts have names, short and with the network's, by both transports", async () => {
  for (const transport of ["udp", "tcp"] as const) {
    const addressesOf = async (name: string): Promise<string[]> =>
      (await ask("asker", name, { transport })).data.sort();
    for (const name of ["web", "WWW", "web.front", "www.FRONT"])
      assert.deepEqual(await addressesOf(name), ["10.0.1.2"], name);
    assert.deepEqual(await addressesOf("tasks.web"), ["10.0.1.21", "10.0.1.22"], "listed while it starts");
    assert.deepEqual(await addressesOf("db"), ["10.0.1.31"], "ready for traffic");
    assert.deepEqual(await addressesOf("tasks.db.front"), ["10.0.1.31", "10.0.1.32"]);
    for (const name of ["box21", "web.21", "web.21.task21", "web.21.task21.Front"])
      assert.deepEqual(await addressesOf(name), ["10.0.1.21"], name);
  }
});

test("both families are answered, each to its own question, and both lead back", async () => {
  assert.deepEqual((await ask("asker", "db", { type: "AAAA" })).data, ["fd00:1::31"]);
  const none = await ask("asker", "web", { type: "AAAA" });
  assert.deepEqual([none.rcode, none.data], [0, []], "no data is not: no such name");
  assert.deepEqual((await ask("asker", "2.1.0.10.in-addr.arpa", { type: "PTR" })).data, ["web.Front"]);
  const nibbles = `1.3.${"0.".repeat(22)}1.0.0.0.0.0.d.f.ip6.arpa`; // fd00:1::31
  assert.deepEqual((await ask("asker", nibbles, { type: "PTR" })).data, ["db.31.task31.Front"]);
});

test("what does not fit by UDP is cut, to what the asker takes, and whole by TCP", async () => {
  const many = Array.from({ length: 100 }, (_, i) =>
    endpointOf(100 + i, { serviceId: "svcmany", serviceName: "many" }),
  );
  const value = ServiceResource.fromPartial({
    id: "svcmany",
    name: "many",
    mode: EndpointMode.DNSRR,
    aliases: [{ networkId: "net1" }],
  });
  await tell([{ resource: { $case: "service", value } }, ...many]);
  const plain = await ask("asker", "many");
  assert.ok(plain.flag_tc && plain.size <= 512 && plain.data.length > 25);
  const wide = await ask("asker", "many", { payloadBytes: 1_232 });
  assert.ok(wide.flag_tc && wide.size <= 1_232 && wide.data.length > 70);
  const wider = await ask("asker", "many", { payloadBytes: 4_096 });
  assert.ok(!wider.flag_tc && wider.data.length === 100);
  const whole = await ask("asker", "many", { transport: "tcp" });
  assert.equal(new Set(whole.data).size, 100);
});

test("a change is answered on another host as soon as it is applied, long before 100 ms", async () => {
  for (let round = 0; round < 5; round += 1) {
    const name = `fresh${round}`;
    const before = systemClock.monotonicMs();
    await tell([endpointOf(60 + round, { serviceId: "svcdb", serviceName: "db", hostname: name })]);
    assert.deepEqual((await ask("asker", name)).data, [`10.0.1.${60 + round}`]);
    const ms = systemClock.monotonicMs() - before;
    assert.ok(ms < patient(100), `${ms} ms`);
  }
});

test("a service's own resolver may be a task on its network; a silent one is passed over", async () => {
  const answering = await attach(world.hosts[1], "resolver", "10.0.1.53");
  let asked = 0;
  world.greetUdp(answering.netnsPath, 53, (message) => {
    asked += 1;
    const { id, questions } = dnsPacket.decode(message);
    const name = questions?.[0]?.name ?? "";
    const answers = [{ type: "A" as const, name, ttl: 60, data: "192.0.2.99" }];
    return dnsPacket.encode({ type: "response", id: id ?? 0, questions: questions ?? [], answers });
  });
  await attach(world.hosts[0], "own-dns", "10.0.1.51", ["10.0.1.254", "10.0.1.53"]);
  assert.deepEqual((await ask("own-dns", "example.test")).data, ["192.0.2.99"]);
  assert.deepEqual((await ask("own-dns", "Example.Test")).data, ["192.0.2.99"]);
  assert.equal(asked, 1, "remembered while it lives");
  assert.deepEqual((await ask("own-dns", "web")).data, ["10.0.1.2"], "names of its networks come first");
  const resolvConf = sandboxes.get("own-dns")?.resolvConf;
  assert.equal(resolvConf, "nameserver 127.0.0.11\nsearch a.test\noptions ndots:0\n");
});

test("five thousand questions in one go are all answered", async () => {
  const socket = createSocket("udp4");
  socket.bind({ fd: fdIn("asker", "udp"), exclusive: true });
  const asked = question("web", {});
  const left = new Set<number>();
  const done = new Promise<void>((resolve, reject) => {
    const timer = systemClock.setTimer(patient(10_000), () => reject(new Error(`${left.size} not answered`)));
    socket.on("message", (answer) => {
      left.delete(answer.readUInt16BE(0));
      if (left.size > 0) return;
      timer.cancel();
      resolve();
    });
  });
  for (let id = 0; id < 5_000; id += 1) left.add(id);
  for (let id = 0; id < 5_000; id += 1) {
    const message = Buffer.from(asked);
    message.writeUInt16BE(id, 0);
    socket.send(message, 53, "127.0.0.11");
    if (id % 200 === 199) await systemClock.sleep(0); // our own socket's queue is of the usual length
  }
  await done;
  socket.close();
});
