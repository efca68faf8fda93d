/**
 * Opens a member of the cluster: its storage, its transport, the loop between them.
 * Pure over its parts; the folder is opened by raft-storage.ts.
 */
import type { Clock } from "../../base/clock/clock.js";
import { FailedPreconditionError, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import type { RaftCore } from "../core/raft-core.js";
import type { CoreOptions, LeaseReads, Membership, RaftId, RaftMember } from "../core/types.js";
import { encodeConfChange } from "../log/conf-change-codec.js";
import { EntryKind, makeEntry } from "../log/make-entry.js";
import type { DataKeyLock } from "../storage/data-key.js";
import type { RaftTransport } from "../transport/transport.js";
import { type ForcedCluster, forceNewCluster } from "./force-new-cluster.js";
import { openLeaseReads, type ReadMode } from "./lease-reads.js";
import {
  loadMemberIdentity,
  type MemberIdentity,
  newRaftId,
  storeMemberIdentity,
} from "./member-identity.js";
import { RaftHost, TICK_MS } from "./raft-host.js";
import type { RaftNode, StateMachine } from "./raft-node.js";
import {
  closeRaftStorage,
  openFolderMedia,
  openRaftStorage,
  type RaftStorage,
  type StorageMedia,
} from "./raft-storage.js";

/** How a member begins; once its folder holds it, every start is a restart, whatever is said here. */
export type RaftStart =
  /** Founds a cluster of one. */
  | { readonly kind: "bootstrap" }
  /** Joins as the leader's `addMember` answered. */
  | {
      readonly kind: "join";
      readonly raftId: RaftId;
      readonly members: readonly RaftMember[];
      readonly removed: readonly RaftId[];
    }
  | { readonly kind: "restart" }
  /** Restarts as the only member: an operator's last resort when the quorum is lost for good. */
  | {
      readonly kind: "force-new-cluster";
      /** Called once it is durable, before the member takes part. */
      readonly onForced: (account: ForcedCluster) => void;
    };

export interface RaftNodeOptions {
  /** The member's own folder; made with mode 0700 when it is missing. */
  readonly dir: string;
  readonly clusterId: string;
  readonly nodeId: string;
  /**
   * host:port at which peers reach this manager's gRPC server. Told to every peer; when it is not what the
   * membership says, the leader corrects that.
   */
  readonly address: string;
  readonly start: RaftStart;
  readonly transport: RaftTransport;
  readonly stateMachine: StateMachine;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** @default 100 */
  readonly tickMs?: number;
  /** Wraps the data keys on disk. */
  readonly lock?: DataKeyLock | undefined;
  /** What may wrap them still, from before. */
  readonly formerLocks?: readonly DataKeyLock[] | undefined;
  /** Bytes of a log segment. @default 16 MiB */
  readonly segmentBytes?: number;
  /** Applied entries until a compaction. @default 10000 */
  readonly snapshotInterval?: number;
  /**
   * How reads are made linearizable; may differ between members and change at a restart.
   * @default "read-index"
   */
  readonly reads?: ReadMode;
  /** Entries that a compaction leaves in memory for followers that lag a little. @default 500 */
  readonly entriesKept?: number;
  /**
   * Called once when the node stops by itself: full disk, I/O error, broken invariant. `close` it,
   * then open anew.
   */
  readonly onStopped?: (error: unknown) => void;
  /**
   * Called when this member learns that it was removed, or that a peer belongs to another cluster.
   * May repeat.
   */
  readonly onRefused?: (reason: string) => void;
  /**
   * Called once when peers say that this member was removed and its own log does not:
   * it has stopped, for good.
   */
  readonly onRemoved?: (reason: string) => void;
  /** Other media than the folder: memory twins in tests and in the simulator. */
  readonly media?: StorageMedia;
  /** Another core than the plain one: the simulator watches it. */
  readonly createCore?: (options: CoreOptions) => RaftCore;
}

/** What the loop is made of. */
export interface RaftHostComponents
  extends Pick<
    RaftNodeOptions,
    | "address"
    | "transport"
    | "stateMachine"
    | "clock"
    | "random"
    | "log"
    | "tickMs"
    | "onStopped"
    | "onRefused"
    | "onRemoved"
    | "createCore"
  > {
  readonly identity: MemberIdentity;
  readonly storage: RaftStorage;
  readonly leaseReads?: LeaseReads | undefined;
}

/**
 * Opens the member in `dir` and resolves when it takes part,
 * with everything applied that it knew to be committed.
 * @throws {DataLossError} its data is damaged. {FailedPreconditionError} nothing to restart,
 * another cluster's folder, or a locked data key. {UnavailableError} something broke meanwhile.
 */
export async function openRaftNode(options: RaftNodeOptions): Promise<RaftNode> {
  const { random, log, lock, formerLocks, segmentBytes, snapshotInterval, entriesKept } = options;
  const media = options.media ?? (await openFolderMedia(options.dir, random));
  const identity = await identityOf(options, media);
  const initialMembership = identity.membership;
  const storageOptions = {
    random,
    log,
    lock,
    formerLocks,
    segmentBytes,
    snapshotInterval,
    entriesKept,
    initialMembership,
  };
  const storage = await openRaftStorage(media, storageOptions);
  let host: RaftHost | undefined;
  try {
    if (identity.founder) await foundCluster(storage, identity, options.address);
    if (options.start.kind === "force-new-cluster") {
      const { raftId } = identity;
      options.start.onForced(await forceNewCluster(storage.log, { raftId, address: options.address }));
    }
    const { reads = "read-index", clock, tickMs = TICK_MS } = options;
    const leaseReads = await openLeaseReads(media.disk, { reads, clock, tickMs });
    host = new RaftHost({ ...options, identity, storage, leaseReads });
    await host.start();
    return host;
  } catch (error) {
    try {
      await (host === undefined ? closeRaftStorage(storage) : host.close());
    } catch (closing) {
      log.warn("a member that did not start was not closed whole", { error: messageOf(closing) });
    }
    throw error;
  }
}

async function identityOf(options: RaftNodeOptions, media: StorageMedia): Promise<MemberIdentity> {
  const { start, clusterId, nodeId } = options;
  const stored = await loadMemberIdentity(media.disk);
  if (stored !== undefined) {
    if (stored.clusterId !== clusterId || stored.nodeId !== nodeId) {
      throw new FailedPreconditionError(
        `the raft folder belongs to node ${stored.nodeId} of cluster ${stored.clusterId}, ` +
          `not to ${nodeId} of ${clusterId}`,
      );
    }
    return stored;
  }
  if (start.kind === "restart" || start.kind === "force-new-cluster")
    throw new FailedPreconditionError("there is no raft member to restart in this folder");
  const founder = start.kind === "bootstrap";
  const raftId = founder ? newRaftId(options.random) : start.raftId;
  const membership: Membership = founder
    ? { members: [], removed: [] }
    : { members: start.members, removed: start.removed };
  const identity: MemberIdentity = { raftId, clusterId, nodeId, founder, membership };
  await storeMemberIdentity(media.disk, identity);
  return identity;
}

/** The founder's log begins with the entry that adds it, so that whoever replays the log learns of it. */
async function foundCluster(storage: RaftStorage, identity: MemberIdentity, address: string): Promise<void> {
  if (storage.log.lastIndex() > 0) return;
  const { raftId, nodeId } = identity;
  const member: RaftMember = { raftId, nodeId, address, learner: false };
  const change = { kind: ConfChangeKind.ADD_VOTER, member, context: new Uint8Array(0) };
  const entry = makeEntry({ term: 1, index: 1 }, encodeConfChange(change), EntryKind.CONF_CHANGE);
  await storage.log.found([entry], { term: 1, vote: raftId, commit: 1 });
}
