import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { SwarmInitRequest } from "../api/ports.js";
import { ManualClock } from "../base/clock/manual-clock.js";
import { silentLogger } from "../base/log/logger.js";
import { systemRandom } from "../base/random/system-random.js";
import { LocalManager } from "./local-manager.js";
import { NodeLock } from "./node-lock.js";
import { SwarmFiles } from "./swarm-files.js";
import { SwarmLifecycle } from "./swarm-lifecycle.js";

test("a member whose files cannot be read is no free node: nothing is founded over it; force ends it", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "skein-lifecycle-"));
  try {
    const files = new SwarmFiles(dataDir);
    files.saveIdentity({ keyPem: "key", certificatePem: "certificate", rootCaPem: "root" });
    files.saveState({
      nodeId: "n",
      clusterId: "c",
      role: "manager",
      listenAddress: "127.0.0.1:2377",
      advertiseAddress: "127.0.0.1:2377",
      advertiseInterface: "",
      dataPathAddress: "127.0.0.1",
      managers: [],
    });
    const managerDir = join(dataDir, "manager");
    mkdirSync(join(managerDir, "dek"), { recursive: true }); // reading it fails with EISDIR
    const clock = new ManualClock();
    const swarm = new SwarmLifecycle({
      files,
      hostname: "h",
      managerDir,
      localManager: new LocalManager(join(dataDir, "m.sock"), clock),
      lock: new NodeLock(),
      managerUser: undefined,
      logLevel: "silent",
      advertiseAddr: undefined,
      openAgent: () => Promise.reject(new Error("no agent is opened")),
      removeWorkload: async () => undefined,
      clock,
      random: systemRandom,
      log: silentLogger,
    });
    await assert.rejects(swarm.resume(), /EISDIR/);
    assert.equal(swarm.info().state, "error");
    const request = { forceNewCluster: false } as SwarmInitRequest; // refused before more is read
    await assert.rejects(swarm.init(request), { code: "unavailable" });
    await assert.rejects(swarm.leave({ force: false }), { code: "unavailable" });
    assert.equal(files.load()?.state.nodeId, "n");
    await swarm.leave({ force: true });
    assert.equal(files.load(), undefined);
    assert.equal(swarm.info().state, "inactive");
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
