/**
 * Who this member is, and what it began with: the file `member.json` in the Raft folder.
 * Pure over the disk port. Invariant: written once and never changed: before anything else of a member that
 * founds or joins a cluster, after everything else of one that is restored from a backup.
 */
import { DataLossError, FailedPreconditionError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import type { Membership, RaftId, RaftMember } from "../core/types.js";
import type { Disk } from "../storage/disk.js";

const FILE = "member.json";
const UINT32_TO_SAFE_INTEGER = 2 ** 20;

export interface MemberIdentity {
  readonly raftId: RaftId;
  readonly clusterId: string;
  readonly nodeId: string;
  /** True for the founder of the cluster. */
  readonly founder: boolean;
  /** What a joining member was told; empty for the founder, whose first entry adds it. */
  readonly membership: Membership;
}

/** A fresh id. Chance of meeting another: 2^-52 per pair. */
export function newRaftId(random: Random): RaftId {
  return 1 + random.uint32() * UINT32_TO_SAFE_INTEGER + (random.uint32() % UINT32_TO_SAFE_INTEGER);
}

/** @returns undefined when the folder holds no member. @throws {DataLossError} */
export async function loadMemberIdentity(disk: Disk): Promise<MemberIdentity | undefined> {
  const bytes = await disk.read(FILE);
  if (bytes === undefined) return undefined;
  const stored: unknown = parse(bytes.toString("utf8"));
  if (!isIdentity(stored)) throw new DataLossError(`${FILE} in the raft folder is damaged`);
  return stored;
}

export async function storeMemberIdentity(disk: Disk, identity: MemberIdentity): Promise<void> {
  if ((await disk.read(FILE)) !== undefined) {
    throw new FailedPreconditionError("the raft folder holds a member already");
  }
  await disk.replace(FILE, Buffer.from(`${JSON.stringify(identity, undefined, 2)}\n`));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DataLossError(`${FILE} in the raft folder is damaged`, { cause: error });
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isIdentity(value: unknown): value is MemberIdentity {
  if (!isRecord(value) || !isRecord(value["membership"])) return false;
  const { members, removed } = value["membership"];
  return (
    isRaftId(value["raftId"]) &&
    typeof value["clusterId"] === "string" &&
    typeof value["nodeId"] === "string" &&
    typeof value["founder"] === "boolean" &&
    Array.isArray(members) &&
    members.every(isMember) &&
    Array.isArray(removed) &&
    removed.every(isRaftId)
  );
}

function isRaftId(value: unknown): value is RaftId {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

function isMember(value: unknown): value is RaftMember {
  return (
    isRecord(value) &&
    isRaftId(value["raftId"]) &&
    typeof value["nodeId"] === "string" &&
    typeof value["address"] === "string" &&
    typeof value["learner"] === "boolean"
  );
}
