/**
 * Local networks on a real kernel: bare sandboxes in a namespace that plays the host, a client outside, real
 * packets. Edge: to the kernel.
 * Source: docs/design/local-networks.md.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import { systemRandom } from "../../base/random/system-random.js";
import { openLocalNetworks } from "../../net-overlay/local/linux-local-networks.js";
import { bridgeRequest, PLAIN_NETWORKING } from "../../net-overlay/local/local-network-fixtures.js";
import type { NodeLocalNetworks } from "../../net-overlay/local/local-networks.js";
import type {
  ContainerNetworking,
  EndpointSettings,
  PortBinding,
  Sandbox,
  SandboxRequest,
} from "../../proto/engine/networks.js";
import { createTestWorld, type TestHost, type TestWorld } from "../support/network-world.js";

let world: TestWorld;
let host: TestHost;
let networks: NodeLocalNetworks;
let stop: () => Promise<void>;
const servers: Server[] = [];

function openNetworks(): void {
  const opened = openLocalNetworks({
    linux: world.linux,
    dataDir: join(host.runDir, "data"),
    runDir: host.runDir,
    clock: systemClock,
    random: systemRandom,
    log: host.log,
    hostNetns: host.netns,
    isMeshPort: (protocol, port) => host.plane.isPublished(protocol, port),
    init: { pools: [{ base: "172.30.0.0/16", size: 24 }] },
  });
  networks = opened.networks;
  stop = opened.close;
}

before(async () => {
  world = await createTestWorld(1);
  host = world.hosts[0] as TestHost; // asked for one
  // as a docker beside us leaves it
  execFileSync("nsenter", [
    `--net=${host.netns}`,
    "nft",
    "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
  ]);
  openNetworks();
});

after(async () => {
  for (const server of servers) server.close();
  await networks.retain(new Set());
  await stop();
  await world.close();
});

const SETTINGS: EndpointSettings = {
  aliases: [],
  links: [],
  ipv4Address: "",
  ipv6Address: "",
  macAddress: "",
  driverOptions: {},
};

function request(name: string, networking: Partial<ContainerNetworking> = {}): SandboxRequest {
  return {
    containerId: Buffer.from(name.padEnd(32, "-")).toString("hex"),
    containerName: name,
    hostname: `${name}-host`,
    domainname: "",
    labels: {},
    sysctls: {},
    networking: { ...PLAIN_NETWORKING, ...networking },
  };
}

const open = (name: string, networking: Partial<ContainerNetworking> = {}): Promise<Sandbox> =>
  networks.open(request(name, networking));
const closeAll = async (...names: string[]): Promise<void> => {
  for (const name of names) await networks.close(request(name).containerId);
};
const onNetwork = (
  network: string,
  settings: Partial<EndpointSettings> = {},
): Partial<ContainerNetworking> => ({
  mode: network,
  endpoints: { [network]: { ...SETTINGS, ...settings } },
});

const tcp = (containerPort: number, hostPort: number, hostAddress = ""): PortBinding => ({
  protocol: "tcp",
  containerPort,
  hostPort,
  hostAddress,
});
const addressOf = (sandbox: Sandbox): string => Object.values(sandbox.endpoints)[0]?.ipv4Address ?? "";

/** @returns what the greeter said: "<name> <peer>", or "" when it could not be reached within a second. */
async function ask(netnsPath: string, address: string, port: number): Promise<string> {
  const line = `echo | busybox nc -w 1 ${address} ${port}`;
  const { out } = await world.run(netnsPath, "sh", "-c", line);
  return /^\w+ [0-9a-f.:]+$/m.exec(out)?.[0] ?? "";
}

/** A greeter by IPv6. */
function serve6(netnsPath: string, port: number): void {
  const server = createServer((socket) => socket.end(`six ${socket.remoteAddress}\n`));
  server.listen({ fd: world.linux.bindSocket({ netnsPath, kind: "tcp", address: "::", port }) });
  servers.push(server);
}

