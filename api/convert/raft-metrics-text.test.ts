import assert from "node:assert/strict";
import { test } from "node:test";
import { RaftInspection } from "../../proto/gen/skein/v1/debug.js";
import { raftMetricsText } from "./raft-metrics-text.js";

const inspection = RaftInspection.fromPartial({
  raftId: 1,
  nodeId: "a",
  role: "leader",
  term: 4,
  leader: 1,
  lastIndex: 120,
  leaderChanges: 2,
  members: [
    { raftId: 1, nodeId: "a", reachable: true },
    { raftId: 2, nodeId: 'b"\n', reachable: false, match: 100 },
  ],
  queues: { proposals: 3 },
  syncSeconds: { bounds: [0.001, 0.01], counts: [5, 2, 1], sum: 0.5 },
});

test("buckets are cumulative and end with +Inf", () => {
  const lines = raftMetricsText(inspection).split("\n");
  const at = lines.indexOf('skein_raft_sync_seconds_bucket{le="0.001"} 5');
  assert.deepEqual(lines.slice(at, at + 5), [
    'skein_raft_sync_seconds_bucket{le="0.001"} 5',
    'skein_raft_sync_seconds_bucket{le="0.01"} 7',
    'skein_raft_sync_seconds_bucket{le="+Inf"} 8',
    "skein_raft_sync_seconds_sum 0.5",
    "skein_raft_sync_seconds_count 8",
  ]);
});

test("the leader tells how far each peer lags, itself left out, and names are escaped", () => {
  const text = raftMetricsText(inspection);
  assert.match(text, /^skein_raft_peer_lag_entries\{peer="b\\"\\n"\} 20$/m);
  assert.doesNotMatch(text, /peer="a"/);
});

test("every sample follows its own type line", () => {
  let announced = "";
  for (const line of raftMetricsText(inspection).trimEnd().split("\n")) {
    const type = /^# TYPE (\S+)/.exec(line)?.[1];
    if (type !== undefined) announced = type;
    else if (!line.startsWith("#")) assert.ok(line.startsWith(announced), `${line} after ${announced}`);
  }
});
