/**
 * The mesh on a real kernel after others have taken its parts away: it is noticed, and made whole again.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import { silentLogger } from "../../base/log/logger.js";
import { createLinuxDataPlane } from "../../net-overlay/dataplane/linux-data-plane.js";
import type { MeshPlan } from "../../net-overlay/endpoints/mesh-plan.js";

const PLAN: MeshPlan = {
  nodeNumber: 1,
  localAddress: "10.97.0.1",
  vxlanUdpPort: 4789,
  peers: new Map([
    [2, "10.97.0.2"],
    [3, "10.97.0.3"],
  ]),
  ports: [{ protocol: "tcp", publishedPort: 8080, backends: [{ address: "100.64.1.5", port: 80 }] }],
  nodeAddresses: ["10.97.0.1", "10.97.0.2", "10.97.0.3"],
  hasIpv6: false,
  exposed: [],
  localTasks: [],
};

/** Removals by systemd-networkd (rules and routes of no link) and by a reload of the host's firewall. */
const REMOVALS: readonly (readonly [what: string, host: (name: string) => string[]])[] = [
  [
    "all our rules but one",
    (host) => ["sh", "-c", `for i in 1 2 3 4 5 6; do ip -n ${host} rule del proto 83; done`],
  ],
  ["one peer's rule", (host) => ["ip", "-n", host, "rule", "del", "proto", "83", "table", "1000003"]],
  [
    "the unreachable route and a rule",
    (host) => [
      "sh",
      "-c",
      `ip -n ${host} route del unreachable 100.64.1.0/24; ip -n ${host} rule del proto 83 pref 2202`,
    ],
  ],
  ["the ruleset", (host) => ["ip", "netns", "exec", host, "nft", "flush", "ruleset"]],
];

test("what others remove of the mesh is noticed and made again", async () => {
  const linux = await openKoffiLinux();
  const host = `skmr${process.pid}`;
  const dir = mkdtempSync(join(tmpdir(), "skein-repair-"));
  const ip = (...args: string[]): string => execFileSync("ip", ["-n", host, ...args], { encoding: "utf8" });
  execFileSync("ip", ["netns", "add", host]);
  try {
    ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1");
    ip("addr", "add", "10.97.0.1/24", "dev", "eth0");
    ip("link", "set", "eth0", "up");
    const hostNetns = `/run/netns/${host}`;
    const plane = createLinuxDataPlane({ linux, netnsDir: join(dir, "ns"), hostNetns, log: silentLogger });
    const kernel = (): string[] => [ip("rule"), ip("route")].flatMap((text) => text.split("\n").sort());
    await plane.applyMesh(PLAN);
    const whole = kernel();
    assert.equal(whole.filter((line) => line.includes("proto 83")).length, 10);
    assert.equal(plane.checkHost(), true);
    for (const [what, removal] of REMOVALS) {
      const [program = "", ...args] = removal(host);
      execFileSync(program, args);
      assert.equal(plane.checkHost(), false, what);
      await plane.applyMesh(PLAN);
      assert.equal(plane.checkHost(), true, what);
      assert.deepEqual(kernel(), whole, what);
    }
    plane.close();
  } finally {
    execFileSync("ip", ["netns", "del", host]);
    rmSync(dir, { recursive: true, force: true });
  }
});