test("the default bridge looks like Docker's", async () => {
  const sandbox = await open("plain");
  const { out } = await world.run(sandbox.netnsPath, "sh", "-c", "ip -o addr; ip route; ip link show eth0");
  assert.match(out, /eth0\s+inet 172\.30\.0\.2\/24 brd 172\.30\.0\.255/);
  assert.match(out, /default via 172\.30\.0\.1 dev eth0/);
  assert.match(out, /link\/ether 02:42:ac:1e:00:02/);
  assert.doesNotMatch(out, /eth0\s+inet6/);
  assert.match(sandbox.etcHosts, /^172\.30\.0\.2\tplain-host$/m);
  assert.deepEqual(Object.keys(sandbox.endpoints), ["bridge"]);
  const ping = await world.run(sandbox.netnsPath, "busybox", "ping", "-c", "1", "-W", "1", "172.30.0.1");
  assert.equal(ping.code, 0, ping.out);
  assert.equal((await open("plain")).netnsPath, sandbox.netnsPath, "opening again changes nothing");
  await closeAll("plain");
});

test("a container reaches the outside by the host's address, and nobody outside reaches it", async () => {
  const sandbox = await open("out");
  world.greet(world.clientNetns, 7000, "client");
  world.greet(sandbox.netnsPath, 80, "inner");
  assert.equal(await ask(sandbox.netnsPath, world.clientAddress, 7000), `client ${host.address}`);
  execFileSync("nsenter", [
    `--net=${world.clientNetns}`,
    "ip",
    "route",
    "add",
    "172.30.0.0/16",
    "via",
    host.address,
  ]);
  assert.equal(await ask(world.clientNetns, addressOf(sandbox), 80), "");
  assert.match(await ask(host.netns, addressOf(sandbox), 80), /^inner/);
  await closeAll("out");
});

test("containers of one network reach each other, those of others do not", async () => {
  await networks.create(bridgeRequest("one"));
  await networks.create(bridgeRequest("two"));
  const [a, b, c] = [
    await open("a", onNetwork("one")),
    await open("b", onNetwork("one")),
    await open("c", { ...onNetwork("two"), portBindings: [tcp(80, 8101)] }),
  ];
  world.greet(b.netnsPath, 80, "b");
  world.greet(c.netnsPath, 80, "c");
  assert.equal(await ask(a.netnsPath, addressOf(b), 80), `b ${addressOf(a)}`);
  assert.equal(await ask(a.netnsPath, addressOf(c), 80), "", "published or not");
  assert.equal(await ask(c.netnsPath, addressOf(b), 80), "");
  assert.match(await ask(a.netnsPath, host.address, 8101), /^c /, "a published port by the host's address");
  await closeAll("a", "b", "c");
  await networks.remove("one");
  await networks.remove("two");
});

test("a port of 127.0.0.1 is not reached by a neighbour that sends to 127.0.0.1", async () => {
  const sandbox = await open("web", { portBindings: [tcp(80, 8082), tcp(81, 8081, "127.0.0.1")] });
  const inHost = (text: string) => world.run(host.netns, "nft", text);
  const inClient = (...command: string[]) => world.run(world.clientNetns, ...command);
  const passed = `ip saddr ${world.clientAddress} ip daddr ${addressOf(sandbox)} counter name passed`;
  await inHost(
    "table ip probe { counter passed { }; " +
      `chain onward { type filter hook forward priority -10; ${passed}; }; }`,
  );
  for (const address of ["127.0.0.0/8", "127.0.0.1"])
    await inClient("ip", "route", "del", "local", address, "dev", "lo", "table", "local");
  await inClient("ip", "route", "add", "127.0.0.1/32", "via", host.address, "src", world.clientAddress);
  try {
    for (const port of [8081, 8082]) assert.equal(await ask(world.clientNetns, "127.0.0.1", port), "");
    assert.match((await inHost("list counter ip probe passed")).out, /packets 0 /);
    await ask(world.clientNetns, host.address, 8082);
    assert.doesNotMatch((await inHost("list counter ip probe passed")).out, /packets 0 /);
  } finally {
    await inClient("ip", "route", "del", "127.0.0.1/32");
    for (const address of ["127.0.0.0/8", "127.0.0.1"])
      await inClient("ip", "route", "add", "local", address, "dev", "lo", "table", "local");
    await inHost("delete table ip probe");
    await closeAll("web");
  }
});

