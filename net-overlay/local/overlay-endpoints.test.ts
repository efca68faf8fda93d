/**
 * Containers on overlays and on bridges, over a machine and a cluster in memory: ways out, order, all or
 * nothing, and what a restart takes over.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { InternalError } from "../../base/errors/errors.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { EndpointSettings, PortBinding, SandboxRequest } from "../../proto/engine/networks.js";
import { GATEWAY_NETWORK } from "./gateway-network.js";
import { PLAIN_NETWORKING } from "./local-network-fixtures.js";
import { NodeLocalNetworks } from "./local-networks.js";
import { NO_SETTINGS } from "./local-sandbox.js";
import { MemoryLocalHost, MemoryLocalRecords } from "./memory-local-host.js";
import { MemoryOverlays } from "./memory-overlays.js";

const WEB: PortBinding = { protocol: "tcp", containerPort: 80, hostAddress: "", hostPort: 8080 };

class Node {
  readonly host = new MemoryLocalHost();
  readonly records = new MemoryLocalRecords();
  readonly overlays = new MemoryOverlays("mesh", "side", "inner");
  networks = this.start();

  start(): NodeLocalNetworks {
    const { host, records, overlays } = this;
    const parts = { clock: new ManualClock(), random: new SeededRandom(3), log: new MemoryLogger() };
    this.networks = new NodeLocalNetworks({ host, records, overlays, ...parts });
    return this.networks;
  }

  request(name: string, networks: readonly string[], ports: readonly PortBinding[] = []): SandboxRequest {
    const endpoints = Object.fromEntries(
      networks.map((network): [string, EndpointSettings] => [network, NO_SETTINGS]),
    );
    const [mode = "default"] = networks;
    return {
      containerId: Buffer.from(name.padEnd(32, "-")).toString("hex"),
      containerName: name,
      hostname: `${name}host`,
      domainname: "",
      labels: {},
      sysctls: {},
      networking: { ...PLAIN_NETWORKING, mode, endpoints, portBindings: ports },
    };
  }

  gatewayMembers(): readonly string[] {
    const id = this.networks.find(GATEWAY_NETWORK)?.id ?? "";
    return this.networks.members(id).map(({ name }) => name);
  }
}

test("on an overlay alone a container has a way out that is none of its networks, and publishes by it", async () => {
  const node = new Node();
  const request = node.request("box", ["mesh"], [WEB]);
  const sandbox = await node.networks.open(request);
  assert.deepEqual(Object.keys(sandbox.endpoints), ["mesh"]);
  const { endpoints } = sandbox;
  assert.deepEqual(
    [endpoints["mesh"]?.ipv4Address, endpoints["mesh"]?.gateway, endpoints["mesh"]?.isOfCluster],
    ["10.9.0.2", "", true],
  );
  assert.deepEqual(endpoints["mesh"]?.dnsNames, ["box", request.containerId.slice(0, 12), "boxhost"]);
  assert.match(sandbox.etcHosts, /^10\.9\.0\.2\tboxhost$/m);
  assert.doesNotMatch(sandbox.etcHosts, /172\./);
  assert.deepEqual(node.gatewayMembers(), [`gateway_${request.containerId.slice(0, 12)}`]);
  assert.equal(node.host.routes?.[4]?.linkIndex, 3, "the way out leads by the second interface");
  assert.equal(node.host.firewall?.[4].ports[0]?.address, "172.18.0.2");
  assert.deepEqual(
    sandbox.ports.map(({ hostPort }) => hostPort),
    [8080, ...sandbox.ports.slice(1).map(() => 8080)],
  );
  await node.networks.close(request.containerId);
  assert.deepEqual([...node.overlays.leases], []);
  assert.deepEqual(node.overlays.unplugged, [], "interfaces go with the namespace");
  assert.deepEqual(node.gatewayMembers(), []);
});

test("beside a bridge, or on internal overlays alone, there is no way out of its own", async () => {
  const node = new Node();
  await node.networks.open(node.request("both", ["bridge", "mesh"]));
  await node.networks.open(node.request("shut", ["inner"]));
  assert.deepEqual(node.gatewayMembers(), []);
});

test("the way out comes and goes with the networks that are joined and left live", async () => {
  const node = new Node();
  const { containerId } = node.request("box", ["bridge"]);
  await node.networks.open(node.request("box", ["bridge"]));
  const byBridge = node.host.routes?.[4];
  await node.networks.connect(containerId, "mesh", { ...NO_SETTINGS, aliases: ["neu"] });
  assert.deepEqual(node.host.routes?.[4], byBridge, "the bridge keeps the default route");
  await node.networks.disconnect(containerId, "bridge");
  assert.equal(node.gatewayMembers().length, 1);
  assert.notDeepEqual(node.host.routes?.[4], byBridge);
  await node.networks.connect(containerId, "bridge", NO_SETTINGS);
  assert.deepEqual(node.gatewayMembers(), []);
  await assert.rejects(node.networks.connect(containerId, "mesh", NO_SETTINGS), {
    code: "already-exists",
    message: "box is already attached to network mesh",
  });
  const left = await node.networks.disconnect(containerId, "mesh");
  assert.deepEqual(Object.keys(left.endpoints), ["bridge"]);
  assert.deepEqual(node.overlays.unplugged, ["lease2"]);
  await assert.rejects(node.networks.disconnect(containerId, "mesh"), { code: "not-found" });
});

test("what fails on the way leaves nothing: no lease, interface or namespace", async () => {
  const node = new Node();
  node.overlays.failure = new InternalError("no overlay");
  await assert.rejects(node.networks.open(node.request("box", ["mesh", "side"])), { message: "no overlay" });
  await assert.rejects(node.networks.open(node.request("box", ["mesh", "nosuch"])), {
    message: "Could not attach to network nosuch",
  });
  assert.deepEqual([...node.overlays.leases], []);
  assert.deepEqual(node.host.listSandboxes(), []);
  assert.deepEqual([...node.records.sandboxes], []);
  const sandbox = await node.networks.open(node.request("box", ["mesh", "side"]));
  assert.deepEqual(Object.keys(sandbox.endpoints).sort(), ["mesh", "side"]);
});

test("a new name is told to the cluster; a restarted daemon takes over what it finds", async () => {
  const node = new Node();
  const request = node.request("box", ["mesh"]);
  const sandbox = await node.networks.open(request);
  node.networks.rename(request.containerId, "renamed");
  assert.equal([...node.overlays.leases.values()][0]?.containerName, "renamed");
  const before = [...node.overlays.ends];
  node.overlays.leases.clear();
  node.overlays.ends.clear();
  await node.start().retain(new Set([request.containerId]));
  await node.networks.adopt(request, sandbox);
  assert.deepEqual([...node.overlays.leases.keys()], ["lease2"]);
  assert.deepEqual(
    [...node.overlays.ends].map(([id, end]) => [id, end.linkName, end.linkIndex]),
    before.map(([id, end]) => [id, end.linkName, end.linkIndex]),
  );
  await node.networks.leaveOverlays();
  assert.deepEqual([...node.overlays.leases], []);
  assert.equal(node.gatewayMembers().length, 1, "it still gets out");
  await node.networks.close(request.containerId);
  await node.networks.leaveOverlays();
  assert.equal(node.networks.find(GATEWAY_NETWORK), undefined);
});

test("a task's container joins overlays beside its own networks, and no bridge", async () => {
  const node = new Node();
  const request = node.request("task", []);
  const joining = { network: "mesh", settings: NO_SETTINGS };
  const joined = await node.networks.connectGuest(request, "/run/task", joining);
  assert.deepEqual(Object.keys(joined.endpoints), ["mesh"]);
  const [end] = [...node.overlays.ends.values()];
  assert.deepEqual([end?.netnsPath, end?.linkName, end?.linkIndex], ["/run/task", "eth16", 64]);
  assert.deepEqual(node.gatewayMembers(), []);
  assert.deepEqual(node.host.listSandboxes(), []);
  await assert.rejects(
    node.networks.connectGuest(request, "/run/task", { network: "bridge", settings: NO_SETTINGS }),
    { code: "permission-denied" },
  );
  node.overlays.leases.clear();
  await node.start().retain(new Set([request.containerId]));
  await node.networks.adopt(request, joined);
  assert.equal(node.overlays.leases.size, 1);
  await node.networks.connectGuest(request, "/run/task", { network: "side", settings: NO_SETTINGS });
  assert.equal([...node.overlays.ends.values()].at(-1)?.linkIndex, 65);
  await node.networks.disconnect(request.containerId, "mesh");
  await node.networks.closeGuest(request.containerId);
  assert.deepEqual([...node.overlays.leases], []);
  assert.deepEqual([...node.records.sandboxes], []);
});
