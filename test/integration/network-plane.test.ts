/**
 * The network plane on a real kernel: three hosts as namespaces, a client beside them, tasks with servers.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import dnsPacket from "dns-packet";
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
import { PortProtocol, PublishMode } from "../../proto/gen/skein/v1/types.js";
import type { TestHost, TestWorld } from "../support/network-world.js";
import { createTestWorld } from "../support/network-world.js";

const VIP = "10.0.1.2";
let world: TestWorld;
let revision = 0;
const sandboxes = new Map<string, TaskSandbox>();
const endpoints = new Map<string, EndpointResource>();

const web = ServiceResource.fromPartial({
  id: "svcweb",
  name: "web",
  virtualIps: [{ networkId: "net1", address: `${VIP}/24` }],
  ports: [
    { targetPort: 80, publishedPort: 8080 },
    { targetPort: 53, publishedPort: 5353, protocol: PortProtocol.UDP },
  ],
  aliases: [{ networkId: "net1", aliases: ["www"] }],
});

async function tellAll(upserts: NodeResource[], options: { complete?: boolean } = {}): Promise<void> {
  revision += 1;
  const changes = { complete: options.complete ?? false, revision, upserts, removals: [] };
  await Promise.all(world.hosts.map((host) => host.plane.apply(changes)));
}

function everything(): NodeResource[] {
  return [
    {
      resource: {
        $case: "network",
        value: NetworkResource.fromPartial({
          id: "net1",
          name: "front",
          vni: 4097,
          ipam: [{ subnet: "10.0.1.0/24", gateway: "10.0.1.1" }],
        }),
      },
    },
    {
      resource: {
        $case: "network",
        value: NetworkResource.fromPartial({
          id: "net2",
          name: "back",
          vni: 4098,
          internal: true,
          ipam: [{ subnet: "10.0.1.0/24" }],
        }),
      },
    },
    { resource: { $case: "service", value: web } },
    ...world.hosts.map(
      ({ nodeId, number, address }): NodeResource => ({
        resource: {
          $case: "peer",
          value: PeerResource.fromPartial({
            nodeId,
            hostname: nodeId,
            number,
            dataPathAddress: address,
            vxlanUdpPort: 4789,
          }),
        },
      }),
    ),
    ...[...endpoints.values()].map((value): NodeResource => ({ resource: { $case: "endpoint", value } })),
  ];
}

function taskOf(host: TestHost, slot: number, extra: Parameters<typeof Task.fromPartial>[0] = {}): Task {
  return Task.fromPartial({
    id: `task${host.index}${slot}`,
    serviceId: "svcweb",
    slot,
    nodeId: host.nodeId,
    networks: [{ networkId: "net1", addresses: [`10.0.1.${host.index}${slot}/24`] }],
    endpoint: { ports: [{ targetPort: 80, publishedPort: 8080 }] },
    ...extra,
  });
}

async function start(host: TestHost, slot: number): Promise<void> {
  const task = taskOf(host, slot);
  const sandbox = await host.plane.attachTask(task, { hostname: `box${task.id}`, extraHosts: [] });
  sandboxes.set(task.id, sandbox);
  world.greet(sandbox.netnsPath, 80, task.id);
  world.greetUdp(sandbox.netnsPath, 53, (_message, from) => `${task.id} ${from}`);
  endpoints.set(
    task.id,
    EndpointResource.fromPartial({
      taskId: task.id,
      taskName: `web.${slot}.${task.id}`,
      serviceId: "svcweb",
      serviceName: "web",
      nodeId: host.nodeId,
      state: EndpointState.READY,
      attachments: task.networks.map(({ networkId, addresses }) => ({
        networkId,
        addresses: [...addresses],
      })),
      gatewayAddress: sandbox.gatewayAddress,
      hostname: `box${task.id}`,
      slot,
    }),
  );
}

function inTask(taskId: string, ...command: string[]): Promise<{ out: string; code: number }> {
  return world.run(sandboxes.get(taskId)?.netnsPath ?? "", ...command);
}

function hostAt(index: number): TestHost {
  const host = world.hosts[index];
  assert.ok(host);
  return host;
}

/** Asks until every one of `names` has answered; bounded. @returns all answers. */
async function ask(
  netns: string,
  address: string,
  port: number,
  names: readonly string[],
): Promise<string[]> {
  const answers: string[] = [];
  for (let round = 0; round < 60; round += 1) {
    const { out } = await world.run(netns, "busybox", "nc", "-w", "2", address, String(port));
    answers.push(out);
    if (names.every((name) => answers.some((answer) => answer.startsWith(`${name} `)))) return answers;
  }
  assert.fail(
    `of ${names.join(", ")} not all answered through ${address}: ${[...new Set(answers)].join(" | ")}`,
  );
}

