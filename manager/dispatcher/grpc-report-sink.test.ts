import assert from "node:assert/strict";
import { test } from "node:test";
import { credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "../../base/clock/system-clock.js";
import { NotLeaderError } from "../../base/errors/errors.js";
import { Scope } from "../../base/lifecycle/scope.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import {
  LeaderReportsClient,
  LeaderReportsService,
  NodeReport,
  type ReportRequest,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { createLeaderReportsHandlers } from "./grpc-leader-reports.js";
import { createGrpcReportSink, type LeaderLink } from "./grpc-report-sink.js";
import type { LeaderReports } from "./leader-reports.js";

async function serve(scope: Scope, current: () => LeaderReports | undefined): Promise<LeaderReportsClient> {
  const server = new Server();
  scope.defer(() => server.forceShutdown());
  server.addService(LeaderReportsService, createLeaderReportsHandlers(current));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = new LeaderReportsClient(`127.0.0.1:${port}`, credentials.createInsecure());
  scope.defer(() => client.close());
  return client;
}

test("what a manager that does not lead refused reaches the new leader, remote or local", async () => {
  await using scope = new Scope();
  const received: ReportRequest[] = [];
  const leader: LeaderReports = {
    report: (request) => {
      received.push(request);
      return Promise.resolve({ full: false });
    },
    close: () => undefined,
  };
  const stale = await serve(scope, () => undefined);
  const fresh = await serve(scope, () => leader);
  let link: LeaderLink = { kind: "remote", client: stale };
  const sink = createGrpcReportSink({
    managerNodeId: "m1",
    leader: () => link,
    clock: systemClock,
    random: new SeededRandom(1),
    log: silentLogger,
  });
  scope.defer(() => sink.close());
  const sent = sink.send([NodeReport.fromPartial({ nodeId: "n1", alive: true })]);
  const word = { epoch: "e", sessions: 0, digest: 0, full: false };
  await assert.rejects(sink.vouch(word, []), NotLeaderError);
  link = { kind: "remote", client: fresh };
  sink.leaderChanged();
  await sent;
  link = { kind: "local", reports: leader };
  await sink.send([NodeReport.fromPartial({ nodeId: "n2" })]);
  assert.deepEqual(await sink.vouch(word, []), { full: false });
  assert.deepEqual(received.pop()?.word, word);
  assert.deepEqual(
    received.map(({ managerNodeId, reports }) => `${managerNodeId} ${reports[0]?.nodeId}`),
    ["m1 n1", "m1 n2"],
  );
});