test("published ports answer from outside, from the host, from localhost and from the container itself", async () => {
  const sandbox = await open("web", { portBindings: [tcp(80, 8080), tcp(81, 8081, "127.0.0.1")] });
  const other = await open("other");
  world.greet(sandbox.netnsPath, 80, "web");
  world.greet(sandbox.netnsPath, 81, "private");
  assert.equal(await ask(world.clientNetns, host.address, 8080), `web ${world.clientAddress}`);
  assert.match(await ask(host.netns, host.address, 8080), /^web/);
  assert.match(await ask(host.netns, "127.0.0.1", 8080), /^web 172\.30\.0\.1/);
  assert.match(await ask(host.netns, "127.0.0.1", 8081), /^private/);
  assert.equal(await ask(world.clientNetns, host.address, 8081), "");
  assert.match(await ask(sandbox.netnsPath, host.address, 8080), /^web/, "hairpin");
  assert.match(await ask(other.netnsPath, host.address, 8080), /^web/);
  assert.match(await ask(other.netnsPath, "172.30.0.1", 8080), /^web/);
  await assert.rejects(open("late", { portBindings: [tcp(80, 8080)] }), (error: Error) => {
    assert.match(error.message, /Bind for 0\.0\.0\.0:8080 failed: port is already allocated$/);
    return true;
  });
  assert.deepEqual(
    networks.members(networks.find("bridge")?.id ?? "").map(({ name }) => name),
    ["web", "other"],
    "nothing is left of what was refused",
  );
  world.greet(host.netns, 8090, "program");
  await assert.rejects(open("late", { portBindings: [tcp(80, 8090)] }), /address already in use/);
  await closeAll("web", "other");
  const again = await open("late", { portBindings: [tcp(80, 8080)] });
  world.greet(again.netnsPath, 80, "late");
  assert.match(await ask(world.clientNetns, host.address, 8080), /^late/);
  await closeAll("late");
  assert.equal(await ask(world.clientNetns, host.address, 8080), "");
});

test("names are answered on user-defined networks, and follow a renaming", async () => {
  const { id } = await networks.create(bridgeRequest("named", { enableIpv6: true }));
  const a = await open("alpha", onNetwork("named", { aliases: ["first"], links: ["beta:linked"] }));
  const b = await open("beta", onNetwork("named"));
  const lookUp = async (name: string): Promise<string> =>
    (await world.run(a.netnsPath, "busybox", "nslookup", name, "127.0.0.11")).out
      .split("\n\n")
      .slice(1)
      .join();
  const six = b.endpoints["named"]?.ipv6Address ?? "none";
  for (const name of ["beta", "linked", "BETA", request("beta").containerId.slice(0, 12), "beta.named"]) {
    const answer = await lookUp(name);
    assert.ok(answer.includes(addressOf(b)) && answer.includes(six), `${name}: ${answer}`);
  }
  assert.match(await lookUp(addressOf(b)), /name = beta\.named/);
  assert.match(await lookUp(six), /name = beta\.named/);
  networks.rename(request("beta").containerId, "gamma");
  assert.ok((await lookUp("gamma")).includes(addressOf(b)));
  assert.deepEqual(
    networks
      .members(id)
      .map(({ name }) => name)
      .sort(),
    ["alpha", "gamma"],
  );
  await assert.rejects(networks.remove("named"), /has active endpoints/);
  await closeAll("alpha", "beta");
  await networks.remove("named");
});