before(async () => {
  world = await createTestWorld(3);
  await tellAll(everything(), { complete: true });
  await start(hostAt(1), 1);
  await start(hostAt(1), 2);
  await start(hostAt(2), 1);
  await tellAll(everything());
});

after(async () => {
  await world?.close();
});

const ALL = ["task21", "task22", "task31"];

test("a task reaches every task of a service through its VIP, by its own address", async () => {
  const netns = sandboxes.get("task21")?.netnsPath ?? "";
  const answers = await ask(netns, VIP, 80, ALL);
  assert.ok(answers.includes("task31 10.0.1.21"), "the source is kept");
  assert.ok(
    answers.some((answer) => /^task21 10\.0\.1\.1$/.test(answer)),
    "itself it meets as the gateway",
  );
});

test("tasks reach each other directly, here and on other nodes", async () => {
  assert.equal(
    (await inTask("task21", "busybox", "nc", "-w", "2", "10.0.1.31", "80")).out,
    "task31 10.0.1.21",
  );
  assert.equal(
    (await inTask("task21", "busybox", "nc", "-w", "2", "10.0.1.22", "80")).out,
    "task22 10.0.1.21",
  );
});

test("names are served inside sandboxes", async () => {
  const lookup = async (...args: string[]): Promise<string> =>
    (await inTask("task31", "busybox", "nslookup", ...args, "127.0.0.11")).out;
  assert.match(await lookup("web"), /Address:? ?\d*:? ?10\.0\.1\.2\b/);
  assert.match(await lookup("WWW.front"), /10\.0\.1\.2\b/);
  const tasks = await lookup("tasks.web");
  for (const address of ["10.0.1.21", "10.0.1.22", "10.0.1.31"]) assert.ok(tasks.includes(address), tasks);
  assert.match(await lookup("boxtask21"), /10\.0\.1\.21/);
});

test("the mesh leads a client through any node to any task, and the task sees the client", async () => {
  for (const host of world.hosts) {
    const answers = await ask(world.clientNetns, host.address, 8080, ALL);
    for (const answer of answers) assert.match(answer, /^task\d\d 10\.99\.0\.100$/);
  }
});

test("the mesh serves processes of nodes and tasks, too", async () => {
  await ask(hostAt(0).netns, "127.0.0.1", 8080, ALL);
  await ask(hostAt(1).netns, "127.0.0.1", 8080, ALL);
  await ask(hostAt(1).netns, hostAt(1).address, 8080, ALL);
  await ask(hostAt(0).netns, hostAt(1).address, 8080, ALL);
  await ask(sandboxes.get("task21")?.netnsPath ?? "", hostAt(1).address, 8080, ALL);
  await ask(sandboxes.get("task21")?.netnsPath ?? "", hostAt(2).address, 8080, ALL);
});

test("a task goes out under the node's address and its unpublished ports stay closed", async () => {
  world.greet(world.clientNetns, 7000, "outside");
  assert.equal(
    (await inTask("task21", "busybox", "nc", "-w", "2", "10.99.0.100", "7000")).out,
    "outside 10.99.0.2",
  );
  world.greet(sandboxes.get("task21")?.netnsPath ?? "", 81, "secret");
  const target = sandboxes.get("task21")?.gatewayAddress ?? "";
  const refused = await inTask("task31", "busybox", "nc", "-w", "2", target, "81");
  assert.notEqual(refused.code, 0);
  assert.doesNotMatch(refused.out, /secret/);
});

