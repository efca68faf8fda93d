/**
 * Writes the Raft folder of a new, only member from a state that comes from elsewhere: a backup.
 * Pure over its parts. Invariant: the folder holds a member only when all of it is durable, because
 * `member.json` is written last; before that a start finds no member, and the folder may be removed.
 */
import { FailedPreconditionError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { Membership, RaftId, RaftMember, SnapshotMeta } from "../core/types.js";
import type { DataKeyLock } from "../storage/data-key.js";
import {
  loadMemberIdentity,
  type MemberIdentity,
  newRaftId,
  storeMemberIdentity,
} from "./member-identity.js";
import type { KeyValuePair } from "./raft-node.js";
import {
  closeRaftStorage,
  openFolderMedia,
  openRaftStorage,
  type RaftStorage,
  type StorageMedia,
} from "./raft-storage.js";

export interface RestoreRaftFolderOptions {
  /** The member's folder; made with mode 0700 when it is missing. */
  readonly dir: string;
  readonly clusterId: string;
  readonly nodeId: string;
  /** host:port at which peers will reach this manager. */
  readonly address: string;
  /** What the state is the outcome of; the log begins behind it, in this term. */
  readonly point: { readonly index: number; readonly term: number };
  /** Members of the cluster's earlier life, which may never speak in this one. */
  readonly removed: readonly RaftId[];
  /** The whole state; when it throws, nothing of it counts. */
  readonly portions: AsyncIterable<readonly KeyValuePair[]>;
  readonly random: Random;
  readonly log: Logger;
  readonly lock?: DataKeyLock | undefined;
  readonly segmentBytes?: number;
  /** Other media than the folder: memory twins in tests. */
  readonly media?: StorageMedia;
}

/**
 * Resolves when a restart would find the member, the only voter of its cluster.
 * @throws {FailedPreconditionError} the folder holds a member; and whatever `portions` throws.
 */
export async function restoreRaftFolder(options: RestoreRaftFolderOptions): Promise<MemberIdentity> {
  const { clusterId, nodeId, address, random, removed } = options;
  const media = options.media ?? (await openFolderMedia(options.dir, random));
  if ((await loadMemberIdentity(media.disk)) !== undefined)
    throw new FailedPreconditionError("the raft folder holds a member already: nothing is restored over it");
  const raftId = newRaftId(random);
  const self: RaftMember = { raftId, nodeId, address, learner: false };
  const membership: Membership = { members: [self], removed };
  const { log, lock, segmentBytes } = options;
  const storage = await openRaftStorage(media, {
    random,
    log,
    lock,
    segmentBytes,
    initialMembership: membership,
  });
  try {
    await fill(storage, { ...options.point, membership }, options.portions);
  } finally {
    await closeRaftStorage(storage);
  }
  const identity: MemberIdentity = { raftId, clusterId, nodeId, founder: false, membership };
  await storeMemberIdentity(media.disk, identity);
  return identity;
}

async function fill(
  storage: RaftStorage,
  meta: SnapshotMeta,
  portions: AsyncIterable<readonly KeyValuePair[]>,
): Promise<void> {
  const install = await storage.state.beginInstall(meta);
  try {
    for await (const portion of portions) await install.add(portion);
    await install.commit();
  } finally {
    await install.abort();
  }
  await storage.log.install(meta);
  await storage.log.append([], { term: meta.term, vote: 0, commit: meta.index });
}
