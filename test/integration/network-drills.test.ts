/**
 * A host's cable is pulled for ten seconds, a worker's and the leader's, once each with a manager killed
 * meanwhile, while a service is scaled: afterwards `net verify` says yes, and no name, address or backend is
 * stale on any node. `npm run soak -- network` does it for sixty seconds, too.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { call, dissolve, formSwarm, leader, nodeOf } from "../support/lab/lab-swarm.js";
import {
  carryOutDrill,
  problemsAfter,
  raiseDrillServices,
  untilVoters,
  untilWhole,
} from "../support/lab/network-drill.js";

const PULLED_MS = 10_000;

let lab: Lab;
let first: LabHost;

before(async () => {
  lab = await Lab.open({ hosts: 3 });
  first = lab.host(1);
  await formSwarm(lab, { managers: 2 }); // host3 is a worker
  await raiseDrillServices(first, 3);
  await untilWhole(lab, first, 3);
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

test("before anything happens all is as it should be", async () => {
  assert.deepEqual(await problemsAfter(lab, first), []);
});

test("a worker is cut off while a service grows", async () => {
  await carryOutDrill(lab, { victim: lab.host(3), asked: first, pulledMs: PULLED_MS, replicas: 5 });
  assert.deepEqual(await problemsAfter(lab, first), []);
});

test("a worker is cut off while a service shrinks and the leader's manager is killed", async () => {
  const killed = await leader(lab, first);
  await carryOutDrill(lab, { victim: lab.host(3), asked: first, pulledMs: PULLED_MS, replicas: 3, killed });
  assert.deepEqual(await problemsAfter(lab, first), []);
});

/** Of three managers: so that two are left. */
async function cutTheLeaderOff(replicas: number, kill: boolean): Promise<void> {
  const victim = await leader(lab, first);
  const [asked] = lab.hosts.filter((host) => host !== victim);
  assert.ok(asked);
  const killed = kill ? { killed: victim } : {};
  await carryOutDrill(lab, { victim, asked, pulledMs: PULLED_MS, replicas, ...killed });
  assert.deepEqual(await problemsAfter(lab, asked), []);
  assert.deepEqual(await problemsAfter(lab, victim), []);
}

test("the leader is cut off while a service grows", async () => {
  const { ID, Version, Spec } = await nodeOf(lab.host(3), first);
  await call(first, "POST", `/nodes/${ID}/update?version=${Version.Index}`, { ...Spec, Role: "manager" });
  await untilVoters(first, 3);
  await cutTheLeaderOff(5, false);
});

test("the leader is cut off while a service shrinks, and its manager is killed", async () => {
  await cutTheLeaderOff(3, true);
});
