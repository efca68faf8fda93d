/**
 * Join tokens: `SWMTKN-1-<digest of the root certificate>-<secret>`, both in base 36, 50 and 25 characters.
 * Pure. Invariant: secrets are compared in constant time and never appear in a message.
 * Source: SwarmKit's format.
 */
import { timingSafeEqual } from "node:crypto";
import { InvalidArgumentError, UnauthenticatedError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import type { RootCa } from "../../proto/gen/skein/v1/objects.js";
import { NodeRole } from "../../proto/gen/skein/v1/types.js";

const FORM = /^SWMTKN-1-([0-9a-z]{50})-([0-9a-z]{25})$/;

export interface JoinToken {
  /** Names the cluster: who holds the token can check the root certificate before showing the secret. */
  readonly digest: string;
  readonly secret: string;
}

/** @returns a token with a new secret of 128 random bits. */
export function createJoinToken(digest: string, random: Random): string {
  let value = 0n;
  for (const byte of random.bytes(16)) value = (value << 8n) | BigInt(byte);
  return `SWMTKN-1-${digest}-${value.toString(36).padStart(25, "0")}`;
}

/** @throws {InvalidArgumentError} when the text has not the form of a token. */
export function parseJoinToken(text: string): JoinToken {
  const [, digest, secret] = FORM.exec(text) ?? [];
  if (digest === undefined || secret === undefined) {
    throw new InvalidArgumentError("invalid join token: it must have the form SWMTKN-1-<digest>-<secret>");
  }
  return { digest, secret };
}

function sameText(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * Which role a token gives in this cluster.
 * @throws {InvalidArgumentError} malformed; {UnauthenticatedError} of another cluster, or rotated away.
 */
export function roleOfToken(rootCa: RootCa, text: string): NodeRole {
  const token = parseJoinToken(text);
  if (token.digest !== rootCa.certDigest) {
    throw new UnauthenticatedError(
      "a valid join token is necessary to join this cluster: the token given belongs to another cluster",
    );
  }
  const manager = sameText(text, rootCa.managerToken);
  const worker = sameText(text, rootCa.workerToken);
  if (manager) return NodeRole.MANAGER;
  if (worker) return NodeRole.WORKER;
  throw new UnauthenticatedError(
    "a valid join token is necessary to join this cluster: the token's secret is wrong or was rotated",
  );
}
