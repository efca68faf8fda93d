/**
 * A member described: what `skein debug raft --live` and the metrics show. Pure.
 */
import type { HistogramValues } from "../../base/metrics/histogram.js";
import type { Histogram, RaftInspection, RaftQueues } from "../../proto/gen/skein/v1/debug.js";
import type { MemberIdentity } from "./member-identity.js";
import type { RaftMeters } from "./raft-meters.js";
import type { RaftStatus } from "./raft-node.js";

export interface InspectedMember {
  readonly identity: MemberIdentity;
  readonly status: RaftStatus;
  readonly firstIndex: number;
  readonly queues: RaftQueues;
  readonly meters: RaftMeters;
}

export function inspectRaft({
  identity,
  status,
  firstIndex,
  queues,
  meters,
}: InspectedMember): RaftInspection {
  return {
    raftId: identity.raftId,
    nodeId: identity.nodeId,
    clusterId: identity.clusterId,
    role: status.role,
    term: status.term,
    leader: status.leader,
    commitIndex: status.commitIndex,
    appliedIndex: status.appliedIndex,
    firstIndex,
    lastIndex: status.lastIndex,
    leaderChanges: meters.leaderChanges,
    members: status.membership.members.map((member) => {
      const progress = status.progress.find(({ raftId }) => raftId === member.raftId);
      return {
        ...member,
        reachable: status.reachable.get(member.raftId) ?? false,
        match: progress?.match ?? 0,
        next: progress?.next ?? 0,
        progress: progress?.state ?? "",
        recentlyActive: progress?.recentlyActive ?? false,
      };
    }),
    removed: status.membership.removed,
    queues,
    commitSeconds: histogramOut(meters.commitSeconds.values()),
    syncSeconds: histogramOut(meters.syncSeconds.values()),
    uptimeMs: meters.uptimeMs,
    trouble: status.trouble ?? "",
  };
}

function histogramOut({ bounds, counts, sum }: HistogramValues): Histogram {
  return { bounds, counts, sum };
}
