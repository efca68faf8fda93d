/**
 * The encryption of this node: a key pair, one WireGuard device while an encrypted network is here, a key
 * shared with each other node, and a look at pairs whose keys do not fit.
 * Pure (kernel and clock come as ports). Invariants: what is not known to have changed is not touched, so
 * that sessions live through restarts and rotations; keys are in no plan, log or report; without a key of the
 * cluster nothing new is set up, and what the kernel has stays.
 * Source: docs/design/network-encryption.md.
 */
import { createHash } from "node:crypto";
import type { Clock, Timer } from "../../base/clock/clock.js";
import { FailedPreconditionError, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { NetworkState } from "../endpoints/network-state.js";
import type { EncryptedPair, EncryptionFacts, NodeNetworkIdentity } from "../network-plane.js";
import type { EncryptedUnderlay } from "./encrypted-underlay.js";
import type { EncryptedPeer, EncryptionPlan } from "./encryption-plan.js";
import { planEncryption } from "./encryption-plan.js";
import type { PairWatch } from "./generation-choice.js";
import { beginWatch, isStale, LOOK_PERIOD_MS, lookAt } from "./generation-choice.js";
import type { KeyPair } from "./key-pair.js";
import { createKeyPair, keyPairOf, publicKeyText } from "./key-pair.js";
import type { NetworkKey } from "./pair-key.js";
import { pairKey } from "./pair-key.js";
import type { KernelDevice, KernelPeer, PeerChange, WireguardEndpoint } from "./wireguard-codec.js";
import { PEERS_PER_MESSAGE_MAX } from "./wireguard-codec.js";

interface Pair {
  readonly peer: EncryptedPeer;
  /** The newest key when the pair's was chosen; "": none was known. */
  readonly newestKnown: string;
  readonly watch?: PairWatch;
  /** Of the watch's generation. */
  readonly presharedKey?: Uint8Array;
}

const UNABLE_NODE = "a node on one of our encrypted networks has no WireGuard: nothing is sent to it";

export interface NodeEncryptionOptions {
  readonly underlay: EncryptedUnderlay;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class NodeEncryption {
  readonly #options: NodeEncryptionOptions;
  readonly #pairs = new Map<string, Pair>();
  readonly #listeners = new Set<() => void>();
  readonly #onBroken = new Set<() => void>();
  #keyPair: KeyPair | undefined;
  #unable: string | undefined;
  /** Whether the kernel's answer to that is known. */
  #isAsked = false;
  #udpPort = 0;
  #keys: readonly NetworkKey[] = [];
  #nodeId = "";
  /** The plan that the kernel is known to follow. */
  #applied: string | undefined;
  #look: Timer | undefined;

  constructor(options: NodeEncryptionOptions) {
    this.#options = options;
  }

  /** Asks the kernel at the first call, and again while it cannot: the module may have come. */
  facts(): EncryptionFacts {
    this.#isAsked = false;
    const keyPair = this.#ownKeyPair();
    return {
      publicKey: keyPair === undefined ? "" : publicKeyText(keyPair.publicKey),
      udpPort: this.#udpPort,
    };
  }

  /** @param listener called when the facts changed. @returns what stops it. */
  onFacts(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** @param listener called when the kernel differs from what was applied: then `apply` mends it. */
  onBroken(listener: () => void): void {
    this.#onBroken.add(listener);
  }

  /**
   * Makes device and peers what the state says.
   * @param options.networkIds the encrypted networks that this node takes part in.
   * @param options.mtuBytes of the device. @param options.isCheck reads the kernel although nothing changed.
   * @throws {FailedPreconditionError} the kernel cannot.
   */
  async apply(
    state: NetworkState,
    options: {
      identity: NodeNetworkIdentity;
      networkIds: readonly string[];
      mtuBytes: number;
      isCheck?: boolean;
    },
  ): Promise<void> {
    const plan = planEncryption(state, options);
    const keyPair = this.demand();
    const { underlay } = this.#options;
    this.#nodeId = plan.nodeId;
    this.#keys = [...state.networkKeys.values()]
      .map(({ generation, key }) => ({ generation, key }))
      .sort((a, b) => b.generation - a.generation);
    const text = planText(plan, { key: keyName(this.#keys[0]), mtuBytes: options.mtuBytes });
    if (text === this.#applied && !options.isCheck) return;
    this.#applied = undefined;
    const udpPort = underlay.ensure({
      privateKey: keyPair.privateKey,
      udpPort: plan.udpPort,
      insideAddress: plan.insideAddress,
      mtuBytes: options.mtuBytes,
    });
    this.#tellPort(udpPort, plan);
    await this.#applyPeers(plan);
    this.#applied = text;
    for (const hostname of plan.unable) this.#options.log.warn(UNABLE_NODE, { hostname });
    this.#look ??= this.#options.clock.setInterval(LOOK_PERIOD_MS, () => this.#lookAtPairs());
  }

  /** One entry per node that this one shares an encrypted network with, by node id. */
  pairs(): EncryptedPair[] {
    if (this.#pairs.size === 0) return [];
    const nowMs = this.#options.clock.nowMs();
    const kernel = byKey(this.#options.underlay.read());
    return [...this.#pairs.values()]
      .sort((a, b) => (a.peer.nodeId < b.peer.nodeId ? -1 : 1))
      .map(({ peer, watch }) => {
        const found = kernel.get(publicKeyText(peer.publicKey));
        const { endpoint, lastHandshakeMs } = found ?? {};
        return {
          nodeId: peer.nodeId,
          hostname: peer.hostname,
          endpoint: endpoint === undefined ? "" : endpointText(endpoint),
          handshakeAgeMs: lastHandshakeMs === undefined ? undefined : Math.max(0, nowMs - lastHandshakeMs),
          generation: watch?.generation ?? 0,
          stale: found === undefined || (watch !== undefined && isStale(watch, nowMs)),
        };
      });
  }

  /** Undefined: it can. */
  whyUnable(): string | undefined {
    this.#ownKeyPair();
    return this.#unable;
  }

  /** @throws {FailedPreconditionError} the kernel cannot. */
  demand(): KeyPair {
    const keyPair = this.#ownKeyPair();
    if (keyPair !== undefined) return keyPair;
    throw new FailedPreconditionError(`this node cannot take part in an encrypted network: ${this.#unable}`);
  }

  /** No encrypted network is here any more: neither are device and port. The key pair is kept. */
  async end(): Promise<void> {
    this.#look?.cancel();
    this.#look = undefined;
    this.#pairs.clear();
    this.#keys = [];
    this.#applied = undefined;
    this.#udpPort = 0;
    await this.#options.underlay.remove();
  }

  /** The node leaves its cluster: nothing is left, and the next one meets another key. */
  async removeAll(): Promise<void> {
    await this.end();
    this.#keyPair = undefined;
    this.#isAsked = false;
  }

  /** Stops looking; the kernel goes on. */
  close(): void {
    this.#look?.cancel();
    this.#options.underlay.close();
  }

  /** The kernel's, when a daemon's life before this one made it: its sessions go on. */
  #ownKeyPair(): KeyPair | undefined {
    if (this.#keyPair !== undefined || this.#isAsked) return this.#keyPair;
    const { underlay, random, log } = this.#options;
    const before = this.#unable;
    this.#unable = underlay.whyUnable();
    this.#isAsked = true;
    if (this.#unable !== undefined) {
      if (this.#unable !== before)
        log.info("this node takes no part in encrypted networks", { reason: this.#unable });
      return undefined;
    }
    const device = underlay.read();
    this.#udpPort = device?.listenPort ?? 0;
    const isKept = device?.privateKey.some((byte) => byte !== 0) === true;
    this.#keyPair = isKept ? keyPairOf(device.privateKey) : createKeyPair(random);
    return this.#keyPair;
  }

  #tellPort(udpPort: number, plan: EncryptionPlan): void {
    if (udpPort === this.#udpPort) return;
    this.#udpPort = udpPort;
    if (udpPort !== plan.udpPort) {
      this.#options.log.warn("the port for encrypted traffic is taken: another one is used and told", {
        wanted: plan.udpPort,
        used: udpPort,
      });
    }
    for (const listener of this.#listeners) listener();
  }

  async #applyPeers(plan: EncryptionPlan): Promise<void> {
    const { underlay, clock } = this.#options;
    const kernel = byKey(underlay.read());
    const changes: PeerChange[] = [];
    const wanted = new Set([...plan.peers.values()].map(({ publicKey }) => publicKeyText(publicKey)));
    for (const [text, { publicKey }] of kernel)
      if (!wanted.has(text)) changes.push({ publicKey, remove: true });
    const next = new Map<string, Pair>();
    for (const [nodeId, peer] of plan.peers) {
      const found = kernel.get(publicKeyText(peer.publicKey));
      const before = this.#pairs.get(nodeId);
      const pair = this.#pairOf(peer, { before, found });
      next.set(nodeId, pair);
      const change = peerChange(pair, { before, found });
      if (change !== undefined) changes.push(change);
    }
    this.#pairs.clear();
    for (const [nodeId, pair] of next) this.#pairs.set(nodeId, pair);
    for (let at = 0; at < changes.length; at += PEERS_PER_MESSAGE_MAX) {
      if (at > 0) await clock.sleep(0); // the kernel multiplies on a curve for each
      underlay.setPeers(changes.slice(at, at + PEERS_PER_MESSAGE_MAX));
    }
  }

  /** A generation that is new to us is tried at once; otherwise the pair goes on with what it has. */
  #pairOf(
    peer: EncryptedPeer,
    { before, found }: { before: Pair | undefined; found: KernelPeer | undefined },
  ): Pair {
    const newest = this.#keys[0];
    if (newest === undefined || before?.newestKnown === keyName(newest)) {
      return before === undefined ? { peer, newestKnown: "" } : { ...before, peer };
    }
    return {
      peer,
      newestKnown: keyName(newest),
      watch: beginWatch(newest.generation, found),
      presharedKey: pairKey(newest, [this.#nodeId, peer.nodeId]),
    };
  }

  #lookAtPairs(): void {
    const { underlay, clock, log } = this.#options;
    const generations = this.#keys.map(({ generation }) => generation);
    if (generations.length === 0 || this.#pairs.size === 0) return;
    if (this.#applied === undefined) return; // half way, or to be tried again: it differs by right
    try {
      const device = underlay.read();
      const wrong = whatDiffers(device, this.#pairs.values());
      if (wrong !== undefined) {
        log.warn("the kernel's encryption was changed by somebody else and is made again", { wrong });
        this.#applied = undefined;
        for (const listener of this.#onBroken) listener();
        return;
      }
      const kernel = byKey(device);
      const nowMs = clock.nowMs();
      const changes: PeerChange[] = [];
      for (const [nodeId, pair] of this.#pairs) {
        const reading = kernel.get(publicKeyText(pair.peer.publicKey));
        if (reading === undefined || pair.watch === undefined) continue;
        const watch = lookAt(pair.watch, reading, { nowMs, generations });
        const key = this.#keys.find(({ generation }) => generation === watch.generation);
        if (isStale(watch, nowMs) && !isStale(pair.watch, nowMs))
          log.warn("no encrypted session with a node", { nodeId, hostname: pair.peer.hostname });
        if (watch.generation === pair.watch.generation || key === undefined) {
          this.#pairs.set(nodeId, { ...pair, watch: { ...watch, generation: pair.watch.generation } });
          continue;
        }
        const presharedKey = pairKey(key, [this.#nodeId, nodeId]);
        changes.push({ publicKey: pair.peer.publicKey, updateOnly: true, presharedKey });
        this.#pairs.set(nodeId, { ...pair, watch, presharedKey });
      }
      for (let at = 0; at < changes.length; at += PEERS_PER_MESSAGE_MAX)
        underlay.setPeers(changes.slice(at, at + PEERS_PER_MESSAGE_MAX));
    } catch (error) {
      log.warn("encrypted pairs could not be looked at", { error: messageOf(error) });
    }
  }
}

/** Tells keys apart without showing them: after a restored backup a generation may come a second time. */
function keyName(key: NetworkKey | undefined): string {
  return key === undefined ? "" : `${key.generation}-${createHash("sha256").update(key.key).digest("hex")}`;
}

function byKey(device: KernelDevice | undefined): Map<string, KernelPeer> {
  return new Map((device?.peers ?? []).map((peer) => [publicKeyText(peer.publicKey), peer]));
}

/** @returns what of the device is not as it was made; undefined: all of it is. No secret is in it. */
function whatDiffers(device: KernelDevice | undefined, pairs: Iterable<Pair>): string | undefined {
  if (device === undefined) return "the device is gone";
  const kernel = byKey(device);
  for (const { peer, presharedKey } of pairs) {
    if (presharedKey === undefined) continue; // not set up before a manager has told the key
    const found = kernel.get(publicKeyText(peer.publicKey));
    if (found === undefined) return `peer ${peer.hostname || peer.nodeId} is gone`;
    const isSame =
      Buffer.compare(found.presharedKey, presharedKey) === 0 &&
      found.insideAddresses.length === 1 &&
      found.insideAddresses[0] === peer.insideAddress;
    if (!isSame) return `peer ${peer.hostname || peer.nodeId} has another key or address`;
  }
  return undefined;
}

/** Everything a plan says, to see whether another one says the same. No secret is in it. */
function planText(plan: EncryptionPlan, more: { key: string; mtuBytes: number }): string {
  const peers = [...plan.peers.values()].map((peer) => ({
    ...peer,
    publicKey: publicKeyText(peer.publicKey),
  }));
  return JSON.stringify({ ...plan, peers, ...more });
}

/** What the kernel must be told of a pair; undefined: nothing, or nothing yet. */
function peerChange(
  { peer, presharedKey }: Pair,
  { before, found }: { before: Pair | undefined; found: KernelPeer | undefined },
): PeerChange | undefined {
  const { publicKey, endpoint, insideAddress } = peer;
  if (found === undefined) {
    // until a manager has told the key there is no peer
    return presharedKey && { publicKey, presharedKey, endpoint, insideAddress };
  }
  const isKeySet = presharedKey === undefined || Buffer.compare(found.presharedKey, presharedKey) === 0;
  const isAddressSet = found.insideAddresses.length === 1 && found.insideAddresses[0] === insideAddress;
  // A peer that moves tells the kernel itself; what the cluster says counts when it says something new.
  const expected = before === undefined ? found.endpoint : before.peer.endpoint;
  const isEndpointSet = expected !== undefined && endpointText(expected) === endpointText(endpoint);
  if (isKeySet && isAddressSet && isEndpointSet) return undefined;
  return {
    publicKey,
    ...(isKeySet ? {} : { presharedKey }),
    ...(isAddressSet ? {} : { insideAddress }),
    ...(isEndpointSet ? {} : { endpoint }),
  };
}

function endpointText({ address, port }: WireguardEndpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
