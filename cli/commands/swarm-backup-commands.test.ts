import assert from "node:assert/strict";
import { test } from "node:test";
import { accountLines } from "./swarm-backup-commands.js";

const RESTORED = {
  NodeID: "n9",
  ClusterID: "c1",
  Objects: 120,
  Index: 113_000_000_000_000,
  Autolock: true,
  Backup: { Index: 4711, Term: 3, CreatedAt: "2026-11-21T03:00:00.000Z", SkeinVersion: "0.1.0" },
  FormerManagers: [
    { ID: "n1", Hostname: "alpha", Addr: "10.0.0.1:2377" },
    { ID: "n2", Hostname: "", Addr: "10.0.0.2:2377" },
  ],
};

test("the account of a restore says what came back, what did not, and what is left to do", () => {
  assert.deepEqual(accountLines(RESTORED), [
    "Swarm c1 restored: current node (n9) is its only manager.",
    "  backup     of 2026-11-21T03:00:00.000Z, index 4711, term 3, written by Skein 0.1.0",
    "  restored   120 objects; the index goes on from 113000000000000",
    "  not in it  what was changed after the backup; volumes and images",
    "  autolock   is on, and the unlock key is the one it had when the backup was made",
    "",
    "Managers of before are workers now; none of them may still run the old swarm:",
    "  n1  alpha  10.0.0.1:2377",
    "  n2  ?  10.0.0.2:2377",
    "",
    "Nodes that are gone for good: skein node rm --force NODE. For more managers: skein swarm join-token manager.",
  ]);
});

test("without autolock and managers of before the account is short", () => {
  const lines = accountLines({ ...RESTORED, Autolock: false, FormerManagers: [] });
  assert.equal(lines.length, 4);
});
