/**
 * Collisions: told with who has it, tried again, over when applied.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { MemoryLogger } from "../../base/log/logger.js";
import type { TunnelCollision } from "./collision.js";
import { COLLISION_RETRY_MS, CollisionWatch } from "./collision-watch.js";
import { NetworkTroubles } from "./network-troubles.js";

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("who has it is asked once, told, tried again, and forgotten when it is over", async () => {
  const clock = new ManualClock();
  const log = new MemoryLogger();
  const troubles = new NetworkTroubles(log);
  const retried: (readonly string[])[] = [];
  let asked = 0;
  const holders = {
    ofPort: (port: number) => {
      asked += 1;
      return Promise.resolve(`nginx (pid ${port})`);
    },
    ofMesh: () => Promise.resolve("node (pid 7)"),
  };
  const watch = new CollisionWatch({ troubles, holders, clock, log, retry: (what) => retried.push(what) });
  const port: TunnelCollision = { what: "mesh", vni: 4096, udpPort: 4789, taken: "port" };
  const vni: TunnelCollision = { what: "net1", vni: 4097, udpPort: 4789, taken: "identifier" };
  watch.look([port, vni], undefined);
  await settled();
  assert.equal(
    troubles.text,
    "udp port 4789 is taken by nginx (pid 4789): no traffic to other nodes; " +
      "VXLAN id 4097 on udp port 4789 is taken by nginx (pid 4789): no traffic to other nodes",
  );
  watch.look([port, vni], undefined);
  assert.equal(asked, 2);
  clock.advance(COLLISION_RETRY_MS);
  assert.deepEqual(retried, [["mesh", "net1"]]);
  watch.look([], "another skeind has the mesh");
  await settled();
  assert.equal(troubles.text, "another skeind has the mesh: node (pid 7)");
  watch.look([], undefined);
  assert.equal(troubles.text, "");
  clock.advance(10 * COLLISION_RETRY_MS);
  assert.equal(retried.length, 1);
});
