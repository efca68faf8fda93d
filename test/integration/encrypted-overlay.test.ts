/**
 * An encrypted overlay on a real kernel: two hosts as namespaces, a task on each. Where the kernel has
 * WireGuard, traffic flows and none of it is plain VXLAN; where it has not, the node says so and refuses the
 * task.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import type { TaskSandbox } from "../../net-overlay/network-plane.js";
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import {
  EndpointResource,
  EndpointState,
  NetworkKeyResource,
  NetworkResource,
  PeerResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import type { TestHost, TestWorld } from "../support/network-world.js";
import { createTestWorld } from "../support/network-world.js";
import { patient } from "../support/patience.js";

let world: TestWorld;
let revision = 0;
const sandboxes = new Map<number, TaskSandbox>();
const children = new Set<ChildProcess>();

before(async () => {
  world = await createTestWorld(2);
});
after(() => {
  for (const child of children) child.kill();
  return world.close();
});

function network(id: string, vni: number, encrypted: boolean): NodeResource {
  const ipam = [{ subnet: `10.0.${vni - 4096}.0/24` }];
  const value = NetworkResource.fromPartial({ id, name: id, vni, encrypted, internal: true, ipam });
  return { resource: { $case: "network", value } };
}

function attachments(host: TestHost): { networkId: string; addresses: string[] }[] {
  return [
    { networkId: "vault", addresses: [`10.0.1.${host.index}1/24`] },
    { networkId: "open", addresses: [`10.0.2.${host.index}1/24`] },
  ];
}

function everything(generation: number): NodeResource[] {
  return [
    network("vault", 4097, true),
    network("open", 4098, false),
    ...[generation, generation - 1]
      .filter((each) => each > 0)
      .map((each): NodeResource => {
        const key = new Uint8Array(32).fill(each);
        const value = NetworkKeyResource.fromPartial({ id: String(each), generation: each, key });
        return { resource: { $case: "networkKey", value } };
      }),
    ...world.hosts.flatMap((host): NodeResource[] => {
      const { nodeId, number, address, plane } = host;
      const { publicKey, udpPort } = plane.encryptionFacts();
      const peer = PeerResource.fromPartial({
        nodeId,
        hostname: nodeId,
        number,
        dataPathAddress: address,
        vxlanUdpPort: 4789,
        wireguardPublicKey: publicKey,
        wireguardUdpPort: udpPort,
      });
      const endpoint = EndpointResource.fromPartial({
        taskId: `task${host.index}`,
        nodeId,
        state: EndpointState.READY,
        attachments: attachments(host),
      });
      return [
        { resource: { $case: "peer", value: peer } },
        { resource: { $case: "endpoint", value: endpoint } },
      ];
    }),
  ];
}

async function tellAll(generation: number): Promise<void> {
  revision += 1;
  const changes = { complete: true, revision, upserts: everything(generation), removals: [] };
  await Promise.all(world.hosts.map((host) => host.plane.apply(changes)));
}

function attach(host: TestHost): Promise<TaskSandbox> {
  const task = Task.fromPartial({
    id: `task${host.index}`,
    nodeId: host.nodeId,
    networks: attachments(host),
  });
  return host.plane.attachTask(task, { hostname: `box${host.index}`, extraHosts: [] });
}

function encryptedNamespaces(host: TestHost): string[] {
  return readdirSync(join(host.runDir, "net", "ns")).filter((name) => /^(wireguard|net-vault)$/.test(name));
}

/** Counts what leaves a host for the ports of VXLAN and of WireGuard. */
function watch(host: TestHost): () => { vxlan: number; wireguard: number } {
  const nft = (text: string): string =>
    execFileSync("nsenter", [`--net=${host.netns}`, "nft", "-f", "-"], { input: text, encoding: "utf8" });
  nft(`table inet watch {
    counter vxlan {}
    counter wireguard {}
    chain out {
      type filter hook output priority 0
      udp dport 4789 counter name vxlan
      udp dport 4790 counter name wireguard
    }
  }`);
  return () => {
    const packets = (name: string): number => {
      const listed = execFileSync(
        "nsenter",
        [`--net=${host.netns}`, "nft", "list", "counter", "inet", "watch", name],
        { encoding: "utf8" },
      );
      return Number(/packets (\d+)/.exec(listed)?.[1]);
    };
    return { vxlan: packets("vxlan"), wireguard: packets("wireguard") };
  };
}

/** A connection from the first host's task; what it is told comes back. */
function openEcho(address: string): { ask(text: string): Promise<void>; close(): void } {
  const netns = sandboxes.get(1)?.netnsPath ?? "";
  const child = spawn("nsenter", [`--net=${netns}`, "busybox", "nc", address, "80"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.add(child);
  let heard = "";
  const ask = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const fail = (): void => reject(new Error(`no answer ${text.slice(0, 40)}`));
      const timer = systemClock.setTimer(patient(10_000), fail);
      const look = (): void => {
        if (!heard.includes(text)) return;
        timer.cancel();
        child.stdout.off("data", look);
        resolve();
      };
      child.stdout.on("data", look);
      child.once("exit", fail);
      child.stdin.write(text);
    });
  child.stdout.on("data", (chunk: Buffer) => {
    heard += chunk.toString();
  });
  return { ask, close: () => void child.kill() };
}

test("an encrypted network carries traffic inside of WireGuard alone, or is refused by name", async () => {
  const [one, two] = world.hosts;
  assert.ok(one !== undefined && two !== undefined);
  await tellAll(1);
  if (one.plane.encryptionFacts().publicKey === "") {
    await assert.rejects(attach(one), {
      code: "failed-precondition",
      message: /^this node cannot take part in an encrypted network: the kernel has no WireGuard$/,
    });
    assert.deepEqual(one.plane.encryptedPairs(), []);
    assert.deepEqual(encryptedNamespaces(one), []);
    return;
  }
  for (const host of world.hosts) {
    const sandbox = await attach(host);
    sandboxes.set(host.index, sandbox);
    world.greet(sandbox.netnsPath, 80, `task${host.index}`);
  }
  const counted = watch(one);
  const vault = openEcho("10.0.1.21");
  await vault.ask("hello inside");
  const inside = counted();
  assert.equal(inside.vxlan, 0);
  assert.ok(inside.wireguard > 0);
  const open = openEcho("10.0.2.21");
  await open.ask("hello outside");
  assert.ok(counted().vxlan > 0, "the other network is in the clear");
  open.close();

  // an inner packet of full size: nothing is cut or lost
  await vault.ask("x".repeat(100_000));

  // a new key, a restart of the daemon: the connection goes on
  await tellAll(2);
  await vault.ask("after the rotation");
  const facts = one.plane.encryptionFacts();
  await one.restart();
  assert.deepEqual(one.plane.encryptionFacts(), facts);
  await tellAll(2);
  await vault.ask("after the restart");
  const [pair] = one.plane.encryptedPairs();
  assert.equal(pair?.nodeId, two.nodeId);
  assert.equal(pair.generation, 2);
  assert.equal(pair.stale, false);
  assert.ok(pair.handshakeAgeMs !== undefined);
  vault.close();

  await one.plane.detachTask("task1");
  await one.plane.apply({ complete: true, revision: revision + 1, upserts: [], removals: [] });
  assert.deepEqual(encryptedNamespaces(one), []);
});
