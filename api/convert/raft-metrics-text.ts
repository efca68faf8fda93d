/**
 * What a manager says of its Raft member, as Prometheus reads it. Pure.
 * The histograms were counted in the manager's process, which a metrics library of this process could not
 * take over; so the text is made here. Source: Prometheus' text exposition format 0.0.4.
 */
import type { Histogram, RaftInspection } from "../../proto/gen/skein/v1/debug.js";

export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

type Kind = "gauge" | "counter";
type Labels = Readonly<Record<string, string>>;

const ROLES = ["follower", "pre-candidate", "candidate", "leader", "learner"] as const;

export function labelText(labels: Labels): string {
  const escaped = (value: string): string =>
    value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function head(name: string, kind: Kind | "histogram", help: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`];
}

function single(name: string, kind: Kind, help: string, value: number): string[] {
  return [...head(name, kind, help), `${name} ${value}`];
}

function labelled(name: string, help: string, values: readonly (readonly [Labels, number])[]): string[] {
  return [
    ...head(name, "gauge", help),
    ...values.map(([labels, value]) => `${name}${labelText(labels)} ${value}`),
  ];
}

function histogram(name: string, help: string, values: Histogram | undefined): string[] {
  if (values === undefined) return [];
  let total = 0;
  const buckets = values.counts.map((count, at) => {
    total += count;
    const bound = values.bounds[at];
    return `${name}_bucket{le="${bound === undefined ? "+Inf" : bound}"} ${total}`;
  });
  return [
    ...head(name, "histogram", help),
    ...buckets,
    `${name}_sum ${values.sum}`,
    `${name}_count ${total}`,
  ];
}

export function raftMetricsText(raft: RaftInspection): string {
  const { queues, members } = raft;
  const peers = members.filter(({ raftId }) => raftId !== raft.raftId);
  const byPeer = (pick: (peer: (typeof peers)[number]) => number): (readonly [Labels, number])[] =>
    peers.map((peer) => [{ peer: peer.nodeId }, pick(peer)]);
  const lines = [
    single("skein_raft_term", "gauge", "Current term.", raft.term),
    labelled(
      "skein_raft_role",
      "1 for the role this member has.",
      ROLES.map((role) => [{ role }, raft.role === role ? 1 : 0]),
    ),
    single("skein_raft_has_leader", "gauge", "1 while a leader is known.", raft.leader === 0 ? 0 : 1),
    single(
      "skein_raft_leader_changes_total",
      "counter",
      "Leaders this manager has seen since it started.",
      raft.leaderChanges,
    ),
    single("skein_raft_healthy", "gauge", "0 while the member is in trouble.", raft.trouble === "" ? 1 : 0),
    single("skein_raft_commit_index", "gauge", "Index of the last committed entry.", raft.commitIndex),
    single("skein_raft_applied_index", "gauge", "Index of the last applied entry.", raft.appliedIndex),
    single("skein_raft_first_index", "gauge", "Index of the oldest entry in the log.", raft.firstIndex),
    single("skein_raft_last_index", "gauge", "Index of the newest entry in the log.", raft.lastIndex),
    labelled("skein_raft_members", "Members by kind.", [
      [{ kind: "voter" }, members.filter(({ learner }) => !learner).length],
      [{ kind: "learner" }, members.filter(({ learner }) => learner).length],
    ]),
    labelled(
      "skein_raft_peer_reachable",
      "1 while the stream to the peer is up.",
      byPeer((peer) => +peer.reachable),
    ),
    labelled(
      "skein_raft_peer_lag_entries",
      "Entries the peer has not acknowledged; on the leader only.",
      raft.role === "leader" ? byPeer((peer) => raft.lastIndex - peer.match) : [],
    ),
    labelled("skein_raft_queue_depth", "What waits, by queue.", [
      [{ queue: "proposals" }, queues?.proposals ?? 0],
      [{ queue: "reads" }, queues?.reads ?? 0],
      [{ queue: "apply" }, queues?.applyEntries ?? 0],
      [{ queue: "log" }, queues?.logBatches ?? 0],
      [{ queue: "snapshots" }, queues?.snapshots ?? 0],
    ]),
    single(
      "skein_raft_apply_queue_bytes",
      "gauge",
      "Bytes committed and not applied.",
      queues?.applyBytes ?? 0,
    ),
    histogram(
      "skein_raft_commit_seconds",
      "From the proposal on the leader to its apply there.",
      raft.commitSeconds,
    ),
    histogram("skein_raft_sync_seconds", "Making one group of log records durable.", raft.syncSeconds),
  ];
  return `${lines.flat().join("\n")}\n`;
}
