/**
 * The network of a node that has none: where the kernel is reached by commands alone. Pure. Invariant: it
 * follows the store's revision like any other, so that the agent goes on, and every task that needs an
 * address is refused with the reason.
 */
import { FailedPreconditionError } from "../base/errors/errors.js";
import type { NetworkPlane } from "./network-plane.js";

/** @param reason why there is no network, and the remedy. */
export function createAbsentNetworkPlane(reason: string): NetworkPlane {
  let appliedRevision = 0;
  return {
    configure: async () => undefined,
    apply: async ({ revision }) => {
      appliedRevision = revision;
    },
    get appliedRevision() {
      return appliedRevision;
    },
    trouble: reason,
    pathMtuBytes: 0,
    paths: () => [],
    nodeAddresses: [],
    onDescribed: () => () => undefined,
    attachTask: async () => {
      throw new FailedPreconditionError(`this node has no networks: ${reason}`);
    },
    portsReleased: async () => undefined,
    encryptionFacts: () => ({ publicKey: "", udpPort: 0 }),
    encryptedPairs: () => [],
    taskNetworks: () => [],
    taskPorts: () => [],
    isPublished: () => false,
    detachTask: async () => undefined,
    retain: async () => undefined,
    removeAll: async () => undefined,
    close: async () => undefined,
  };
}
