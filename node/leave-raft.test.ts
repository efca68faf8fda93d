/**
 * Asking the cluster to let a manager go, against a control API on a unix socket that answers as told.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { Channel, credentials, Server, ServerCredentials, type UntypedHandleCall } from "@grpc/grpc-js";
import type { Clock } from "../base/clock/clock.js";
import { systemClock } from "../base/clock/system-clock.js";
import {
  FailedPreconditionError,
  NotLeaderError,
  PermissionDeniedError,
  UnavailableError,
} from "../base/errors/errors.js";
import { toGrpcStatus } from "../base/grpc/grpc-errors.js";
import { MemoryLogger } from "../base/log/logger.js";
import { ControlService, type LeaveClusterRequest } from "../proto/gen/skein/v1/control.js";
import { leaveRaft } from "./leave-raft.js";

const dir = mkdtempSync(join(tmpdir(), "skein-leave-"));
const address = `unix:${join(dir, "s")}`;
const server = new Server();
const insecure = credentials.createInsecure();
let channel: Channel;
/** What the cluster answers, one after another; the last one from then on; undefined: it agrees. */
let answers: (Error | undefined)[] = [];
let asked: LeaveClusterRequest[] = [];
/** Of the other managers, and how often they were asked. */
let others: Error | undefined;
let askedOthers = 0;
const log = new MemoryLogger();

/** Each look at it takes 100 ms, and nobody waits. */
function hastyClock(): Clock {
  let nowMs = 0;
  return {
    ...systemClock,
    monotonicMs: () => {
      nowMs += 100;
      return nowMs;
    },
    sleep: async () => undefined,
  };
}

const leave = (force: boolean, endpoint = true): Promise<void> =>
  leaveRaft({
    nodeId: "n1",
    force,
    localManager: {
      reached: async () => (endpoint ? { address, credentials: insecure, channel } : undefined),
    },
    askOthers: async () => {
      askedOthers += 1;
      if (others !== undefined) throw others;
    },
    clock: hastyClock(),
    log,
  });

before(async () => {
  const { leaveCluster } = ControlService;
  const handler = ((
    call: { request: LeaveClusterRequest },
    done: (error: unknown, reply?: object) => void,
  ) => {
    asked.push(call.request);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer === undefined) done(null, {});
    else done(toGrpcStatus(answer));
  }) as unknown as UntypedHandleCall; // grpc-js types handlers by shape
  server.addService({ leaveCluster }, { leaveCluster: handler });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    ),
  );
  channel = new Channel(address, insecure, {});
});
after(() => {
  channel.close();
  server.forceShutdown();
  rmSync(dir, { recursive: true });
});
beforeEach(() => {
  asked = [];
  others = undefined;
  askedOthers = 0;
  log.lines.length = 0;
});

test("without force the cluster's own refusal comes back, as something that is not available", async () => {
  answers = [new FailedPreconditionError("left with 2 managers")];
  await assert.rejects(leave(false), { code: "unavailable", message: "left with 2 managers" });
  assert.deepEqual(asked, [{ nodeId: "n1", force: false }]);
});

test("without force a manager that cannot ask does not leave", async () => {
  const words = /participating as a manager.*cannot be asked: no leader.*--force/;
  answers = [new UnavailableError("no leader")];
  await assert.rejects(leave(false), { code: "unavailable", message: words });
  await assert.rejects(leave(false, false), { code: "unavailable", message: /does not run/ });
});

test("a leader that hands over is no end, nor is one that dies over the call", async () => {
  answers = [new NotLeaderError("handed over"), new UnavailableError("went away"), undefined];
  await leave(true);
  assert.equal(asked.length, 3);
});

test("with force a cluster without a leader keeps nobody for long", async () => {
  answers = [new UnavailableError("no leader")];
  await leave(true);
  assert.ok(asked.length >= 2 && asked.length < 8, String(asked.length));
  await leave(true, false);
});

test("with force the others are asked when this node's manager has no answer, and never without", async () => {
  answers = [new UnavailableError("no leader")];
  await leave(true, false);
  await leave(true);
  assert.equal(askedOthers, 2);
  assert.ok(!log.lines.some(({ level }) => level === "warn"));
  await assert.rejects(leave(false, false), { code: "unavailable" });
  assert.equal(askedOthers, 2);
  answers = [undefined];
  await leave(true);
  answers = [new PermissionDeniedError("the certificate is void")];
  await leave(true);
  assert.equal(askedOthers, 2, "an answer was given");
});

test("a manager whom nobody lets go goes all the same, and says what each said", async () => {
  others = new UnavailableError("too few managers");
  await leave(true, false);
  assert.match(JSON.stringify(log.lines), /without the cluster's consent.*does not run.*too few managers/);
});
