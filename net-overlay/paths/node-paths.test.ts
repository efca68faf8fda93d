/**
 * A node's paths in a network of which the test says what it lets through.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { PeerResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { MemoryDataPlane } from "../dataplane/memory-data-plane.js";
import { endpoint, identity } from "../endpoints/network-fixtures.js";
import { createNetworkGround, type NetworkGround } from "../network-ground.js";
import { type MemoryProbeNetwork, MemoryProbeTunnel } from "./memory-probe-tunnel.js";
import { NodePaths } from "./node-paths.js";
import { ALL_PEERS_MAX, CHECKS_PER_SECOND, SAMPLED_PEERS } from "./path-peers.js";

interface World {
  readonly clock: ManualClock;
  readonly ground: NetworkGround;
  readonly tunnel: MemoryProbeTunnel;
  readonly paths: NodePaths;
  readonly told: { mtus: number[]; checksums: boolean[] };
  pass(ms: number): Promise<void>;
}

function worldOf(peers: number, network: Partial<MemoryProbeNetwork> = {}): World {
  const clock = new ManualClock();
  const log = new MemoryLogger();
  const random = new SeededRandom(7);
  const ground = createNetworkGround({ dataPlane: new MemoryDataPlane(), clock, random, log });
  ground.identity = identity;
  const tunnel = new MemoryProbeTunnel(clock, network);
  const told = { mtus: [] as number[], checksums: [] as boolean[] };
  const paths = new NodePaths(ground, {
    ...{ tunnel, random },
    onMtu: (mtuBytes) => told.mtus.push(mtuBytes),
    onTxChecksum: (isOn) => told.checksums.push(isOn),
  });
  for (let number = 2; number < peers + 2; number += 1) tellPeer(ground, number);
  paths.follow();
  const pass = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 25) {
      clock.advance(25);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { clock, ground, tunnel, paths, told, pass };
}

function tellPeer(ground: NetworkGround, number: number, away = false): void {
  const value = PeerResource.fromPartial({
    ...{ nodeId: `node${number}`, hostname: `host${number}`, number, away },
    dataPathAddress: `10.99.${number >> 8}.${number & 255}`,
  });
  ground.state.apply({ complete: false, upserts: [{ resource: { $case: "peer", value } }], removals: [] });
}

test("good paths: the underlay's size, one packet each, no trouble", async () => {
  const world = worldOf(3);
  await world.pass(100);
  assert.deepEqual(world.told.mtus, [1_500]);
  assert.equal(world.paths.mtuBytes, 1_500);
  assert.equal(world.ground.troubles.text, "");
  assert.equal(world.tunnel.asked.filter(({ isChecked }) => isChecked !== true).length, 3);
  assert.deepEqual([...world.tunnel.peers.keys()], [2, 3, 4]);
});

test("a node that does not answer is named after five seconds, and no more when it does", async () => {
  const world = worldOf(3);
  await world.pass(100);
  world.tunnel.network.passes = ({ number }) => number !== 3;
  await world.pass(4_500);
  assert.equal(world.ground.troubles.text, "");
  await world.pass(6_500);
  assert.equal(world.ground.troubles.text, "udp 4789 to host3 (10.99.0.3): nothing comes back");
  assert.deepEqual(
    world.paths.report().map(({ trouble }) => trouble !== ""),
    [false, true, false],
  );
  world.tunnel.network.passes = () => true;
  await world.pass(3_500);
  assert.equal(world.ground.troubles.text, "");
});

test("a daemon that restarts within three seconds is no trouble", async () => {
  const world = worldOf(1);
  await world.pass(100);
  for (let round = 0; round < 20; round += 1) {
    world.tunnel.network.passes = () => false;
    await world.pass(3_000);
    world.tunnel.network.passes = () => true;
    await world.pass(2_000 + round * 100);
    assert.equal(world.ground.troubles.text, "");
  }
});

test("a node that is away is not looked at", async () => {
  const world = worldOf(2, { passes: () => false });
  tellPeer(world.ground, 2, true);
  await world.pass(12_000);
  assert.equal(world.ground.troubles.text, "udp 4789 to host3 (10.99.0.3): nothing comes back");
});

test("one path that lets less through decides, is named, and grows again", async () => {
  const world = worldOf(3, { passes: ({ number, packetBytes }) => number !== 4 || packetBytes <= 1_322 });
  await world.pass(10_000);
  assert.equal(world.paths.mtuBytes, 1_372);
  assert.equal(world.ground.troubles.text, "packets above 1372 bytes to host4 (10.99.0.4) vanish");
  world.tunnel.network.passes = () => true;
  await world.pass(5_000);
  assert.deepEqual(world.told.mtus, [1_500, 1_372, 1_500]);
  assert.equal(world.ground.troubles.text, "");
});

test("an underlay of another size is measured anew", async () => {
  const world = worldOf(2);
  await world.pass(100);
  world.tunnel.network.mtuBytes = 9_000;
  await world.pass(6_000);
  assert.deepEqual(world.told.mtus, [1_500, 9_000]);
});

test("while the port is somebody else's nothing is asked", async () => {
  const world = worldOf(2, { isTaken: true });
  await world.pass(1_000);
  assert.equal(world.tunnel.asked.length, 0);
  world.tunnel.network.isTaken = false;
  await world.pass(6_000);
  assert.equal(world.paths.mtuBytes, 1_500);
});

test("a thousand nodes cost a bounded number of packets per second; who has tasks is looked at", async () => {
  const world = worldOf(1_000);
  const { state } = world.ground;
  const busy = Array.from({ length: 300 }, (_, index) =>
    endpoint(7, { taskId: `t${index}`, nodeId: `node${index + 2}` }),
  );
  state.apply({ complete: false, upserts: busy, removals: [] });
  await world.pass(60_000);
  const asked = world.tunnel.asked.filter(({ isChecked }) => isChecked !== true);
  const numbers = new Set(asked.map(({ number }) => number));
  assert.ok(numbers.size >= 300 && numbers.size <= 300 + SAMPLED_PEERS, `${numbers.size} nodes`);
  assert.ok(asked.length <= 61 * CHECKS_PER_SECOND, `${asked.length} packets`);
  assert.ok(world.paths.report().length > ALL_PEERS_MAX);
});

test("checksums that only the card gets wrong are taken from it; else it keeps them", async () => {
  const broken = worldOf(2);
  broken.tunnel.network.passes = ({ number, isChecked }) =>
    isChecked !== true || number !== 3 || !broken.tunnel.hasTxChecksum;
  await broken.pass(6_000);
  assert.deepEqual(broken.told.checksums, [true, false]);
  assert.match(
    broken.ground.troubles.text,
    /^checksums of the network card are wrong.* to host3 \(10\.99\.0\.3\)$/,
  );
  assert.equal(broken.tunnel.hasTxChecksum, false);
  const other = worldOf(2, { transfers: (number) => number !== 2 });
  await other.pass(6_000);
  assert.deepEqual(other.tunnel.txChecksums, [false, true]);
  assert.ok(!other.told.checksums.includes(false));
  assert.equal(other.ground.troubles.text, "TCP stalls, or is damaged, on the way to host2 (10.99.0.2)");
});
