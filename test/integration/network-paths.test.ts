/**
 * Paths between nodes on a real kernel: what is measured, what is told, and what others have of the machine.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { systemClock } from "../../base/clock/system-clock.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { systemRandom } from "../../base/random/system-random.js";
import { createNetworkPlane } from "../../net-overlay/linux-network-plane.js";
import type { TaskSandbox } from "../../net-overlay/network-plane.js";
import { SMALL_BYTES } from "../../net-overlay/paths/path-check.js";
import {
  EndpointResource,
  EndpointState,
  NetworkResource,
  type NodeResource,
  PeerResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import type { TestHost, TestWorld } from "../support/network-world.js";
import { createTestWorld } from "../support/network-world.js";
import { patient } from "../support/patience.js";

let world: TestWorld;
let revision = 0;
const sandboxes: TaskSandbox[] = [];

/** Looks again and again, for half a minute at most. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = systemClock.monotonicMs() + patient(30_000);
  while (!(await holds())) {
    const seen = world.hosts.map(({ plane }) => `${plane.pathMtuBytes} ${plane.trouble}`);
    assert.ok(systemClock.monotonicMs() < endMs, seen.join(" | "));
    await systemClock.sleep(50);
  }
}

function hostAt(index: number): TestHost {
  const host = world.hosts[index];
  assert.ok(host);
  return host;
}

function peers(): NodeResource[] {
  return world.hosts.map(({ nodeId, number, address: dataPathAddress }) => ({
    resource: {
      $case: "peer",
      value: PeerResource.fromPartial({
        nodeId,
        hostname: nodeId,
        number,
        dataPathAddress,
        vxlanUdpPort: 4789,
      }),
    },
  }));
}

function resources(): NodeResource[] {
  const ipam = [{ subnet: "10.0.1.0/24", gateway: "10.0.1.1" }];
  const network = NetworkResource.fromPartial({ id: "net1", name: "front", vni: 4097, ipam });
  const endpoints = [1, 2].map((slot): NodeResource => {
    const value = EndpointResource.fromPartial({
      taskId: `task${slot}`,
      serviceId: "svc",
      nodeId: hostAt(slot - 1).nodeId,
      state: EndpointState.READY,
      attachments: [{ networkId: "net1", addresses: [`10.0.1.1${slot}/24`] }],
    });
    return { resource: { $case: "endpoint", value } };
  });
  return [{ resource: { $case: "network", value: network } }, ...peers(), ...endpoints];
}

function nft(netns: string, text: string): void {
  execFileSync("nsenter", [`--net=${netns}`, "nft", text]);
}

async function tell(hosts: readonly TestHost[]): Promise<void> {
  revision += 1;
  const changes = { complete: true, revision, upserts: resources(), removals: [] };
  await Promise.all(hosts.map((host) => host.plane.apply(changes)));
}

/** In the network between the hosts, frames to and from the second one may have so much. */
function setMiddleMtu(bytes: number): void {
  const bridge = `${hostAt(1).netns.slice("/run/netns/".length).replace(/h2$/, "")}u`;
  execFileSync("ip", ["-n", bridge, "link", "set", "ph2", "mtu", String(bytes)]);
}

before(async () => {
  world = await createTestWorld(3);
  await tell(world.hosts);
  for (const slot of [1, 2]) {
    const networks = [{ networkId: "net1", addresses: [`10.0.1.1${slot}/24`] }];
    const task = Task.fromPartial({ id: `task${slot}`, serviceId: "svc", nodeId: `node${slot}`, networks });
    const options = { hostname: task.id, extraHosts: [] };
    const sandbox = await hostAt(slot - 1).plane.attachTask(task, options);
    sandboxes.push(sandbox);
    world.greet(sandbox.netnsPath, 80, task.id);
  }
});

after(() => world.close());

test("a good path is measured, and there is no trouble", async () => {
  await until(() => world.hosts.every(({ plane }) => plane.pathMtuBytes === 1_500));
  assert.deepEqual(
    world.hosts.map(({ plane }) => plane.trouble),
    ["", "", ""],
  );
});

test("where large packets vanish networks become smaller, and grow again", async () => {
  setMiddleMtu(1_400);
  await until(() => world.hosts.every(({ plane }) => plane.pathMtuBytes === 1_400));
  assert.equal(hostAt(0).plane.trouble, "packets above 1400 bytes to node2 (10.99.0.2) vanish");
  const [first, second] = sandboxes;
  assert.ok(first !== undefined && second !== undefined);
  const size = async (netns: string): Promise<string> =>
    (await world.run(netns, "cat", "/sys/class/net/eth0/mtu")).out;
  const mtuOf = async (netns: string): Promise<string> =>
    /mtu (\d+)/.exec((await world.run(netns, "ip", "link", "show", "eth0")).out)?.[1] ?? (await size(netns));
  await until(
    async () => (await mtuOf(first.netnsPath)) === "1350" && (await mtuOf(second.netnsPath)) === "1350",
  );
  const bulk = "head -c 1000000 /dev/zero | busybox nc -w 3 10.0.1.12 80 | wc -c";
  const { out } = await world.run(first.netnsPath, "sh", "-c", bulk);
  assert.ok(Number(out) > 1_000_000, out);
  setMiddleMtu(1_500);
  await until(() => world.hosts.every(({ plane }) => plane.pathMtuBytes === 1_500 && plane.trouble === ""));
  await until(async () => (await mtuOf(first.netnsPath)) === "1450");
});