test("a task cannot speak the tunnel's protocol to a node, and so enter an overlay from outside", async () => {
  const got: string[] = [];
  world.greetUdp(sandboxes.get("task21")?.netnsPath ?? "", 7777, (message) => {
    got.push(message.toString());
    return "";
  });
  const forge = async (netns: string, text: string): Promise<void> => {
    const payload = Buffer.from(text);
    // VNI 4097, node 1 to node 2, IPv4
    const head = Buffer.from("08000000001001000299000000020299000000010800", "hex");
    const ip = Buffer.from("00004000401100000a00011f0a000115", "hex"); // 10.0.1.31 to 10.0.1.21
    const header = Buffer.concat([Buffer.from("4500", "hex"), Buffer.alloc(2), ip]);
    header.writeUInt16BE(28 + payload.length, 2);
    let sum = 0;
    for (let at = 0; at < 20; at += 2) sum += header.readUInt16BE(at);
    header.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 10);
    const udp = Buffer.alloc(8);
    udp.writeUInt16BE(7777, 0);
    udp.writeUInt16BE(7777, 2);
    udp.writeUInt16BE(8 + payload.length, 4);
    const frame = Buffer.concat([head, header, udp, payload]);
    await world.datagram(netns, 7001)("10.99.0.2", 4789, frame as unknown as string);
  };
  await forge(hostAt(0).netns, "from a node");
  await forge(sandboxes.get("task31")?.netnsPath ?? "", "from a task");
  assert.deepEqual(got, ["from a node"], "the forgery itself is sound, and a task's is dropped");
});

test("UDP reaches tasks through the mesh and the VIP; a flow leaves a backend that drains", async () => {
  const outside = world.datagram(world.clientNetns, 5000);
  const inside = world.datagram(sandboxes.get("task21")?.netnsPath ?? "", 5000);
  const first = await outside(hostAt(0).address, 5353, "hello");
  assert.match(first, /^task\d\d 10\.99\.0\.100$/);
  assert.equal(await outside(hostAt(0).address, 5353, "again"), first, "a flow stays");
  const insideFirst = await inside(VIP, 53, "hello");
  assert.match(insideFirst, /^task\d\d 10\.0\.1\.(21|1)$/);
  for (const [answer, ask] of [
    [first, () => outside(hostAt(0).address, 5353, "and now")],
    [insideFirst, () => inside(VIP, 53, "and now")],
  ] as const) {
    const taskId = answer.split(" ")[0] ?? "";
    const endpoint = endpoints.get(taskId);
    assert.ok(endpoint);
    endpoints.set(taskId, { ...endpoint, state: EndpointState.DRAINING });
    await tellAll(everything());
    const next = await ask();
    assert.match(next, /^task/);
    assert.notEqual(next.split(" ")[0], taskId);
    endpoints.set(taskId, endpoint);
    await tellAll(everything());
  }
});

test("other names are asked outside, but not from an internal network, which has no way out at all", async () => {
  world.greetUdp(world.clientNetns, 53, (message) => {
    const { id, questions } = dnsPacket.decode(message);
    const name = questions?.[0]?.name ?? "";
    const answers =
      questions?.[0]?.type === "A" ? [{ type: "A" as const, name, ttl: 5, data: "192.0.2.7" }] : [];
    return dnsPacket.encode({ type: "response", id: id ?? 0, questions: questions ?? [], answers });
  });
  assert.match(
    (await inTask("task21", "busybox", "nslookup", "example.test", "127.0.0.11")).out,
    /192\.0\.2\.7/,
  );
  const networks = [{ networkId: "net2", addresses: ["10.0.1.9/24"] }];
  const sandbox = await hostAt(0).plane.attachTask(Task.fromPartial({ id: "hermit", networks }), {
    hostname: "hermit",
    extraHosts: [],
  });
  assert.equal(sandbox.gatewayAddress, "");
  const lookup = await world.run(sandbox.netnsPath, "busybox", "nslookup", "example.test", "127.0.0.11");
  assert.match(lookup.out, /NXDOMAIN/);
  assert.doesNotMatch((await world.run(sandbox.netnsPath, "ip", "route")).out, /default/);
  assert.match(
    (await world.run(sandbox.netnsPath, "busybox", "nslookup", "web", "127.0.0.11")).out,
    /NXDOMAIN/,
    "not its network",
  );
});

test("one client port through two nodes to one task gives two connections", { timeout: 20_000 }, async () => {
  for (const taskId of ["task21", "task22"]) {
    const endpoint = endpoints.get(taskId);
    assert.ok(endpoint);
    endpoints.set(taskId, { ...endpoint, state: EndpointState.DRAINING });
  }
  await tellAll(everything());
  const script = (address: string): string =>
    `process.stdin.pipe(require("net").connect({ host: "${address}", port: 8080, localPort: ` +
    "45454 })).pipe(process.stdout)";
  const clients = [0, 1].map((index) => {
    const client = spawn("nsenter", [
      `--net=${world.clientNetns}`,
      process.execPath,
      "-e",
      script(hostAt(index).address),
    ]);
    const said = client.stdout.setEncoding("utf8")[Symbol.asyncIterator]() as AsyncIterator<string>;
    return { client, said };
  });
  for (const { said } of clients) assert.equal((await said.next()).value, "task31 10.99.0.100\n");
  for (const { client, said } of clients) {
    client.stdin.end("bye\n");
    assert.equal((await said.next()).value, "bye\n");
  }
  for (const [taskId, endpoint] of endpoints)
    endpoints.set(taskId, { ...endpoint, state: EndpointState.READY });
  await tellAll(everything());
});

