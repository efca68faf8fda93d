/**
 * Managers that come back at another address are found again without ceremony: one, most of them at once, and
 * the only one.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  createService,
  dissolve,
  formSwarm,
  SLEEPER,
  type SwarmNode,
  untilNodes,
  untilRunning,
} from "../support/lab/lab-swarm.js";

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 4, clients: 0 });
  await formSwarm(lab, { managers: 3 }); // host4 is a worker
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

type Listed = SwarmNode & { readonly ManagerStatus?: { readonly Addr: string } };

const addressesOf = (all: readonly SwarmNode[]): string[] =>
  (all as readonly Listed[])
    .filter((node) => node.ManagerStatus?.Reachability === "reachable" && node.Status.State === "ready")
    .map((node) => node.ManagerStatus?.Addr ?? "")
    .sort();

/** The host's daemon is killed, and comes back after its interface has got another address. */
async function killAndMove(host: LabHost, from: string, to: string): Promise<void> {
  await host.killDaemon();
  for (const args of [
    ["addr", "del", `${from}/24`, "dev", "eth0"],
    ["addr", "add", `${to}/24`, "dev", "eth0"],
    ["route", "replace", "default", "via", "10.99.0.254"],
  ]) {
    const { code, stderr } = await host.attempt("ip", args);
    assert.equal(code, 0, stderr);
  }
}

test("a follower, then most managers at once, move and are found; tasks and workers notice nothing", async () => {
  const [one, two, three] = lab.hosts;
  assert.ok(one && two && three);
  await createService(one, {
    name: "stays",
    command: SLEEPER,
    replicas: 2,
    constraints: ["node.hostname==host4"],
  });
  const before = (await untilRunning(one, "stays", 2)).map((task) => task.ID).sort();
  await killAndMove(two, "10.99.0.2", "10.99.0.22");
  await two.start();
  await untilNodes(
    one,
    "host2 at its new address",
    (all) => addressesOf(all).join() === "10.99.0.1:2377,10.99.0.22:2377,10.99.0.3:2377",
  );

  await Promise.all([
    killAndMove(two, "10.99.0.22", "10.99.0.32"),
    killAndMove(three, "10.99.0.3", "10.99.0.33"),
  ]);
  await Promise.all([two.start(), three.start()]);
  await untilNodes(
    three,
    "host2 and host3 at their new addresses",
    (all) => addressesOf(all).join() === "10.99.0.1:2377,10.99.0.32:2377,10.99.0.33:2377",
  );
  await call(two, "POST", "/configs/create", { Name: "after", Data: "YQ==" });
  const now = (await untilRunning(three, "stays", 2)).map((task) => task.ID).sort();
  assert.deepEqual(now, before);
});

test("what is asked of a manager whose daemon has just come back is answered once it serves", async () => {
  const [, two] = lab.hosts;
  assert.ok(two);
  await two.killDaemon();
  await two.start(); // its API answers; its manager is being started
  await call(two, "POST", "/configs/create", { Name: "early", Data: "YQ==" });
  const configs = await call<readonly { Spec: { Name: string } }[]>(two, "GET", "/configs");
  assert.deepEqual(configs.map(({ Spec }) => Spec.Name).sort(), ["after", "early"]);
});
