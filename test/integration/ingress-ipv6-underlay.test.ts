/**
 * Nodes whose data path is IPv6: the mesh in both families over a tunnel in IPv6.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import {
  EndpointResource,
  EndpointState,
  PeerResource,
  ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { createTestWorld, ipv6Of } from "../support/network-world.js";

test("a client of either family reaches a task on another node over an IPv6 data path", async () => {
  const world = await createTestWorld(2, { ipv6: true, underlay: 6 });
  try {
    const [entry, target] = world.hosts;
    assert.ok(entry !== undefined && target !== undefined);
    const ports = [{ targetPort: 80, publishedPort: 8080 }];
    const service = ServiceResource.fromPartial({ id: "svc", name: "web", ports });
    const upserts: NodeResource[] = [
      { resource: { $case: "service", value: service } },
      ...world.hosts.map(({ nodeId, number, address }): NodeResource => {
        const nodeAddresses = [address, ipv6Of(address)];
        const dataPathAddress = ipv6Of(address);
        const value = PeerResource.fromPartial({ nodeId, number, dataPathAddress, nodeAddresses });
        return { resource: { $case: "peer", value } };
      }),
    ];
    const tell = async (revision: number): Promise<void> => {
      const changes = { complete: true, revision, upserts, removals: [] };
      await Promise.all(world.hosts.map(({ plane }) => plane.apply(changes)));
    };
    await tell(1);
    const { nodeId } = target;
    const task = Task.fromPartial({ id: "task", serviceId: "svc", nodeId, endpoint: { ports } });
    const { netnsPath, gatewayAddress } = await target.plane.attachTask(task, {
      hostname: "t",
      extraHosts: [],
    });
    world.greet(netnsPath, 80, "task");
    world.greet(netnsPath, 80, "task", "::");
    const value = EndpointResource.fromPartial({
      ...{ taskId: "task", serviceId: "svc", nodeId, gatewayAddress },
      state: EndpointState.READY,
    });
    upserts.push({ resource: { $case: "endpoint", value } });
    await tell(2);
    const ask = async (address: string): Promise<string> =>
      (await world.run(world.clientNetns, "busybox", "nc", "-w", "3", address, "8080")).out;
    assert.equal(await ask(entry.address), "task 10.99.0.100");
    assert.equal(await ask(ipv6Of(entry.address)), "task fd99::100");
    const { out } = await world.run(entry.netns, "ip", "-d", "link", "show", "skein-vxt");
    assert.match(out, /mtu 1430 .* local fd99::1 /s);
  } finally {
    await world.close();
  }
});
