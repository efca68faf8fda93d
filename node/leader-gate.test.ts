import assert from "node:assert/strict";
import { test } from "node:test";
import { Channel, credentials, Metadata, type UntypedHandleCall } from "@grpc/grpc-js";
import { ManualClock } from "../base/clock/manual-clock.js";
import {
  AbortedError,
  InvalidArgumentError,
  NotFoundError,
  NotLeaderError,
  PermissionDeniedError,
} from "../base/errors/errors.js";
import { fromGrpcError, toGrpcStatus } from "../base/grpc/grpc-errors.js";
import { leaderWait } from "../base/grpc/leader-wait.js";
import { markForwarded } from "../base/grpc/peer-identity.js";
import { silentLogger } from "../base/log/logger.js";
import { NodeCaService } from "../proto/gen/skein/v1/ca.js";
import { ControlService } from "../proto/gen/skein/v1/control.js";
import { createLeaderGate, type LeaderView } from "./leader-gate.js";

const PATH = "/skein.v1.Control/ListNodes";
const RENEWAL = NodeCaService.issue.path;
const UPDATE = ControlService.updateConfig.path;
const CREATE = ControlService.createConfig.path;
const STREAM = "/skein.v1.Control/WatchEvents";
const FIND = "/skein.v1.Reach/FindContainer";

class FakeLeader implements LeaderView {
  isLeader = true;
  leaderAddress: string | undefined = undefined;
  barriers = 0;
  readonly listeners = new Set<() => void>();
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  /** Confirms nothing until asked to stop. */
  isCutOff = false;
  async readBarrier({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.barriers += 1;
    if (!this.isCutOff) return;
    await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("cancelled"))));
  }
}

interface Lab {
  readonly leader: FakeLeader;
  readonly clock: ManualClock;
  /** @returns "stream" when the handler was reached, else the refusal. */
  stream(nodeId: string, forwardedFor?: string): unknown;
  call(options?: {
    nodeId?: string;
    forwarded?: boolean;
    local?: boolean;
    metadata?: Metadata;
    path?: string;
  }): Promise<unknown>;
}

function lab(handler: (callback: (error: unknown, value?: unknown) => void) => void): Lab {
  const leader = new FakeLeader();
  const clock = new ManualClock();
  const gate = createLeaderGate({
    definitions: [ControlService, NodeCaService],
    leaderOnly: new Set([PATH, RENEWAL, UPDATE, CREATE]),
    linearizable: new Set([PATH]),
    fromReplica: new Set([STREAM, FIND]),
    authorize: (path, peer) => {
      if (path !== RENEWAL && peer?.role !== "swarm-manager")
        throw new PermissionDeniedError("managers only");
    },
    isKnown: ({ nodeId }) => nodeId !== "removed" && (nodeId !== "late" || leader.barriers > 0),
    leader,
    channels: {
      credentials: () => credentials.createInsecure(),
      to: (address) => new Channel(address, credentials.createInsecure(), {}),
    },
    self: { nodeId: "m0", role: "swarm-manager", clusterId: "c" },
    clock,
    log: silentLogger,
  });
  const unary = ((_call: unknown, callback: (error: unknown, value?: unknown) => void) =>
    handler(callback)) as UntypedHandleCall;
  const stream = (nodeId: string, forwardedFor?: string): unknown => {
    const metadata = new Metadata();
    if (forwardedFor !== undefined)
      markForwarded(metadata, { nodeId: forwardedFor, role: "swarm-manager", clusterId: "c" });
    let answer: unknown;
    const handle = (): void => {
      answer = "stream";
    };
    const guarded = gate(STREAM, handle, { local: false, streaming: true }) as (call: unknown) => void;
    guarded({
      metadata,
      getAuthContext: () => ({
        sslPeerCertificate: { subject: { O: "c", OU: "swarm-manager", CN: nodeId } },
      }),
      emit: (_event: string, error: Error) => {
        answer = Reflect.get(error, "details");
      },
    });
    return answer;
  };
  return {
    leader,
    clock,
    stream,
    call({ nodeId = "m1", forwarded = false, local = false, metadata = new Metadata(), path = PATH } = {}) {
      if (forwarded) {
        metadata.set("skein-forwarded-node", nodeId);
        metadata.set("skein-forwarded-role", "swarm-manager");
      }
      const subject = { O: "c", OU: nodeId === "w1" ? "swarm-worker" : "swarm-manager", CN: nodeId };
      const guarded = gate(path, unary, { local, streaming: false }) as (
        call: unknown,
        callback: (error: Error | null, value: unknown) => void,
      ) => void;
      const call = {
        metadata,
        request: {},
        getAuthContext: () => (local ? {} : { sslPeerCertificate: { subject } }),
        getPeer: () => "ipv4:10.0.0.1:1",
        getDeadline: () => Number.POSITIVE_INFINITY,
      };
      return new Promise((resolve, reject) =>
        guarded(call, (error, value) => (error ? reject(fromGrpcError(error)) : resolve(value))),
      );
    },
  };
}

