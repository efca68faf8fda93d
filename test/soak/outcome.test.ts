/** Outcomes: what an answer promises, in the words the managers use. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, isConnectFailure, outcomeOf } from "./outcome.js";

const answer = (status: number, message = "", sent = true): Answer => ({
  status,
  message,
  json: undefined,
  sent,
});

test("an answer of success is a success, and a refusal of the request is surely not done", () => {
  for (const status of [200, 201, 204]) assert.equal(outcomeOf(answer(status)), "ok");
  for (const status of [400, 403, 404, 409]) assert.equal(outcomeOf(answer(status)), "refused");
});

test("a 503 is surely not done only in the words of those who never proposed", () => {
  const never = [
    "the swarm has no leader: it is possible that too few managers are online to keep a quorum",
    'This node is not a swarm manager. Use "docker swarm init" or …',
    "the proposed entry was replaced by another leader's",
    "No connection established. Last error: Error: connect ENOENT /run/manager.sock",
  ];
  for (const words of never) assert.equal(outcomeOf(answer(503, words)), "refused", words);
  const perhaps = [
    "the leader at 10.0.0.1:2377 went away before it answered: the change may have been made, or not",
    "leadership was lost before the change was committed: it may have been made, or not",
    "this node's manager does not run, and is started again: it ended with SIGKILL",
    "Connection dropped",
    "raft log cannot be written: ENOSPC",
    "words nobody has thought of",
  ];
  for (const words of perhaps) assert.equal(outcomeOf(answer(503, words)), "unknown", words);
});

test("no answer, a timeout inside and an error inside leave it open", () => {
  assert.equal(outcomeOf(answer(0, "socket hang up")), "unknown");
  assert.equal(outcomeOf(answer(0, "POST /configs/create timed out")), "unknown");
  for (const status of [499, 500, 504]) assert.equal(outcomeOf(answer(status)), "unknown");
});

test("a request that found nobody listening was not sent", () => {
  const refused = Object.assign(new Error("connect ECONNREFUSED"), {
    code: "ECONNREFUSED",
    syscall: "connect",
  });
  assert.ok(isConnectFailure(refused));
  assert.ok(
    !isConnectFailure(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" })),
  );
  assert.equal(outcomeOf(answer(0, "connect ECONNREFUSED", false)), "refused");
});
