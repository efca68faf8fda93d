/**
 * A manager whose files are locked: what it needs to come back, and how a key is tried on it.
 * Edge: to the manager's folder. Invariant: trying a key changes nothing on the disk.
 */
import { existsSync } from "node:fs";
import { codeOf, UnauthenticatedError } from "../base/errors/errors.js";
import type { Random } from "../base/random/random.js";
import { dataKeyLockOf } from "../manager/keys/unlock-lock.js";
import { readDataKeyRing } from "../raft/storage/data-key-ring.js";
import { openFileDisk } from "../raft/storage/file-disk.js";
import { type FileLock, type OpenIdentity, openIdentity, type SealedIdentity } from "./sealed-identity.js";
import type { SavedMember } from "./swarm-files.js";

/** What the stock client shows, in `info` and as the answer of every endpoint of the swarm. */
export const SWARM_LOCKED =
  "Swarm is encrypted and needs to be unlocked before it can be used. " +
  'Please use "docker swarm unlock" to unlock it.';

/** What a start can go on with; undefined: a key must be given. */
export async function openUnlocked(
  { state, identity }: SavedMember,
  managerDir: string,
  random: Random,
): Promise<OpenIdentity | undefined> {
  if ("locked" in identity) return undefined;
  const opens = state.role === "worker" || (await opensDataKeys(managerDir, identity.lock, random));
  return opens ? identity : undefined;
}

/**
 * @throws {InvalidArgumentError} the text is no unlock key. {UnauthenticatedError} it does not fit.
 * {DataLossError}
 */
export async function unlockWith(
  unlockKey: string,
  { identity }: SavedMember,
  managerDir: string,
  random: Random,
): Promise<OpenIdentity> {
  const opened = open(identity, unlockKey, random);
  if (!(await opensDataKeys(managerDir, opened.lock, random))) throw invalidKey();
  return opened;
}

function open(identity: OpenIdentity | SealedIdentity, unlockKey: string, random: Random): OpenIdentity {
  // Only the data keys are locked: somebody put back one of the two files.
  if (!("locked" in identity)) return { ...identity, lock: { unlockKey, former: identity.lock.former } };
  try {
    return openIdentity(identity, unlockKey, random);
  } catch (error) {
    if (codeOf(error) === "permission-denied") throw invalidKey();
    throw error;
  }
}

async function opensDataKeys(managerDir: string, lock: FileLock, random: Random): Promise<boolean> {
  if (!existsSync(managerDir)) return true; // the manager says what it misses
  const keys = [lock.unlockKey, ...lock.former].filter((key) => key !== "");
  const locks = keys.map((key) => dataKeyLockOf(key, random)).filter((known) => known !== undefined);
  try {
    await readDataKeyRing(await openFileDisk(managerDir), locks);
    return true;
  } catch (error) {
    switch (codeOf(error)) {
      case "not-found":
      case "data-loss": // as above
        return true;
      case "permission-denied":
      case "failed-precondition":
        return false;
      default:
        throw error;
    }
  }
}

function invalidKey(): UnauthenticatedError {
  return new UnauthenticatedError("swarm could not be unlocked: invalid key provided");
}