test("a call at the leader waits for a read barrier, then runs here", async () => {
  const { leader, call } = lab((callback) => callback(null, "nodes"));
  assert.equal(await call(), "nodes");
  assert.equal(leader.barriers, 1);
});

test("the role check comes first, but not for the local socket", async () => {
  const { call } = lab((callback) => callback(null, "nodes"));
  await assert.rejects(call({ nodeId: "w1" }), { code: "permission-denied", message: "managers only" });
  assert.equal(await call({ local: true }), "nodes");
});

test("a removed node's certificate opens nothing", async () => {
  const { call } = lab((callback) => callback(null, "nodes"));
  await assert.rejects(call({ nodeId: "removed" }), {
    code: "permission-denied",
    message: /node removed is void/,
  });
});

test("a certificate that opens nothing is renewed all the same: the CA itself looks its caller up", async () => {
  const { call } = lab((callback) => callback(null, "certificate"));
  assert.equal(await call({ nodeId: "removed", path: RENEWAL }), "certificate");
  // but nobody is renewed on the word of a manager that is none any more
  await assert.rejects(call({ nodeId: "removed", forwarded: true, path: RENEWAL }), {
    code: "permission-denied",
  });
});

test("a removed manager finds nothing at a replica either, whomever it says it forwards for", async () => {
  const { call } = lab((callback) => callback(null, "found"));
  assert.equal(await call({ path: FIND }), "found");
  assert.equal(await call({ path: FIND, local: true }), "found");
  const refusal = { code: "permission-denied", message: /node removed is void/ };
  await assert.rejects(call({ path: FIND, nodeId: "removed" }), refusal);
  const metadata = new Metadata();
  markForwarded(metadata, { nodeId: "m1", role: "swarm-manager", clusterId: "c" });
  await assert.rejects(call({ path: FIND, nodeId: "removed", metadata }), refusal);
  await assert.rejects(call({ path: FIND, nodeId: "w1", metadata }), { message: /managers only/ });
});

test("a removed manager hears no events and reads no logs any more", () => {
  const { stream } = lab((callback) => callback(null, "nodes"));
  assert.equal(stream("m1"), "stream");
  assert.match(String(stream("removed")), /node removed is void/);
  // by its own word it forwards for somebody who may; nobody forwards streams
  assert.match(String(stream("removed", "m1")), /node removed is void/);
});

test("a node that this leader has not applied yet is looked up again behind a barrier", async () => {
  const { leader, call } = lab((callback) => callback(null, "nodes"));
  assert.equal(await call({ nodeId: "late" }), "nodes");
  assert.ok(leader.barriers > 0);
});

test("a call that a leader handing over could not propose any more is tried again, not failed", async () => {
  let tries = 0;
  const { clock, call } = lab((callback) => {
    tries += 1;
    if (tries < 3) callback(toGrpcStatus(new NotLeaderError("propose: not the leader")));
    else callback(null, "nodes");
  });
  const answer = call({ local: true });
  for (let step = 0; step < 10; step++) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(20);
  }
  assert.equal(await answer, "nodes");
  assert.equal(tries, 3);
});

test("a forwarded call is not tried again here: its forwarder finds the new leader", async () => {
  const { call } = lab((callback) => callback(toGrpcStatus(new NotLeaderError("propose: not the leader"))));
  await assert.rejects(call({ forwarded: true }), { code: "not-leader" });
});

test("the handler's own error passes with its code", async () => {
  const { call } = lab((callback) => callback(toGrpcStatus(new NotFoundError("node x not found"))));
  await assert.rejects(call(), { code: "not-found", message: "node x not found" });
});

