import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterSpec, PlacementStrategy } from "../../proto/gen/skein/v1/types.js";
import { clusterSpecIn, clusterSpecOut, clusterSpecWarnings, newClusterSpecIn } from "./cluster-spec.js";
import { Fields } from "./fields.js";

const PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

/** As a client reads it and sends it back. */
const again = (spec: ClusterSpec): Fields => Fields.of(JSON.parse(JSON.stringify(clusterSpecOut(spec))));

test("a specification that is read and sent back is the same, whatever is set in it", () => {
  const spec = ClusterSpec.fromPartial({
    annotations: { name: "default", labels: { a: "b" } },
    taskHistoryRetentionLimit: 3,
    snapshotInterval: 2_000,
    keepOldSnapshots: 1,
    logEntriesForSlowFollowers: 50,
    heartbeatPeriodMs: 2_000,
    nodeCertExpiryMs: 7_200_000,
    externalCas: [{ protocol: "cfssl", url: "https://ca", options: { a: "b" }, caCert: Buffer.from(PEM) }],
    signingCaCert: PEM,
    forceRotate: 4,
    autoLockManagers: true,
    defaultLogDriver: { name: "local", options: { "max-size": "1m" } },
    placementStrategy: PlacementStrategy.BIN_PACK,
    drainDeadlineMs: 60_000,
    dataVersionsKept: 7,
    nodeDownAfterMs: 9_000,
    orphanAfterMs: 30_000,
  });
  const read = clusterSpecIn(again(spec));
  assert.deepEqual(
    { ...read, externalCas: read.externalCas.map((ca) => ({ ...ca, caCert: Buffer.from(ca.caCert) })) },
    spec,
  );
});

test("settings of Skein stay as they were when a client of Docker's sends the rest", () => {
  const before = ClusterSpec.fromPartial({
    placementStrategy: PlacementStrategy.BIN_PACK,
    drainDeadlineMs: 60_000,
    dataVersionsKept: 7,
  });
  const { placementStrategy, drainDeadlineMs, dataVersionsKept } = clusterSpecIn(Fields.of({}), before);
  assert.deepEqual(
    [placementStrategy, drainDeadlineMs, dataVersionsKept],
    [PlacementStrategy.BIN_PACK, 60_000, 7],
  );
  const cleared = clusterSpecIn(
    Fields.of({ Skein: { DrainDeadline: 0, PlacementStrategy: "spread" } }),
    before,
  );
  assert.deepEqual([cleared.drainDeadlineMs, cleared.placementStrategy], [0, PlacementStrategy.SPREAD]);
});

test("what docker swarm init sends by itself means nothing; what has no effect is named", () => {
  const fields = Fields.of({
    Orchestration: { TaskHistoryRetentionLimit: 5 },
    Raft: { SnapshotInterval: 10_000, KeepOldSnapshots: 0, LogEntriesForSlowFollowers: 500, ElectionTick: 3 },
    Dispatcher: { HeartbeatPeriod: 5_000_000_000 },
    CAConfig: { NodeCertExpiry: 7_776_000_000_000_000 },
    EncryptionConfig: { AutoLockManagers: false },
    TaskDefaults: {},
  });
  const spec = newClusterSpecIn(fields);
  assert.equal(spec.heartbeatPeriodMs, 0);
  assert.deepEqual(clusterSpecWarnings(spec), []);
  assert.match(
    clusterSpecWarnings({ ...spec, keepOldSnapshots: 2 })[0] ?? "",
    /--max-snapshots 2 .*has no effect/,
  );
});
