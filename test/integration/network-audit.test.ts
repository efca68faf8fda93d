/**
 * What others do to a node's network is seen, told by its name, and repaired, on a real kernel: every kind of
 * entry once.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import type { AuditReport } from "../../net-overlay/audit/audit-report.js";
import { NETWORK_BREAKS } from "../support/network-breaks.js";
import { patient } from "../support/patience.js";
import type { PublishedWorld } from "../support/published-world.js";
import { createPublishedWorld } from "../support/published-world.js";

/** It takes some hundred milliseconds; on a busy machine more. What is not heard would take half a minute. */
const REPAIR_MS_MAX = 10_000;

let published: PublishedWorld;

before(async () => {
  published = await createPublishedWorld();
});

after(async () => {
  await published.world.close();
});

async function reportOf(): Promise<AuditReport | undefined> {
  return (await published.host.plane.inspect?.())?.report;
}

/** Listings of everything of a place that can be listed, in an order of its own. */
async function stateOf(netnsPath: string): Promise<string[]> {
  const script = [
    "ip -o -d link | sed 's/^[0-9]*: //; s/@[^:]*//; s/link-netns.*//; s/promiscuity.*//' | sort",
    "ip -4 -o addr | sed 's/^[0-9]*: //' | sort",
    "ip -4 route show table all | sed 's/ proto [^ ]*//' | sort", // the kernel may be quicker with its own
    "ip rule",
    "ip neigh show nud permanent | sort",
    "bridge fdb | sort",
    "nft -s list ruleset",
  ].join("; ");
  // ip(8) complains of namespaces of others that end just then
  const { out } = await published.world.run(netnsPath, "sh", "-c", `(${script}) 2>/dev/null`);
  return out.split("\n");
}

/** Lines that only one of them has. */
function diffOf(before: readonly string[], now: readonly string[]): string[] {
  const [old, fresh] = [new Set(before), new Set(now)];
  return [
    ...before.filter((line) => !fresh.has(line)).map((line) => `gone: ${line}`),
    ...now.filter((line) => !old.has(line)).map((line) => `new: ${line}`),
  ];
}

test("nothing is found where nothing was done, and both ways serve", async () => {
  const report = await reportOf();
  assert.deepEqual([report?.differencesByKind, report?.standing], [{}, []]);
  assert.ok((report?.audits ?? 0) >= 3, "host, network and task");
  assert.match(await published.askMesh(), /^task/);
  assert.match(await published.askVip(), /^task/);
});

for (const { what, place, kind, commands } of NETWORK_BREAKS) {
  test(`${place}: ${what}: told and repaired`, async () => {
    const { host, ground, netnsOf, world } = published;
    const before = await stateOf(netnsOf(place));
    const known = (await reportOf())?.differencesByKind[kind] ?? 0;
    const { out, code } = await world.run(netnsOf(place), "sh", "-c", commands(ground));
    assert.equal(code, 0, out);
    const startMs = performance.now();
    // a task's own namespace is looked at now and then, others when something is heard
    if (place === "task") await reportOf();
    let diff = ["not looked at"];
    while (diff.length > 0 && performance.now() - startMs < patient(REPAIR_MS_MAX)) {
      diff = diffOf(before, await stateOf(netnsOf(place)));
    }
    assert.deepEqual(diff, [], JSON.stringify(host.log.lines.slice(-4), undefined, 1));
    const report = await reportOf();
    assert.ok((report?.differencesByKind[kind] ?? 0) > known, `no ${kind} was told`);
    assert.deepEqual(report?.standing, []);
    assert.match(await published.askMesh(), /^task/);
    assert.match(await published.askVip(), /^task/);
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