test("IPv6 works within a network and to published ports, and nobody outside passes by them", async () => {
  for (const [netns, address] of [
    [host.netns, "fd99::1"],
    [world.clientNetns, "fd99::2"],
  ] as const)
    execFileSync("nsenter", [`--net=${netns}`, "ip", "addr", "add", `${address}/64`, "dev", "eth0", "nodad"]);
  await networks.create(bridgeRequest("six", { enableIpv6: true }));
  const a = await open("a6", { ...onNetwork("six"), portBindings: [tcp(80, 8601)] });
  const b = await open("b6", onNetwork("six"));
  const sixOf = (sandbox: Sandbox): string => sandbox.endpoints["six"]?.ipv6Address ?? "";
  assert.match(sixOf(a), /^fd.*::2$/);
  const ping = await world.run(b.netnsPath, "busybox", "ping", "-c", "1", "-W", "2", sixOf(a));
  assert.equal(ping.code, 0, ping.out);
  serve6(a.netnsPath, 80);
  assert.equal(await ask(world.clientNetns, "fd99::1", 8601), "six fd99::2");
  await world.run(world.clientNetns, "ip", "route", "add", sixOf(a), "via", "fd99::1");
  assert.equal(await ask(world.clientNetns, sixOf(a), 80), "");
  await closeAll("a6", "b6");
  await networks.remove("six");
});

test("an internal network has no way out and no names from outside", async () => {
  await networks.create(bridgeRequest("inside", { internal: true }));
  const a = await open("ia", { ...onNetwork("inside"), portBindings: [tcp(80, 8701)] });
  const b = await open("ib", onNetwork("inside"));
  world.greet(b.netnsPath, 80, "b");
  assert.match(await ask(a.netnsPath, addressOf(b), 80), /^b/);
  const { out } = await world.run(a.netnsPath, "ip", "route");
  assert.doesNotMatch(out, /default/);
  await world.run(a.netnsPath, "ip", "route", "add", "default", "via", addressOf(a).replace(/\d+$/, "1"));
  world.greet(world.clientNetns, 7100, "client");
  assert.equal(await ask(a.netnsPath, world.clientAddress, 7100), "");
  assert.deepEqual(a.ports, []);
  await closeAll("ia", "ib");
  await networks.remove("inside");
});

test("a container joins and leaves networks while it lives; its ports follow", async () => {
  await networks.create(bridgeRequest("second"));
  const first = await open("mover", { portBindings: [tcp(80, 8201)] });
  const { containerId } = request("mover");
  world.greet(first.netnsPath, 80, "mover");
  const both = await networks.connect(containerId, "second", SETTINGS);
  assert.match(both.resolvConf, /nameserver 127\.0\.0\.11/);
  assert.deepEqual(Object.keys(both.endpoints), ["bridge", "second"]);
  await assert.rejects(networks.connect(containerId, "second", SETTINGS), /already exists in network second/);
  const left = await networks.disconnect(containerId, "bridge");
  assert.deepEqual(Object.keys(left.endpoints), ["second"]);
  const { out } = await world.run(first.netnsPath, "sh", "-c", "ip route; ip -o link");
  assert.match(out, /default via 172\.30\.\d+\.1 dev eth1/);
  assert.doesNotMatch(out, /eth0/);
  assert.match(await ask(world.clientNetns, host.address, 8201), /^mover/);
  await closeAll("mover");
  await networks.remove("second");
});

test("a UDP client finds the new container behind a port, and the one that came too early", async () => {
  const udp: PortBinding = { protocol: "udp", containerPort: 53, hostPort: 5353, hostAddress: "" };
  const send = world.datagram(world.clientNetns, 40_001);
  assert.equal(await send(host.address, 5353, "early"), "");
  const first = await open("u1", { portBindings: [udp] });
  world.greetUdp(first.netnsPath, 53, () => "u1");
  assert.equal(await send(host.address, 5353, "x"), "u1");
  await closeAll("u1");
  await open("filler");
  const second = await open("u2", { portBindings: [udp] });
  world.greetUdp(second.netnsPath, 53, () => "u2");
  assert.equal(await send(host.address, 5353, "x"), "u2");
  await closeAll("u2", "filler");
});

