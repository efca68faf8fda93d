/**
 * A service under 32 connections, kept or new ones, by virtual address and by the mesh of every host: an
 * update, a drain and a scale-down lose no request. Once each; `npm run soak -- network` does it twenty
 * times.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import { dissolve, formSwarm } from "../support/lab/lab-swarm.js";
import { failuresOf, STEADY_CHANGES, SteadyLoad } from "../support/lab/steady-load.js";

let lab: Lab;
let steady: SteadyLoad;

before(async () => {
  lab = await Lab.open({ hosts: 3 });
  await formSwarm(lab, { managers: 1 });
  steady = await SteadyLoad.raise(lab, lab.host(1));
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

for (const connections of ["kept", "new"] as const) {
  for (const change of STEADY_CHANGES) {
    test(`${change}, connections ${connections}: no request fails`, async (t) => {
      const results = await steady.during(change, { connections });
      t.diagnostic(`requests: ${results.vip.requests} by VIP, ${results.mesh.requests} by the mesh`);
      assert.deepEqual(failuresOf(results), []);
    });
  }
}
