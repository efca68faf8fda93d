import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import { silentLogger } from "../../base/log/logger.js";
import { createLinuxDataPlane } from "../../net-overlay/dataplane/linux-data-plane.js";
import type { OverlayPlan } from "../../net-overlay/endpoints/overlay-plan.js";

const PLAN: OverlayPlan = {
  networkId: "n1",
  encrypted: false,
  vni: 4097,
  mtuBytes: 0,
  vxlanUdpPort: 4789,
  nodeNumber: 1,
  localAddress: "10.97.0.1",
  gateway: "10.0.1.1",
  gateway6: "",
  gateways: ["10.0.1.1"],
  subnets: ["10.0.1.0/24"],
  pathMtuBytes: 0,
  services: new Map(),
  remoteNodes: new Map(),
  remoteTasks: new Map(),
  localTasks: [],
  locals: [],
  unreachable: [],
};

test("an overlay that is given up can be made anew at once: its VNI is free", async () => {
  const linux = await openKoffiLinux();
  const host = `skre${process.pid}`;
  const dir = mkdtempSync(join(tmpdir(), "skein-remake-"));
  execFileSync("ip", ["netns", "add", host]);
  try {
    execFileSync("ip", ["-n", host, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
    execFileSync("ip", ["-n", host, "addr", "add", "10.97.0.1/24", "dev", "eth0"]);
    execFileSync("ip", ["-n", host, "link", "set", "eth0", "up"]);
    const hostNetns = `/run/netns/${host}`;
    const plane = createLinuxDataPlane({ linux, netnsDir: join(dir, "ns"), hostNetns, log: silentLogger });
    for (let round = 0; round < 5; round++) {
      await plane.applyOverlay(PLAN);
      await plane.removeOverlay(PLAN.networkId);
    }
    assert.deepEqual(plane.listOverlays(), []);
    plane.close();
  } finally {
    execFileSync("ip", ["netns", "del", host]);
    rmSync(dir, { recursive: true, force: true });
  }
});
