/**
 * Carries reports to the leader: a call over gRPC, or straight into the local LeaderReports when we lead.
 * Edge: to @grpc/grpc-js. Invariant: what was queued before a leader change reaches the new leader.
 */
import type { Clock } from "../../base/clock/clock.js";
import { UnavailableError } from "../../base/errors/errors.js";
import { callUnary } from "../../base/grpc/grpc-call.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { LeaderReportsClient } from "../../proto/gen/skein/v1/dispatcher.js";
import type { LeaderReports } from "./leader-reports.js";
import { ReportQueue } from "./report-queue.js";
import type { ReportSink } from "./report-sink.js";

/** Milliseconds one delivery may take before it is repeated. */
const DELIVERY_TIMEOUT_MS = 5_000;

export type LeaderLink =
  | { readonly kind: "local"; readonly reports: LeaderReports }
  | { readonly kind: "remote"; readonly client: LeaderReportsClient }
  | { readonly kind: "none" };

export interface GrpcReportSinkComponents {
  readonly managerNodeId: string;
  /** The way to the current leader; asked anew for every delivery. */
  readonly leader: () => LeaderLink;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface GrpcReportSink extends ReportSink {
  /** To be called when the leader changed. */
  leaderChanged(): void;
  close(): void;
}

export function createGrpcReportSink(components: GrpcReportSinkComponents): GrpcReportSink {
  const { managerNodeId, leader, clock, random, log } = components;
  return new ReportQueue({
    clock,
    random,
    log,
    deliver: async (reports) => {
      const link = leader();
      if (link.kind === "none") throw new UnavailableError("there is no leader");
      const request = { managerNodeId, reports };
      if (link.kind === "local") await link.reports.report(request);
      else await callUnary(link.client.report.bind(link.client), request, { timeoutMs: DELIVERY_TIMEOUT_MS });
    },
  });
}
