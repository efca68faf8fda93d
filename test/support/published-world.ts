/**
 * Two hosts with one overlay, one service with a VIP and a published port, and a task on each.
 * Edge: to the kernel by network-world.ts.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { endpoint, network, peer, service } from "../../net-overlay/endpoints/network-fixtures.js";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import type { BreakGround, NetworkBreak } from "./network-breaks.js";
import type { TestHost, TestWorld } from "./network-world.js";
import { createTestWorld } from "./network-world.js";

export const PUBLISHED_PORT = 8080;
export const VIP = "10.0.1.2";

export interface PublishedWorld {
  readonly world: TestWorld;
  readonly ground: BreakGround;
  /** The one whose network is broken. */
  readonly host: TestHost;
  /** Of a place on `host`. */
  readonly netnsOf: (place: NetworkBreak["place"]) => string;
  /** The first word of the greeting: which task answered; "" when none did. */
  readonly askMesh: () => Promise<string>;
  /** The same by an address of a node. */
  readonly askMeshAt: (address: string) => Promise<string>;
  readonly askVip: () => Promise<string>;
}

export async function createPublishedWorld(): Promise<PublishedWorld> {
  const world = await createTestWorld(2);
  try {
    return await fill(world);
  } catch (error) {
    await world.close();
    throw error;
  }
}

async function fill(world: TestWorld): Promise<PublishedWorld> {
  const [host, other] = world.hosts;
  assert.ok(host !== undefined && other !== undefined);
  const resources = [
    network(),
    service({ ports: [{ targetPort: 80, publishedPort: PUBLISHED_PORT }] }),
    ...world.hosts.map(({ number }) => peer(number)),
  ];
  const tell = async (revision: number, upserts: typeof resources): Promise<void> => {
    const changes = { complete: revision === 1, revision, upserts, removals: [] };
    await Promise.all(world.hosts.map(({ plane }) => plane.apply(changes)));
  };
  await tell(1, resources);
  const endpoints = [];
  for (const { plane, nodeId, index } of world.hosts) {
    const task = Task.fromPartial({
      id: `task${index}1`,
      serviceId: "svc1",
      slot: index,
      nodeId,
      networks: [{ networkId: "net1", addresses: [`10.0.1.${index}1/24`] }],
      endpoint: { ports: [{ targetPort: 80, publishedPort: PUBLISHED_PORT }] },
    });
    const sandbox = await plane.attachTask(task, { hostname: task.id, extraHosts: [] });
    world.greet(sandbox.netnsPath, 80, task.id);
    endpoints.push(endpoint(index * 10 + 1, { gatewayAddress: sandbox.gatewayAddress }));
  }
  await tell(2, [...resources, ...endpoints]);
  const netns = (name: string): string => join(host.runDir, "net/ns", name);
  const greeting = async (netnsPath: string, address: string, port: number): Promise<string> => {
    const { out } = await world.run(
      netnsPath,
      "busybox",
      "timeout",
      "1",
      "busybox",
      "nc",
      address,
      `${port}`,
    );
    return /^task\d+/.exec(out)?.[0] ?? "";
  };
  const suffix = (prefix: string): string =>
    `${prefix}${createHash("sha256")
      .update("task11")
      .digest("hex")
      .slice(0, 15 - prefix.length)}`;
  return {
    world,
    host,
    ground: {
      hostEnd: suffix("v"),
      gatewayEnd: suffix("skg"),
      taskAddress: "10.0.1.11",
      gatewayAddress: "100.64.1.2",
      peerNumber: other.number,
      peerAddress: other.address,
      remoteTask: "10.0.1.21",
      vip: VIP,
      publishedPort: PUBLISHED_PORT,
    },
    netnsOf: (place) =>
      place === "host" ? host.netns : place === "network" ? netns("net-net1") : netns("task-task11"),
    askMesh: () => greeting(world.clientNetns, host.address, PUBLISHED_PORT),
    askMeshAt: (address) => greeting(world.clientNetns, address, PUBLISHED_PORT),
    askVip: () => greeting(netns("task-task11"), VIP, 80),
  };
}
