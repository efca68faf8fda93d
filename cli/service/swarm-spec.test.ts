import assert from "node:assert/strict";
import { test } from "node:test";
import { externalCa, specOf } from "./swarm-spec.js";

test("flags change what they name and keep the rest of a section", () => {
  const before = {
    Name: "default",
    Raft: { SnapshotInterval: 10_000, KeepOldSnapshots: 0, LogEntriesForSlowFollowers: 500 },
    CAConfig: { NodeCertExpiry: 5, ForceRotate: 2 },
    Skein: { PlacementStrategy: "spread", DataVersionsKept: 5 },
  };
  assert.deepEqual(specOf({}, before), before);
  const spec = specOf(
    {
      snapshotInterval: "20",
      certExpiry: "2h",
      placementStrategy: "binpack",
      drainDeadline: "30s",
      autolock: true,
    },
    before,
  );
  assert.deepEqual(spec, {
    ...before,
    Raft: { ...before.Raft, SnapshotInterval: 20 },
    CAConfig: { NodeCertExpiry: 7_200e9, ForceRotate: 2 },
    Skein: { PlacementStrategy: "binpack", DrainDeadline: 30e9, DataVersionsKept: 5 },
    EncryptionConfig: { AutoLockManagers: true },
  });
  assert.throws(() => specOf({ taskHistoryLimit: "-2" }), /--task-history-limit/);
});

test("an external CA has a protocol, a URL, perhaps a certificate from a file, and options", () => {
  const read = (path: string): string => `PEM of ${path}`;
  assert.deepEqual(externalCa("protocol=cfssl,url=https://ca/sign,cacert=ca.pem,label=x", read), {
    Protocol: "cfssl",
    URL: "https://ca/sign",
    Options: { label: "x" },
    CACert: "PEM of ca.pem",
  });
  assert.throws(() => externalCa("protocol=acme,url=https://ca", read), /use cfssl/);
  assert.throws(() => externalCa("protocol=cfssl", read), /url=/);
});