test("a write that the state refuses is tried again behind a barrier: the refusal may have been old", async () => {
  const answers: unknown[] = [new NotFoundError("config c not found"), undefined];
  const { leader, call } = lab((callback) => {
    const refusal = answers.shift();
    if (refusal === undefined) callback(null, `done behind ${leader.barriers} barrier`);
    else callback(toGrpcStatus(refusal));
  });
  assert.equal(await call({ path: UPDATE }), "done behind 1 barrier");
  answers.push(new AbortedError("update out of sequence"), new AbortedError("update out of sequence"));
  await assert.rejects(call({ path: UPDATE }), { code: "aborted", message: "update out of sequence" });
  assert.deepEqual(answers, []);
});

test("a refusal for other reasons stands, and what a create made and lost is not made again", async () => {
  let runs = 0;
  let refusal: Error = new InvalidArgumentError("no name");
  const { leader, call } = lab((callback) => {
    runs += 1;
    callback(toGrpcStatus(refusal));
  });
  await assert.rejects(call({ path: CREATE }), { code: "invalid-argument" });
  refusal = new NotFoundError("config c not found");
  await assert.rejects(call({ path: CREATE }), { code: "not-found" });
  assert.deepEqual([runs, leader.barriers], [2, 0]);
});

test("a refusal by a leader that is none any more is left to the next one", async () => {
  const { leader, call } = lab((callback) =>
    callback(toGrpcStatus(new AbortedError("update out of sequence"))),
  );
  leader.readBarrier = () => Promise.reject(new NotLeaderError("deposed"));
  await assert.rejects(call({ path: UPDATE, forwarded: true }), { code: "not-leader" });
});

test("a forwarded call is not forwarded again", async () => {
  const { leader, call } = lab((callback) => callback(null, "nodes"));
  leader.isLeader = false;
  leader.leaderAddress = "10.0.0.2:2377";
  await assert.rejects(call({ forwarded: true }), { code: "not-leader" });
});

test("without a leader a call waits, runs when this manager is elected, or gives up after the bound", async () => {
  const { leader, clock, call } = lab((callback) => callback(null, "nodes"));
  leader.isLeader = false;
  const waiting = call();
  await new Promise((resolve) => setImmediate(resolve));
  leader.isLeader = true;
  for (const listener of leader.listeners) listener();
  assert.equal(await waiting, "nodes");

  leader.isLeader = false;
  const hopeless = call();
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(8_001);
  await assert.rejects(hopeless, { code: "unavailable", message: /has no leader/ });
  assert.equal(leader.listeners.size, 0);
});

test("a caller in a hurry waits no longer for a leader than it asks", async () => {
  const { leader, clock, call } = lab((callback) => callback(null, "nodes"));
  leader.isLeader = false;
  const hurried = call({ metadata: leaderWait(1_000) });
  const patient = call({ metadata: leaderWait(999_999) });
  const ends: string[] = [];
  const failed = assert.rejects(
    hurried.finally(() => ends.push("hurried")),
    /the swarm has no leader/,
  );
  const failedToo = assert.rejects(
    patient.finally(() => ends.push("patient")),
    /the swarm has no leader/,
  );
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(1_000);
  await failed;
  assert.deepEqual(ends, ["hurried"]);
  clock.advance(7_000);
  await failedToo;
});

test("a read at a leader that loses its quorum hears of it in time", async () => {
  const { leader, clock, call } = lab((callback) => callback(null, "nodes"));
  leader.isCutOff = true;
  const waiting = call({ metadata: leaderWait(1_000) });
  await new Promise((resolve) => setImmediate(resolve));
  leader.isLeader = false;
  for (const listener of leader.listeners) listener();
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(1_000);
  await assert.rejects(waiting, /the swarm has no leader/);
  assert.equal(leader.listeners.size, 0);
});

test("a refusal, or an unknown caller, at a leader that loses its quorum is left to the next leader", async () => {
  for (const nodeId of ["m1", "late"]) {
    const { leader, call } = lab((callback) =>
      callback(toGrpcStatus(new AbortedError("update out of sequence"))),
    );
    leader.isCutOff = true;
    const waiting = call({ path: UPDATE, nodeId, forwarded: true });
    await new Promise((resolve) => setImmediate(resolve));
    leader.isLeader = false;
    for (const listener of leader.listeners) listener();
    await assert.rejects(waiting, { code: "not-leader" });
    assert.equal(leader.listeners.size, 0);
  }
});