test("names are answered by TCP, too", async () => {
  const query = dnsPacket.streamEncode({
    type: "query",
    id: 9,
    questions: [{ type: "A", name: "tasks.web" }],
  });
  const octal = [...query].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
  const script = `printf '${octal}' | busybox nc -w 1 127.0.0.11 53 | od -An -tx1`;
  const { out } = await inTask("task21", "sh", "-c", script);
  const answer = dnsPacket.streamDecode(Buffer.from(out.replaceAll(/\s/g, ""), "hex"));
  assert.equal(answer.answers?.length, 3);
});

test("a task that asks by TCP and never reads is cut off", async () => {
  const question = "001b000901000001000000000000057461736b73037765620000010001";
  const script = `const ask = Buffer.concat(Array(2000).fill(Buffer.from("${question}", "hex")));
    const socket = require("net").connect(53, "127.0.0.11", () => more());
    const more = () => { while (socket.writable && socket.write(ask)); };
    socket.pause().on("drain", more).on("error", () => process.exit(0)).on("close", () => process.exit(0));
    setTimeout(() => process.exit(3), 4500);`;
  assert.equal((await inTask("task21", process.execPath, "-e", script)).code, 0);
});

test("connections and mesh survive a restart of the daemon and a foreign drop policy", {
  timeout: 20_000,
}, async () => {
  const host = hostAt(0);
  const inHost = (text: string): string =>
    execFileSync("nsenter", [`--net=${host.netns}`, "nft", text], { encoding: "utf8" });
  const client = spawn("nsenter", [`--net=${world.clientNetns}`, "busybox", "nc", host.address, "8080"]);
  const said = client.stdout.setEncoding("utf8")[Symbol.asyncIterator]() as AsyncIterator<string>;
  assert.match((await said.next()).value ?? "", /^task/);
  inHost("add table ip filter");
  inHost("add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }");
  await host.restart();
  await host.plane.apply({ complete: true, revision, upserts: everything(), removals: [] });
  client.stdin.end("still there\n");
  assert.equal((await said.next()).value, "still there\n");
  await ask(world.clientNetns, host.address, 8080, ALL);
});

test("a restarted daemon adopts its sandboxes", async () => {
  const host = hostAt(1);
  const before = sandboxes.get("task21");
  await host.restart();
  await host.plane.apply({ complete: true, revision, upserts: everything(), removals: [] });
  const adopted = await host.plane.attachTask(taskOf(host, 1), { hostname: "boxtask21", extraHosts: [] });
  assert.deepEqual(adopted, before);
  assert.match((await inTask("task21", "busybox", "nslookup", "web", "127.0.0.11")).out, /10\.0\.1\.2\b/);
  await ask(world.clientNetns, hostAt(0).address, 8080, ALL);
  await ask(sandboxes.get("task31")?.netnsPath ?? "", VIP, 80, ALL);
});

test("a dead backend is refused at once, a draining one gets no new connections", async () => {
  const host = hostAt(2);
  await host.plane.detachTask("task31"); // other nodes still believe in it
  const from = Date.now();
  let refused = 0;
  for (let round = 0; round < 12; round += 1) {
    const { code } = await world.run(
      world.clientNetns,
      "busybox",
      "nc",
      "-w",
      "3",
      hostAt(0).address,
      "8080",
    );
    if (code !== 0) refused += 1;
  }
  assert.ok(refused > 0);
  assert.ok(Date.now() - from < 3_000, `refusals must come at once, took ${Date.now() - from} ms`);
  const endpoint = endpoints.get("task31");
  assert.ok(endpoint);
  endpoints.set("task31", { ...endpoint, state: EndpointState.DRAINING });
  await tellAll(everything());
  for (let round = 0; round < 8; round += 1) {
    const { code } = await world.run(
      world.clientNetns,
      "busybox",
      "nc",
      "-w",
      "2",
      hostAt(0).address,
      "8080",
    );
    assert.equal(code, 0);
  }
});

