/**
 * What the parts of a node's network share: resources, sandboxes, who the node is, and the data plane.
 * Pure. Invariant: written only by `NodeNetwork` and `TaskSandboxes`, each in its turn.
 * Source: docs/design/network.md ("Parts").
 */
import type { Clock } from "../base/clock/clock.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import type { DataPlane } from "./dataplane/data-plane.js";
import { NodeEncryption } from "./encryption/node-encryption.js";
import { NetworkState } from "./endpoints/network-state.js";
import { OwnAddresses } from "./endpoints/own-addresses.js";
import type { Sandbox } from "./endpoints/sandbox.js";
import type { NodeNetworkIdentity } from "./network-plane.js";
import { NetworkTroubles } from "./paths/network-troubles.js";

export interface NetworkGround {
  readonly dataPlane: DataPlane;
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: NetworkState;
  readonly encryption: NodeEncryption;
  /** By task id. */
  readonly sandboxes: Map<string, Sandbox>;
  /** What others know this node by. */
  readonly ownAddresses: OwnAddresses;
  /** What is wrong, in words. */
  readonly troubles: NetworkTroubles;
  /** Undefined until the cluster gave the node its number. */
  identity: NodeNetworkIdentity | undefined;
}

export function createNetworkGround(options: {
  dataPlane: DataPlane;
  clock: Clock;
  random: Random;
  log: Logger;
}): NetworkGround {
  const { dataPlane, clock, log, random } = options;
  const { encryption: underlay } = dataPlane;
  return {
    dataPlane,
    clock,
    log,
    state: new NetworkState(),
    encryption: new NodeEncryption({ underlay, clock, random, log }),
    sandboxes: new Map(),
    ownAddresses: new OwnAddresses(),
    troubles: new NetworkTroubles(log),
    identity: undefined,
  };
}
