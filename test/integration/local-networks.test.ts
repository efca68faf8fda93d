/**
 * Local networks on a real kernel: bare sandboxes in a namespace that plays the host, a client outside, real
 * packets. Edge: to the kernel.
 * Source: docs/design/local-networks.md.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import { systemRandom } from "../../base/random/system-random.js";
import { openLocalNetworks } from "../../net-overlay/local/linux-local-networks.js";
import type { NodeLocalNetworks } from "../../net-overlay/local/local-networks.js";
import type {
  ContainerNetworking,
  EndpointSettings,
  LocalNetworkRequest,
  PortBinding,
  Sandbox,
  SandboxRequest,
} from "../../proto/engine/networks.js";
import { createTestWorld, type TestHost, type TestWorld } from "../support/network-world.js";

let world: TestWorld;
let host: TestHost;
let networks: NodeLocalNetworks;
let stop: () => Promise<void>;

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
  await networks.retain(new Set());
  await stop();
  await world.close();
});

const NETWORKING: ContainerNetworking = {
  mode: "default",
  endpoints: {},
  exposedPorts: [],
  portBindings: [],
  publishAllPorts: false,
  links: [],
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  extraHosts: [],
  macAddress: "",
};

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
    networking: { ...NETWORKING, ...networking },
  };
}

const open = (name: string, networking: Partial<ContainerNetworking> = {}): Promise<Sandbox> =>
  networks.open(request(name, networking));
const closeAll = async (...names: string[]): Promise<void> => {
  for (const name of names) await networks.close(request(name).containerId);
};
const onNetwork = (network: string, settings: Partial<EndpointSettings> = {}): Partial<ContainerNetworking> => ({
  mode: network,
  endpoints: { [network]: { ...SETTINGS, ...settings } },
});

function network(name: string, asked: Partial<LocalNetworkRequest> = {}): LocalNetworkRequest {
  return {
    name,
    driver: "bridge",
    internal: false,
    attachable: false,
    enableIpv4: true,
    enableIpv6: false,
    ipamDriver: "default",
    ipamOptions: {},
    ipam: [],
    options: {},
    labels: {},
    ...asked,
  };
}

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
  execFileSync("nsenter", [`--net=${world.clientNetns}`, "ip", "route", "add", "172.30.0.0/16", "via", host.address]);
  assert.equal(await ask(world.clientNetns, addressOf(sandbox), 80), "");
  assert.match(await ask(host.netns, addressOf(sandbox), 80), /^inner/);
  await closeAll("out");
});

test("containers of one network reach each other, those of others do not", async () => {
  await networks.create(network("one"));
  await networks.create(network("two"));
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
