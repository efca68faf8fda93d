/**
 * What a node finds out about its paths and collisions, as users see it: real daemons on two hosts.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { formSwarm, until } from "../support/lab/lab-swarm.js";

let lab: Lab;
let first: LabHost;
let second: LabHost;

before(async () => {
  lab = await Lab.open({ hosts: 2 });
  first = lab.host(1);
  second = lab.host(2);
  await formSwarm(lab, { managers: 1 });
});

after(async () => {
  assert.deepEqual(await lab.close(), []);
});

interface Extras {
  readonly NetworkTrouble?: string;
  readonly PathMTU?: number;
}

async function extras(host: LabHost): Promise<Extras> {
  const { stdout } = await first.skein(["node", "inspect", host.name, "--format", "{{json .Skein}}"]);
  return (JSON.parse(stdout) as Extras | null) ?? {};
}

test("measured paths, a blocked port and its end show in node inspect and node ls", async () => {
  await until("both paths are measured", 30_000, async () => {
    const both = await Promise.all([first, second].map(extras));
    return both.every(({ PathMTU }) => PathMTU === 1_500) || undefined;
  });
  const nft = (text: string): void => {
    execFileSync("nsenter", [`--net=/run/netns/${second.netns}`, "nft", text]);
  };
  nft("table inet block { chain in { type filter hook input priority -300; udp dport 4789 drop; }; }");
  const words = `udp 4789 to ${second.name} (${second.address}): nothing comes back`;
  await until("the trouble is told", 30_000, async () =>
    (await extras(first)).NetworkTrouble === words ? true : undefined,
  );
  const { stderr } = await first.skein(["node", "ls"]);
  assert.ok(stderr.includes(`network: ${words}`), stderr);
  const verified = await first.skein(["net", "verify"]);
  assert.equal(verified.code, 1);
  assert.ok(verified.stdout.includes(`${first.name}: path with ${second.name}: ${words}`), verified.stdout);
  nft("delete table inet block");
  await until("the trouble is over", 30_000, async () =>
    (await extras(first)).NetworkTrouble === undefined ? true : undefined,
  );
  await until("the network is well", 10_000, async () =>
    (await first.skein(["net", "verify"])).stdout.startsWith("yes: revision") ? true : undefined,
  );
});
