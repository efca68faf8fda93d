import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError, UnauthenticatedError } from "../../base/errors/errors.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { RootCa } from "../../proto/gen/skein/v1/objects.js";
import { NodeRole } from "../../proto/gen/skein/v1/types.js";
import { createJoinToken, parseJoinToken, roleOfToken } from "./join-token.js";
import { createUnlockKey, parseUnlockKey } from "./unlock-key.js";

const random = new SeededRandom("tokens");
const digest = "0a".repeat(25);
const workerToken = createJoinToken(digest, random);
const managerToken = createJoinToken(digest, random);
const rootCa = RootCa.fromPartial({ certDigest: digest, workerToken, managerToken });

test("a token has SwarmKit's form and comes apart again", () => {
  assert.match(workerToken, /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/);
  assert.equal(parseJoinToken(workerToken).digest, digest);
  assert.notEqual(parseJoinToken(workerToken).secret, parseJoinToken(managerToken).secret);
});

test("a token gives its role", () => {
  assert.equal(roleOfToken(rootCa, workerToken), NodeRole.WORKER);
  assert.equal(roleOfToken(rootCa, managerToken), NodeRole.MANAGER);
});

test("malformed tokens are invalid, and the message does not repeat them", () => {
  for (const text of [
    "",
    "SWMTKN-1-abc-def",
    `${workerToken}x`,
    workerToken.toUpperCase(),
    ` ${workerToken}`,
  ]) {
    assert.throws(
      () => roleOfToken(rootCa, text),
      (error: unknown) =>
        error instanceof InvalidArgumentError && (text === "" || !error.message.includes(text)),
    );
  }
});

test("a token of another cluster and a wrong secret are told apart", () => {
  const foreign = createJoinToken("0b".repeat(25), random);
  const rotated = createJoinToken(digest, random);
  assert.throws(() => roleOfToken(rootCa, foreign), /belongs to another cluster/);
  assert.throws(() => roleOfToken(rootCa, rotated), /wrong or was rotated/);
  assert.throws(() => roleOfToken(rootCa, rotated), UnauthenticatedError);
});

test("an unlock key carries 32 bytes", () => {
  const key = createUnlockKey(random);
  assert.match(key, /^SWMKEY-1-/);
  assert.equal(parseUnlockKey(key).length, 32);
  assert.throws(() => parseUnlockKey(key.slice(1)), InvalidArgumentError);
});
