/**
 * Containers on local networks, over a machine in memory: all or nothing, and what changes when networks do.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { InternalError } from "../../base/errors/errors.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type {
  ContainerNetworking,
  EndpointSettings,
  PortBinding,
  SandboxRequest,
} from "../../proto/engine/networks.js";
import { bridgeRequest, PLAIN_NETWORKING } from "./local-network-fixtures.js";
import { type LocalNetworkInit, NodeLocalNetworks } from "./local-networks.js";
import { MemoryLocalHost, MemoryLocalRecords } from "./memory-local-host.js";

const SETTINGS: EndpointSettings = {
  aliases: [],
  links: [],
  ipv4Address: "",
  ipv6Address: "",
  macAddress: "",
  driverOptions: {},
};
const WEB: PortBinding = { protocol: "tcp", containerPort: 80, hostAddress: "", hostPort: 8080 };

function request(name: string, networking: Partial<ContainerNetworking> = {}): SandboxRequest {
  return {
    containerId: Buffer.from(name.padEnd(32, "-")).toString("hex"),
    containerName: name,
    hostname: name,
    domainname: "",
    labels: {},
    sysctls: {},
    networking: { ...PLAIN_NETWORKING, ...networking },
  };
}

class Node {
  readonly host = new MemoryLocalHost();
  readonly records = new MemoryLocalRecords();
  readonly events: string[] = [];
  networks = this.start();

  start(init: LocalNetworkInit = {}): NodeLocalNetworks {
    const { host, records } = this;
    const parts = { clock: new ManualClock(), random: new SeededRandom(3), log: new MemoryLogger() };
    this.networks = new NodeLocalNetworks({ host, records, ...parts }, init);
    this.networks.onEvent(({ kind, network: { name } }) => this.events.push(`${kind} ${name}`));
    return this.networks;
  }
}

test("what fails on the way leaves nothing: no namespace, lease, port or record", async () => {
  for (const call of ["attach", "applyFirewall", "serveNames"] as const) {
    const node = new Node();
    await node.networks.create(bridgeRequest("net"));
    const asked = request("a", { mode: "net", portBindings: [WEB] });
    node.host.failure = { call, error: new InternalError("out of luck") };
    await assert.rejects(node.networks.open(asked), { message: "out of luck" }, call);
    assert.deepEqual(
      [node.host.sandboxes.size, node.host.ports.held.size, node.records.sandboxes.size],
      [0, 0, 0],
    );
    const { endpoints } = await node.networks.open(request("b", { mode: "net", portBindings: [WEB] }));
    assert.equal(endpoints["net"]?.ipv4Address, "172.18.0.2", call);
    assert.deepEqual(node.events, ["create net", "connect net"]);
  }
});

test("a network that cannot be joined live leaves no interface behind", async () => {
  const node = new Node();
  await node.networks.create(bridgeRequest("net"));
  const { containerId } = request("a");
  await node.networks.open(request("a"));
  node.host.failure = { call: "applyFirewall", error: new InternalError("out of luck") };
  await assert.rejects(node.networks.connect(containerId, "net", SETTINGS), { message: "out of luck" });
  assert.deepEqual(node.host.sandboxes.get(containerId), ["eth0"]);
  const { endpoints } = await node.networks.connect(containerId, "net", SETTINGS);
  assert.equal(endpoints["net"]?.ipv4Address, "172.18.0.2");
});

test("an interface that somebody else made is no bridge of ours, and is not deleted", async () => {
  const node = new Node();
  node.host.bridges.add("wg0");
  const asked = bridgeRequest("mine", { options: { "com.docker.network.bridge.name": "wg0" } });
  await assert.rejects(node.networks.create(asked), /wg0 is an interface of the host already/);
  assert.ok(node.host.bridges.has("wg0"));
  assert.equal(node.networks.find("mine"), undefined);
});

test("a default bridge with another subnet takes over who lives on the old one", async () => {
  const node = new Node();
  const before = await node.networks.open(request("a"));
  node.start({ bip: "10.5.0.1/24" });
  await node.networks.adopt(request("a"), before);
  const { endpoints } = await node.networks.open(request("b"));
  assert.equal(endpoints["bridge"]?.ipv4Address, "10.5.0.2");
  await node.networks.close(request("a").containerId);
  assert.equal((await node.networks.open(request("a"))).endpoints["bridge"]?.ipv4Address, "10.5.0.3");
});

test("a container that is linked to one that does not run is refused", async () => {
  const node = new Node();
  await assert.rejects(node.networks.open(request("a", { links: ["gone:db"] })), {
    message: "Cannot link to a non running container: /gone AS /a/db",
  });
  assert.equal(node.host.sandboxes.size, 0);
});

test("the default route and the ports follow priority, then name, and leave internal networks aside", async () => {
  const node = new Node();
  for (const name of ["aa", "zz"]) await node.networks.create(bridgeRequest(name));
  await node.networks.create(bridgeRequest("inner", { internal: true }));
  const asked = request("a", { mode: "inner", portBindings: [WEB] });
  assert.deepEqual((await node.networks.open(asked)).ports, []);
  assert.equal(node.host.routes?.[4], undefined);
  const id = asked.containerId;
  const gateway = (): string | undefined => node.host.routes?.[4]?.gateway;
  const target = (): string | undefined => node.host.firewall?.[4].ports[0]?.address;
  const { ports } = await node.networks.connect(id, "zz", SETTINGS);
  assert.deepEqual(
    ports.map(({ hostAddress, hostPort }) => `${hostAddress}:${hostPort}`),
    ["0.0.0.0:8080"],
  );
  assert.deepEqual([gateway(), target()], ["172.19.0.1", "172.19.0.2"]);
  await node.networks.connect(id, "aa", SETTINGS);
  assert.deepEqual([gateway(), target()], ["172.18.0.1", "172.18.0.2"]);
  await node.networks.connect(id, "bridge", { ...SETTINGS, gatewayPriority: 1 });
  assert.deepEqual([gateway(), target()], ["172.17.0.1", "172.17.0.2"]);
  assert.deepEqual(node.host.sandboxes.get(id), ["eth0", "eth1", "eth2", "eth3"]);
  for (const name of ["bridge", "aa", "zz"]) await node.networks.disconnect(id, name);
  assert.deepEqual([gateway(), target(), node.host.ports.held.size], [undefined, undefined, 0]);
});

test("after a restart leases and names stay with those who live, and the rest is taken away", async () => {
  const node = new Node();
  await node.networks.create(bridgeRequest("net"));
  const [kept, gone] = [
    request("kept", { mode: "net", portBindings: [WEB] }),
    request("gone", { mode: "net" }),
  ];
  const before = await node.networks.open(kept);
  await node.networks.open(gone);
  node.host.createSandbox("an orphan");
  node.host.ports.held.clear();
  node.host.named.clear();
  node.start();
  const early = await node.networks.open(request("early", { mode: "net" }));
  assert.equal(early.endpoints["net"]?.ipv4Address, "172.18.0.4");
  await node.networks.adopt(kept, before);
  await node.networks.retain(new Set([kept.containerId, request("early").containerId]));
  assert.deepEqual([...node.host.ports.held.values()], [kept.containerId]);
  assert.deepEqual(node.host.listSandboxes(), [kept.containerId, request("early").containerId].sort());
  assert.deepEqual(node.networks.viewOf(kept.containerId)?.networks[1]?.names.find("early")?.addresses, [
    "172.18.0.4",
  ]);
  assert.deepEqual(await node.networks.open(kept), before, "opened again: as it was");
  await node.networks.close(kept.containerId);
  await node.networks.close(kept.containerId);
  assert.equal(node.host.ports.held.size, 0);
});
