/**
 * What the control API is made of and leans on.
 * Pure (types only).
 */
import type { Clock } from "../../base/clock/clock.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { RaftNode } from "../../raft/host/raft-node.js";
import type { ExternalSigner } from "../ca/external-ca.js";
import type { Store } from "../store/types.js";
import type { EventHistory } from "./event-history.js";

export interface ControlComponents {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** @default none */
  readonly external?: ExternalSigner;
  /** The numbered events; @default a history that begins now */
  readonly events?: EventHistory;
  readonly raft: Pick<RaftNode, "status" | "onMembership" | "onLeadership">;
}
