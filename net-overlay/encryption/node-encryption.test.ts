/**
 * The node's encryption against a device in memory: who is a peer, with which key, and what is left alone.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { NetworkKeyResource, PeerResource, ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import { endpoint, identity, network, stateOf } from "../endpoints/network-fixtures.js";
import { createKeyPair, publicKeyText } from "./key-pair.js";
import { MemoryWireguard } from "./memory-wireguard.js";
import { NodeEncryption } from "./node-encryption.js";
import { pairKey } from "./pair-key.js";

const ENCRYPTED = network({ encrypted: true });
const MTU = { identity, networkIds: ["net1"], mtuBytes: 1440 };

function keyOfNode(number: number): Uint8Array {
  return createKeyPair(new SeededRandom(`node${number}`)).publicKey;
}

function encryptedPeer(
  number: number,
  fields: Parameters<typeof PeerResource.fromPartial>[0] = {},
): NodeResource {
  const value = PeerResource.fromPartial({
    nodeId: `node${number}`,
    hostname: `host${number}`,
    number,
    dataPathAddress: `10.99.0.${number}`,
    vxlanUdpPort: 4789,
    wireguardPublicKey: publicKeyText(keyOfNode(number)),
    ...fields,
  });
  return { resource: { $case: "peer", value } };
}

function networkKey(generation: number, fill = generation): NodeResource {
  const key = new Uint8Array(32).fill(fill);
  const value = NetworkKeyResource.fromPartial({ id: String(generation), generation, key });
  return { resource: { $case: "networkKey", value } };
}

function world(underlay = new MemoryWireguard()) {
  const clock = new ManualClock();
  const log = new MemoryLogger();
  const random = new SeededRandom("node1");
  return { underlay, clock, log, encryption: new NodeEncryption({ underlay, clock, log, random }) };
}

function presharedKeyOf(underlay: MemoryWireguard, number: number): Uint8Array | undefined {
  return underlay.peers.get(publicKeyText(keyOfNode(number)))?.presharedKey;
}

function pairKeyOf(generation: number, number: number): Uint8Array {
  return pairKey({ generation, key: new Uint8Array(32).fill(generation) }, ["node1", `node${number}`]);
}

test("nodes that share an encrypted network are peers with a key of their own; others are none", async () => {
  const { underlay, encryption } = world();
  const state = stateOf(
    ENCRYPTED,
    network({ id: "open", vni: 4098 }),
    encryptedPeer(2),
    encryptedPeer(3, { wireguardUdpPort: 50_000 }),
    encryptedPeer(4),
    endpoint(11),
    endpoint(21),
    endpoint(31),
    endpoint(41, { attachments: [{ networkId: "open", addresses: ["10.0.2.41/24"] }] }),
    networkKey(1),
  );
  await encryption.apply(state, MTU);
  assert.equal(underlay.device?.insideAddress, "169.254.0.1");
  assert.equal(underlay.device?.listenPort, 4790);
  assert.equal(encryption.facts().udpPort, 4790);
  const told = [...underlay.peers.values()].map(({ endpoint: at, insideAddresses }) => [
    `${at?.address}:${at?.port}`,
    ...insideAddresses,
  ]);
  assert.deepEqual(told, [
    ["10.99.0.2:4790", "169.254.0.2"],
    ["10.99.0.3:50000", "169.254.0.3"],
  ]);
  assert.deepEqual(presharedKeyOf(underlay, 2), pairKeyOf(1, 2));
  assert.deepEqual(presharedKeyOf(underlay, 3), pairKeyOf(1, 3));
  assert.deepEqual(
    encryption.pairs().map(({ hostname, generation, stale, handshakeAgeMs }) => ({
      hostname,
      generation,
      stale,
      handshakeAgeMs,
    })),
    ["host2", "host3"].map((hostname) => ({
      hostname,
      generation: 1,
      stale: false,
      handshakeAgeMs: undefined,
    })),
  );
});

test("what did not change is not touched; a new generation changes keys alone", async () => {
  const { underlay, encryption } = world();
  const state = stateOf(ENCRYPTED, encryptedPeer(2), endpoint(21), networkKey(1));
  await encryption.apply(state, MTU);
  underlay.changes.length = 0;
  state.apply({ complete: false, upserts: [endpoint(22)], removals: [] });
  await encryption.apply(state, MTU);
  await encryption.apply(state, { ...MTU, isCheck: true });
  assert.deepEqual(underlay.changes, []);
  state.apply({ complete: false, upserts: [networkKey(2)], removals: [] });
  await encryption.apply(state, MTU);
  assert.deepEqual(underlay.changes, [{ publicKey: keyOfNode(2), presharedKey: pairKeyOf(2, 2) }]);
  // the key before goes, as the one after next comes
  state.apply({
    complete: false,
    upserts: [networkKey(3)],
    removals: [{ kind: ResourceKind.NETWORK_KEY, id: "1" }],
  });
  await encryption.apply(state, MTU);
  assert.deepEqual(presharedKeyOf(underlay, 2), pairKeyOf(3, 2));
  assert.equal(encryption.pairs()[0]?.generation, 3);
});

test("a restart keeps the kernel's keys and peers, also before a manager has told the cluster's key", async () => {
  const first = world();
  const state = stateOf(ENCRYPTED, encryptedPeer(2), endpoint(21), networkKey(1));
  await first.encryption.apply(state, MTU);
  const { publicKey } = first.encryption.facts();
  const { underlay } = first;
  underlay.changes.length = 0;
  const second = world(underlay);
  assert.deepEqual(second.encryption.facts(), { publicKey, udpPort: 4790 });
  await second.encryption.apply(
    stateOf(ENCRYPTED, encryptedPeer(2), encryptedPeer(3), endpoint(21), endpoint(31)),
    MTU,
  );
  assert.deepEqual(underlay.changes, [], "neither is a peer set up without a key");
  await second.encryption.apply(state, MTU);
  assert.deepEqual(underlay.changes, []);
});

test("a node that comes back with another key pair, address or none is followed", async () => {
  const { underlay, encryption } = world();
  const state = stateOf(ENCRYPTED, encryptedPeer(2), endpoint(21), networkKey(1));
  await encryption.apply(state, MTU);
  const wireguardPublicKey = publicKeyText(keyOfNode(7));
  state.apply({ complete: false, upserts: [encryptedPeer(2, { wireguardPublicKey })], removals: [] });
  await encryption.apply(state, MTU);
  assert.deepEqual([...underlay.peers.keys()], [wireguardPublicKey]);
  underlay.changes.length = 0;
  const moved = encryptedPeer(2, { wireguardPublicKey, dataPathAddress: "10.99.0.77" });
  state.apply({ complete: false, upserts: [moved], removals: [] });
  await encryption.apply(state, MTU);
  assert.deepEqual(underlay.changes, [
    { publicKey: keyOfNode(7), endpoint: { address: "10.99.0.77", port: 4790 } },
  ]);
  state.apply({ complete: false, upserts: [encryptedPeer(2, { wireguardPublicKey: "" })], removals: [] });
  await encryption.apply(state, MTU);
  assert.equal(underlay.peers.size, 0);
});

test("a port that is taken is replaced and told", async () => {
  const { underlay, encryption, log } = world();
  underlay.takenPort = 4790;
  let told = 0;
  encryption.onFacts(() => {
    told += 1;
  });
  await encryption.apply(stateOf(ENCRYPTED, encryptedPeer(2), endpoint(21), networkKey(1)), MTU);
  assert.deepEqual([encryption.facts().udpPort, told], [50_000, 1]);
  assert.ok(log.lines.some(({ message }) => /port for encrypted traffic is taken/.test(message)));
});

test("a node without WireGuard says so and refuses; one that ends leaves nothing", async () => {
  const { underlay, encryption } = world();
  underlay.unable = "the kernel has no WireGuard";
  assert.deepEqual(encryption.facts(), { publicKey: "", udpPort: 0 });
  const state = stateOf(ENCRYPTED, encryptedPeer(2), endpoint(21), networkKey(1));
  await assert.rejects(encryption.apply(state, MTU), {
    code: "failed-precondition",
    message: "this node cannot take part in an encrypted network: the kernel has no WireGuard",
  });
  underlay.unable = undefined;
  await assert.rejects(encryption.apply(state, MTU), /kernel has no WireGuard/, "not asked again and again");
  assert.notEqual(encryption.facts().publicKey, "", "the module has come, and the next description tells it");
  await encryption.apply(state, MTU);
  const able = world();
  await able.encryption.apply(state, MTU);
  const { publicKey } = able.encryption.facts();
  await able.encryption.end();
  assert.equal(able.underlay.device, undefined);
  assert.deepEqual(able.encryption.facts(), { publicKey, udpPort: 0 });
  await able.encryption.removeAll();
  assert.notEqual(able.encryption.facts().publicKey, publicKey);
});

test("a pair whose renewal fails tries the generation before, and is named when nothing helps", async () => {
  const { underlay, encryption, clock, log } = world();
  const state = stateOf(ENCRYPTED, encryptedPeer(2), endpoint(21), networkKey(1), networkKey(2));
  await encryption.apply(state, MTU);
  const text = publicKeyText(keyOfNode(2));
  const seen = new Set<string>();
  for (let look = 1; look <= 6; look++) {
    const now = underlay.peers.get(text);
    assert.ok(now !== undefined);
    underlay.peers.set(text, { ...now, sentBytes: look * 148 });
    clock.advance(10_000);
    await setImmediate();
    seen.add(Buffer.from(presharedKeyOf(underlay, 2) ?? []).toString("hex"));
  }
  assert.deepEqual(seen, new Set([1, 2].map((each) => Buffer.from(pairKeyOf(each, 2)).toString("hex"))));
  assert.equal(encryption.pairs()[0]?.stale, true);
  assert.equal(log.lines.filter(({ message }) => message === "no encrypted session with a node").length, 1);
  const secrets = [1, 2].map((each) => Buffer.from(pairKeyOf(each, 2)).toString("base64"));
  const words = JSON.stringify([log.lines, encryption.pairs()]);
  for (const secret of secrets) assert.equal(words.includes(secret), false);
});

test("what somebody else changed at the device is made again", async () => {
  const { underlay, encryption, clock, log } = world();
  const state = stateOf(ENCRYPTED, encryptedPeer(2), endpoint(21), networkKey(1));
  encryption.onBroken(() => void encryption.apply(state, MTU));
  await encryption.apply(state, MTU);
  const text = publicKeyText(keyOfNode(2));
  const whole = structuredClone(underlay.peers.get(text));
  assert.ok(whole !== undefined);
  const breaks = [
    () => underlay.peers.delete(text),
    () => underlay.peers.set(text, { ...whole, presharedKey: new Uint8Array(32) }),
    () => underlay.peers.set(text, { ...whole, insideAddresses: ["169.254.0.2", "169.254.0.3"] }),
    () => {
      underlay.device = undefined;
      underlay.peers.clear();
    },
  ];
  for (const [at, damage] of breaks.entries()) {
    damage();
    clock.advance(10_000);
    await setImmediate();
    assert.deepEqual(underlay.peers.get(text), whole, `break ${at}`);
    assert.ok(underlay.device !== undefined);
  }
  assert.equal(
    log.lines.filter(({ message }) => /changed by somebody else/.test(message)).length,
    breaks.length,
  );
});
