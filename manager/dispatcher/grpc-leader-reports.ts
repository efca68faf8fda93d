/**
 * The LeaderReports service on the wire. Edge: to @grpc/grpc-js.
 * Invariant: a manager that does not lead refuses with not-leader, and the sender turns to the leader.
 */
import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { NotLeaderError } from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import type { LeaderReportsServer, ReportReply, ReportRequest } from "../../proto/gen/skein/v1/dispatcher.js";
import type { LeaderReports } from "./leader-reports.js";

/** @param current the LeaderReports of this manager's leadership; undefined while it does not lead. */
export function createLeaderReportsHandlers(current: () => LeaderReports | undefined): LeaderReportsServer {
  return {
    report(call: ServerUnaryCall<ReportRequest, ReportReply>, callback: sendUnaryData<ReportReply>): void {
      const reports = current();
      if (reports === undefined) {
        callback(toGrpcStatus(new NotLeaderError("this manager does not lead")));
        return;
      }
      reports.report(call.request).then(
        (reply) => callback(null, reply),
        (error: unknown) => callback(toGrpcStatus(error)),
      );
    },
  };
}
