/**
 * Carries reports to the leader: a call over gRPC, or straight into the local LeaderReports when we lead.
 * Edge: to @grpc/grpc-js. Invariant: what was queued before a leader change reaches the new leader.
 */
import type { Clock } from "../../base/clock/clock.js";
import { UnavailableError } from "../../base/errors/errors.js";
import { callUnary } from "../../base/grpc/grpc-call.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type {
  LeaderReportsClient,
  ManagerWord,
  NodeReport,
  ReportReply,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { DRAIN_WAIT_MS } from "./drain-rounds.js";
import type { LeaderReports } from "./leader-reports.js";
import { ReportQueue } from "./report-queue.js";
import type { ReportSink } from "./report-sink.js";

/** Milliseconds one delivery may take before it is repeated. */
const DELIVERY_TIMEOUT_MS = 5_000;
/** Milliseconds for a word, which waits for no commit: soon another will be said. */
const WORD_TIMEOUT_MS = 1_000;

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
  const listeners = new Set<() => void>();
  const carry = async (
    reports: readonly NodeReport[],
    options: { readonly word?: ManagerWord; readonly drainedRevision?: number; readonly timeoutMs: number },
  ): Promise<ReportReply> => {
    const link = leader();
    if (link.kind === "none") throw new UnavailableError("there is no leader");
    const { word, drainedRevision, timeoutMs } = options;
    const request = { managerNodeId, reports, word, drainedRevision };
    if (link.kind === "local") return await link.reports.report(request);
    return await callUnary(link.client.report.bind(link.client), request, { timeoutMs });
  };
  const queue = new ReportQueue({
    clock,
    random,
    log,
    deliver: async (reports) => {
      await carry(reports, { timeoutMs: DELIVERY_TIMEOUT_MS });
    },
  });
  return {
    send: (reports) => queue.send(reports),
    vouch: (word, reports) =>
      carry(reports, { word, timeoutMs: word.full ? DELIVERY_TIMEOUT_MS : WORD_TIMEOUT_MS }),
    drained: async (drainedRevision) =>
      (await carry([], { drainedRevision, timeoutMs: 2 * DRAIN_WAIT_MS })).drained ?? false,
    onLeaderChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    leaderChanged: () => {
      queue.leaderChanged();
      for (const listener of listeners) listener();
    },
    close: () => queue.close(),
  };
}