test("a blocked port is named, and taken back when it is open", async () => {
  const { netns } = hostAt(2);
  nft(netns, "table inet block { chain in { type filter hook input priority -300; udp dport 4789 drop; }; }");
  const words = "udp 4789 to node3 (10.99.0.3): nothing comes back";
  await until(() => hostAt(0).plane.trouble === words && hostAt(1).plane.trouble === words);
  nft(netns, "delete table inet block");
  await until(() => world.hosts.every(({ plane }) => plane.trouble === ""));
});

test("a port that another program has is named with the program; what stays on the node works", async () => {
  const other = hostAt(2);
  await other.plane.removeAll();
  const at = { netnsPath: other.netns, kind: "udp", address: "0.0.0.0", port: 4789 } as const;
  const fd = world.linux.bindSocket(at);
  const { nodeId, number, address: dataPathAddress } = other;
  await other.plane.configure({ nodeId, number, dataPathAddress, vxlanUdpPort: 4789 });
  await tell([other]);
  const taken = new RegExp(
    `^udp port 4789 is taken by \\S+ \\(pid ${process.pid}\\): no traffic to other nodes$`,
  );
  await until(() => taken.test(other.plane.trouble.split("; ")[0] ?? ""));
  assert.equal(other.plane.appliedRevision, revision);
  const task = Task.fromPartial({ id: "task3", serviceId: "svc", nodeId, networks: [] });
  await other.plane.attachTask(task, { hostname: "task3", extraHosts: [] });
  await other.plane.detachTask("task3");
  closeSync(fd);
  await until(() => other.plane.trouble === "");
  await until(() => world.hosts.every(({ plane }) => plane.trouble === "" && plane.pathMtuBytes === 1_500));
});

/** What the kernel leaves to the card: the sum over addresses, protocol and length alone. */
function unfinishedChecksum(source: string, destination: string, udpBytes: number): number {
  const words = [source, destination].flatMap((address) => {
    const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
  let sum = words.reduce((total, word) => total + word, 17 + udpBytes);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

test("where checksums left to the card are wrong they are computed by the node, and it is told", async () => {
  const [first, second] = [hostAt(0), hostAt(1)];
  // as a card that does not fill them in: packets with the kernel's unfinished sum are not taken
  const wrong = unfinishedChecksum("169.254.0.1", "169.254.0.2", SMALL_BYTES - 20);
  const rule = `udp dport 4789 @th,448,16 ${wrong} drop`;
  nft(second.netns, `table inet card { chain in { type filter hook input priority -300; ${rule}; }; }`);
  await first.restart();
  await tell([first]);
  const words = "checksums of the network card are wrong, and are computed here instead, on the way to node2";
  await until(() => first.plane.trouble.startsWith(words));
  nft(second.netns, "delete table inet card");
  await first.restart();
  await tell([first]);
  await until(() => first.plane.pathMtuBytes === 1_500);
  assert.equal(first.plane.trouble, "");
});

test("two daemons in one namespace: the second says so and leaves the first alone", async () => {
  const host = hostAt(0);
  const dir = mkdtempSync(join(tmpdir(), "skein-second-"));
  const log = new MemoryLogger();
  const second = createNetworkPlane({
    ...{ linux: world.linux, runDir: dir, hostNetns: host.netns, clock: systemClock, log },
    ...{ random: systemRandom, upstreamResolvers: [] },
  });
  const before = await world.run(host.netns, "nft", "list", "table", "ip", "skein");
  try {
    await second.configure({ nodeId: "x", number: 9, dataPathAddress: host.address, vxlanUdpPort: 4789 });
    await second.apply({ complete: true, revision: 1, upserts: resources(), removals: [] });
    await until(() => second.trouble.includes("another skeind has the mesh of this network namespace"));
    assert.match(second.trouble, new RegExp(`\\(pid ${process.pid}\\)`));
    assert.equal(second.appliedRevision, 1);
    await second.removeAll();
    assert.equal(host.plane.trouble, "");
    assert.deepEqual(await world.run(host.netns, "nft", "list", "table", "ip", "skein"), before);
  } finally {
    await second.close();
    rmSync(dir, { recursive: true, force: true });
  }
});

test("paths are measured over IPv6, too", async () => {
  const [first, second] = [hostAt(0), hostAt(1)];
  const upserts = [first, second].map(({ nodeId, number, index }): NodeResource => {
    const dataPathAddress = `fd99::${index}`;
    return {
      resource: {
        $case: "peer",
        value: PeerResource.fromPartial({
          nodeId,
          hostname: nodeId,
          number,
          dataPathAddress,
          vxlanUdpPort: 4789,
        }),
      },
    };
  });
  for (const { netns, index } of [first, second])
    await world.run(netns, "ip", "addr", "add", `fd99::${index}/64`, "dev", "eth0", "nodad");
  revision += 1;
  for (const { plane, nodeId, number, index } of [first, second]) {
    await plane.configure({ nodeId, number, dataPathAddress: `fd99::${index}`, vxlanUdpPort: 4789 });
    await plane.apply({ complete: true, revision, upserts, removals: [] });
  }
  const measured = [{ hostname: "node2", address: "fd99::2", mtuBytes: 1_500, trouble: "", isUsable: true }];
  await until(() => isDeepStrictEqual(first.plane.paths(), measured));
  setMiddleMtu(1_400);
  await until(() => first.plane.trouble === "packets above 1400 bytes to node2 (fd99::2) vanish");
  setMiddleMtu(1_500);
});