test("ports work while the daemon is away; a new one takes over what lives and removes the rest", async () => {
  const kept = await open("kept", { portBindings: [tcp(80, 8301)] });
  await open("gone", { portBindings: [tcp(80, 8302)] });
  world.greet(kept.netnsPath, 80, "kept");
  await stop();
  assert.match(await ask(world.clientNetns, host.address, 8301), /^kept/);
  openNetworks();
  await networks.adopt(request("kept"), kept);
  await networks.retain(new Set([request("kept").containerId]));
  assert.match(await ask(world.clientNetns, host.address, 8301), /^kept/);
  await assert.rejects(open("late", { portBindings: [tcp(80, 8301)] }), /port is already allocated/);
  const next = await open("next", { portBindings: [tcp(80, 8302)] });
  assert.equal(
    addressOf(next),
    "172.30.0.3",
    "the lease of the gone one is free, that of the kept one is not",
  );
  execFileSync("nsenter", [`--net=${host.netns}`, "nft", "delete", "table", "ip", "skein_net"]);
  await networks.retain(new Set([kept, next].map(({ netnsPath }) => netnsPath.replace(/.*\//, ""))));
  assert.match(
    await ask(world.clientNetns, host.address, 8301),
    /^kept 10\.99/,
    "rules that were flushed are back",
  );
  await closeAll("kept", "next");
});

test("what cannot be is refused in Docker's words, and leaves nothing", async () => {
  const ipam = { subnet: "10.77.0.0/29", ipRange: "", gateway: "", auxiliaryAddresses: {} };
  await networks.create(bridgeRequest("tiny", { ipam: [ipam] }));
  for (const [asked, words] of [
    [bridgeRequest("tiny"), /^network with name tiny already exists$/],
    [
      bridgeRequest("overlap", { ipam: [{ ...ipam, subnet: "10.77.0.0/16" }] }),
      /^Pool overlaps with other one on this/,
    ],
    [bridgeRequest("bridge"), /not permitted on predefined bridge network/],
    [bridgeRequest("x", { driver: "nosuch" }), /^plugin "nosuch" not found$/],
    [bridgeRequest("x", { ipam: [{ ...ipam, subnet: "banana" }] }), /^Invalid subnet banana/],
    [bridgeRequest("x", { options: { "com.docker.network.driver.mtu": "zz" } }), /^failed to parse/],
  ] as const)
    await assert.rejects(networks.create(asked), { message: words });
  await assert.rejects(networks.remove("bridge"), /is a pre-defined network and cannot be removed/);
  await assert.rejects(open("x", onNetwork("nope")), { message: "network nope not found" });
  const fixed = await open(
    "fixed",
    onNetwork("tiny", { ipv4Address: "10.77.0.3", macAddress: "02:42:11:22:33:44" }),
  );
  assert.equal(fixed.endpoints["tiny"]?.macAddress, "02:42:11:22:33:44");
  await assert.rejects(open("x", onNetwork("tiny", { ipv4Address: "10.77.0.3" })), /Address already in use/);
  const names = ["t1", "t2", "t3", "t4"];
  const given = [];
  for (const name of names) given.push(addressOf(await open(name, onNetwork("tiny"))));
  assert.deepEqual(given, ["10.77.0.2", "10.77.0.4", "10.77.0.5", "10.77.0.6"]);
  await assert.rejects(
    open("x", onNetwork("tiny")),
    /no available IPv4 addresses on this network's address pools/,
  );
  await closeAll("t1", "fixed");
  assert.equal(addressOf(await open("t5", onNetwork("tiny"))), "10.77.0.2", "the lowest free address");
  await closeAll(...names, "t5");
  await networks.remove("tiny");
  const { out } = await world.run(host.netns, "ip", "-o", "link");
  assert.doesNotMatch(out, /skb-/);
});
