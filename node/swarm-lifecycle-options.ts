/**
 * What a node's swarm life is given: its files, its manager's place, and how an agent is opened.
 * Pure (types).
 */
import type { Clock } from "../base/clock/clock.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import type { SessionUpdate } from "../proto/gen/skein/v1/dispatcher.js";
import type { LocalManager } from "./local-manager.js";
import type { ManagerChannels } from "./manager-channels.js";
import type { NodeLock } from "./node-lock.js";
import type { SwarmFiles } from "./swarm-files.js";

/** The agent as the life cycle drives it. */
export interface NodeAgent {
  /** `leaving`: tells the managers that this node goes for good. */
  close(options: { leaving: boolean }): Promise<void>;
  /** Ends the session, so that the next one shows the new certificate. */
  reconnect(reason: string): void;
  /** Tells the managers what has changed about this node. */
  describeAgain(): Promise<void>;
}

export interface AgentRequest {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly dataPathAddress: string;
  readonly managers: readonly string[];
  readonly channels: ManagerChannels;
  /** Why this node's manager is not healthy; "": it is, or there is none. */
  readonly managerTrouble: () => string;
  readonly onSessionUpdate: (update: SessionUpdate) => void;
  /** A manager does not accept this node, which goes on asking. */
  readonly onRefused: (error: Error) => void;
}

export interface SwarmLifecycleOptions {
  readonly files: SwarmFiles;
  readonly hostname: string;
  /** Folder of the manager's log and state. */
  readonly managerDir: string;
  readonly localManager: LocalManager;
  readonly lock: NodeLock;
  readonly managerUser: { readonly uid: number; readonly gid: number } | undefined;
  readonly logLevel: string;
  /** IP or interface, with or without port, that others use for this node from this start on. */
  readonly advertiseAddr: string | undefined;
  readonly openAgent: (request: AgentRequest) => Promise<NodeAgent>;
  /** Stops and removes every task's container and all networking: the last step of leaving. */
  readonly removeWorkload: () => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}
