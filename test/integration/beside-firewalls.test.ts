/**
 * Published ports and VIPs beside what others do to the host's rules: a flush, iptables, docker, ufw,
 * firewalld. Whatever they do, both serve again at once, to and from every node.
 */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { DockerdPeer, dockerdMissing } from "../support/dockerd-peer.js";
import { firewallMissing, openFirewalld, openUfw } from "../support/firewalls.js";
import { patient } from "../support/patience.js";
import type { PublishedWorld } from "../support/published-world.js";
import { createPublishedWorld } from "../support/published-world.js";

/** It takes some hundred milliseconds; on a busy machine more. What is not heard would take half a minute. */
const BACK_MS_MAX = 10_000;

let published: PublishedWorld;

before(async () => {
  published = await createPublishedWorld();
});

after(async () => {
  await published.world.close();
});

/** From the client by either node to either task, and by the VIP to either: each of these must have answered. */
async function serves(what: string): Promise<void> {
  const { askMeshAt, askVip, host, world } = published;
  const other = world.hosts[1];
  assert.ok(other);
  const startMs = performance.now();
  const wanted = new Set(["1 task11", "1 task21", "2 task11", "2 task21", "vip task11", "vip task21"]);
  while (wanted.size > 0 && performance.now() - startMs < patient(BACK_MS_MAX)) {
    const [first, second, vip] = await Promise.all([
      askMeshAt(host.address),
      askMeshAt(other.address),
      askVip(),
    ]);
    for (const seen of [`1 ${first}`, `2 ${second}`, `vip ${vip}`]) wanted.delete(seen);
  }
  assert.deepEqual([...wanted], [], `${what}: not served within ${BACK_MS_MAX} ms`);
}

async function inHost(script: string): Promise<void> {
  const { out, code } = await published.world.run(published.host.netns, "sh", "-ec", script);
  assert.equal(code, 0, out);
}

test("a flush of all rulesets, and of iptables' tables, is over at once", async () => {
  await serves("before");
  await inHost("nft flush ruleset");
  await serves("nft flush ruleset");
  await inHost("iptables -P FORWARD DROP");
  await serves("iptables -P FORWARD DROP");
  await inHost("iptables -F; iptables -t nat -F; iptables -t mangle -F");
  await serves("iptables -F with the policy drop");
  await inHost("iptables -P FORWARD ACCEPT");
  await serves("iptables -P FORWARD ACCEPT");
});

test("dockerd starts, stops and starts again beside", { timeout: patient(120_000) }, async (t) => {
  const missing = dockerdMissing();
  if (missing !== undefined) return t.diagnostic(missing);
  for (const round of ["first", "second"]) {
    const dir = mkdtempSync(join(tmpdir(), "skein-beside-"));
    const netns = basename(published.host.netns);
    const peer = await DockerdPeer.open({ dir, netns, ownNetns: false });
    try {
      await serves(`dockerd's ${round} start`);
    } finally {
      await peer.close();
    }
    await serves(`dockerd's ${round} end`);
  }
});

test("ufw is enabled, reloaded and disabled beside", { timeout: patient(120_000) }, async (t) => {
  const missing = firewallMissing("ufw");
  if (missing !== undefined) return t.diagnostic(missing);
  const ufw = await openUfw(published.host.netns);
  try {
    for (const word of ["enable", "reload", "disable", "enable", "disable"]) {
      await ufw.command(...(word === "enable" ? ["--force"] : []), word);
      await serves(`ufw ${word}`);
      if (word === "enable")
        await inHost(
          "iptables -S FORWARD | grep -q 'P FORWARD DROP'; nft list chain ip filter FORWARD | grep -q skg",
        );
    }
  } finally {
    await ufw.close();
  }
});

test("firewalld starts, reloads and ends beside", { timeout: patient(120_000) }, async (t) => {
  const missing = firewallMissing("firewalld");
  if (missing !== undefined) return t.diagnostic(missing);
  const firewalld = await openFirewalld(published.host.netns);
  try {
    await serves("firewalld's start");
    await inHost("nft list chain inet firewalld filter_FORWARD | grep -q skein-vxt");
    await firewalld.command("--reload");
    await serves("firewalld's reload");
    await firewalld.command("--complete-reload");
    await serves("firewalld's complete reload");
  } finally {
    await firewalld.close();
  }
  await serves("firewalld's end");
});

test("leaving takes our rules out of others' chains", async () => {
  await inHost("iptables -P FORWARD DROP");
  await serves("before leaving");
  await published.host.plane.removeAll();
  await inHost("! nft list ruleset | grep -i skein");
});
