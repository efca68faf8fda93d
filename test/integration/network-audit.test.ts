/**
 * What others do to a node's network is seen, told by its name, and repaired, on a real kernel: every kind of
 * entry once.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import type { AuditReport } from "../../net-overlay/audit/audit-report.js";
import { auditReportOf, breakAndRepair } from "../support/break-and-repair.js";
import { NETWORK_BREAKS } from "../support/network-breaks.js";
import { patient } from "../support/patience.js";
import type { PublishedWorld } from "../support/published-world.js";
import { createPublishedWorld } from "../support/published-world.js";

let published: PublishedWorld;

before(async () => {
  published = await createPublishedWorld();
});

after(async () => {
  await published.world.close();
});

const reportOf = (): Promise<AuditReport | undefined> => auditReportOf(published);

test("nothing is found where nothing was done, and both ways serve", async () => {
  const report = await reportOf();
  assert.deepEqual([report?.differencesByKind, report?.standing], [{}, []]);
  assert.ok((report?.audits ?? 0) >= 3, "host, network and task");
  assert.match(await published.askMesh(), /^task/);
  assert.match(await published.askVip(), /^task/);
});

for (const row of NETWORK_BREAKS) {
  test(`${row.place}: ${row.what}: told and repaired`, async () => {
    assert.deepEqual(await breakAndRepair(published, row), []);
  });
}

test("established connections, by the mesh and by a VIP, outlive what is broken and repaired", async () => {
  const { host, ground, netnsOf, world } = published;
  const talk = (netnsPath: string, address: string, port: number) => {
    const nc = spawn("nsenter", [`--net=${netnsPath}`, "busybox", "nc", address, `${port}`]);
    let heard = "";
    nc.stdout.on("data", (data: Buffer) => {
      heard += data.toString();
    });
    const says = async (pattern: RegExp): Promise<void> => {
      const deadlineMs = performance.now() + patient(10_000);
      while (!pattern.test(heard) && performance.now() < deadlineMs)
        await new Promise((resolve) => setImmediate(resolve));
      assert.match(heard, pattern);
    };
    return { nc, says };
  };
  const open = [
    talk(world.clientNetns, host.address, ground.publishedPort),
    talk(netnsOf("task"), ground.vip, 80),
  ];
  try {
    for (const { says } of open) await says(/^task\d+/);
    for (const what of [
      "all rulesets are flushed",
      "the tunnel is gone",
      "the overlay's ruleset is flushed",
    ]) {
      const { place, commands } = NETWORK_BREAKS.find((each) => each.what === what) ?? {};
      assert.ok(place !== undefined && commands !== undefined, what);
      await world.run(netnsOf(place), "sh", "-c", commands(ground));
      await reportOf();
      for (const { nc, says } of open) {
        nc.stdin.write(`after ${what}\n`);
        await says(new RegExp(`after ${what}\n`));
      }
    }
  } finally {
    for (const { nc } of open) nc.kill("SIGKILL");
  }
});
