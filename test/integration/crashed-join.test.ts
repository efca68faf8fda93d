/**
 * A daemon that is killed in the middle of joining as a manager: it comes back, finishes the join under the
 * same node id, and leaves no dead member behind.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join as joinPath } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { call, dissolve, initSwarm, join, tokens, until, untilNodes } from "../support/lab/lab-swarm.js";

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 3, clients: 0 });
  await Promise.all(lab.hosts.map((host) => host.start()));
  await initSwarm(lab.host(1));
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

interface Raft {
  readonly members: readonly {
    readonly nodeId: string;
    readonly learner: boolean;
    readonly reachable: boolean;
  }[];
}

const members = async (host: LabHost): Promise<Raft["members"]> =>
  (await call<Raft>(host, "GET", "/skein/v1/debug/raft")).members;

async function crashWhileJoining(host: LabHost, moment: () => Promise<boolean>): Promise<void> {
  const one = lab.host(1);
  const joining = join(host, one, (await tokens(one)).Manager).catch(() => undefined); // it is killed
  await until("the moment to crash", 20_000, async () => ((await moment()) ? true : undefined));
  await host.killDaemon();
  await joining;
}

async function comesBack(host: LabHost, managers: number): Promise<void> {
  await host.start();
  const one = lab.host(1);
  const found = await untilNodes(
    one,
    `${managers} managers`,
    (all) => all.filter((node) => node.ManagerStatus?.Reachability === "reachable").length === managers,
  );
  assert.equal(found.length, managers, "no node stands there twice");
  let last: Raft["members"] = [];
  await until(
    "all of them voting",
    20_000,
    async () => {
      last = await members(one);
      const isVoting = last.every(({ learner, reachable }) => !learner && reachable);
      return last.length === managers && isVoting ? true : undefined;
    },
    () => JSON.stringify(last),
  );
  await until("its own API", 20_000, async () =>
    (await host.api("GET", "/nodes")).status === 200 ? true : undefined,
  );
}

test("a daemon killed before Raft knows of it, and one killed right after, finish the join", async () => {
  const [one, two, three] = lab.hosts;
  assert.ok(one && two && three);
  await crashWhileJoining(two, async () => existsSync(joinPath(two.dataDir, "swarm", "state.json")));
  await comesBack(two, 2);
  await crashWhileJoining(three, async () => (await members(one)).length === 3);
  await comesBack(three, 3);
});