test("a VIP without a ready task refuses at once", async () => {
  for (const [taskId, endpoint] of endpoints)
    endpoints.set(taskId, { ...endpoint, state: EndpointState.JOINING });
  await tellAll(everything());
  const from = Date.now();
  const { code } = await inTask("task21", "busybox", "nc", "-w", "3", VIP, "80");
  assert.notEqual(code, 0);
  assert.ok(Date.now() - from < 1_000);
});

test("a host-mode port leads to the local task, a taken one is refused by name", async () => {
  const host = hostAt(0);
  const ports = [{ targetPort: 80, publishedPort: 9090, publishMode: PublishMode.HOST }];
  const task = taskOf(host, 1, { endpoint: { ports } });
  const sandbox = await host.plane.attachTask(task, { hostname: "h", extraHosts: [] });
  world.greet(sandbox.netnsPath, 80, "task11");
  assert.equal(
    (await world.run(world.clientNetns, "busybox", "nc", "-w", "2", host.address, "9090")).out,
    "task11 10.99.0.100",
  );
  // The same port of another node is that node's:
  // neither a task nor a process here is led to the task here instead.
  world.greet(hostAt(1).netns, 9090, "node2");
  const there = ["busybox", "nc", "-w", "2", hostAt(1).address, "9090"];
  assert.equal((await world.run(sandbox.netnsPath, ...there)).out, "node2 10.99.0.1");
  assert.equal((await world.run(host.netns, ...there)).out, "node2 10.99.0.1");
  const here = ["busybox", "nc", "-w", "2", host.address, "9090"];
  assert.match((await world.run(host.netns, ...here)).out, /^task11 /);
  assert.match(
    (await world.run(sandboxes.get("task12")?.netnsPath ?? sandbox.netnsPath, ...here)).out,
    /^task11 /,
  );
  // A host end that took IPv6 would believe a task's router advertisements.
  const { out } = await world.run(
    host.netns,
    "sh",
    "-c",
    "cat /proc/sys/net/ipv6/conf/skein-vxt/disable_ipv6 /proc/sys/net/ipv6/conf/skg*/disable_ipv6",
  );
  assert.match(out, /^(1\s*)+$/);
  await assert.rejects(
    host.plane.attachTask(taskOf(host, 2, { endpoint: { ports } }), { hostname: "h", extraHosts: [] }),
    /port 9090\/tcp is already in use on node node1/,
  );
});

test("a task may be detached and attached again at once, and many times", async () => {
  const host = hostAt(0);
  const task = taskOf(host, 7);
  const attach = (): Promise<TaskSandbox> => host.plane.attachTask(task, { hostname: "h", extraHosts: [] });
  await Promise.all([
    attach(),
    host.plane.detachTask(task.id),
    host.plane.detachTask(task.id),
    attach(),
    attach(),
  ]);
  const { netnsPath } = await attach();
  assert.match((await world.run(netnsPath, "ip", "-o", "addr")).out, /10\.0\.1\.17\/24/);
  assert.match((await world.run(netnsPath, "busybox", "nslookup", "web", "127.0.0.11")).out, /10\.0\.1\.2\b/);
});

test("a sandbox takes a few milliseconds to make", async () => {
  const host = hostAt(0);
  const times: number[] = [];
  for (let slot = 3; slot < 9; slot += 1) {
    const from = performance.now();
    await host.plane.attachTask(taskOf(host, slot), { hostname: "h", extraHosts: [] });
    times.push(performance.now() - from);
  }
  times.sort((a, b) => a - b);
  assert.ok((times[0] ?? 99) < 30, `took ${times.map((time) => time.toFixed(1)).join(", ")} ms`);
});

test("what no task claims goes; leaving removes everything", async () => {
  const host = hostAt(1);
  await host.plane.retain(new Set(["task21"]));
  assert.deepEqual(
    readdirSync(join(host.runDir, "net/ns")).filter((name) => name.startsWith("task-")),
    ["task-task21"],
  );
  await host.plane.removeAll();
  assert.deepEqual(readdirSync(join(host.runDir, "net/ns")), []);
  assert.deepEqual(readdirSync(join(host.runDir, "net/sandboxes")), []);
  const inHost = (...command: string[]): string =>
    execFileSync("nsenter", [`--net=${host.netns}`, ...command], { encoding: "utf8" });
  assert.equal(inHost("nft", "list", "ruleset").trim(), "");
  assert.doesNotMatch(inHost("ip", "-o", "link"), /skein|skg/);
  assert.doesNotMatch(inHost("ip", "rule"), /22\d\d:/);
  assert.doesNotMatch(inHost("ip", "route", "show", "table", "all"), /100\.64|proto 83/);
});
