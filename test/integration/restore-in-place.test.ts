/**
 * A manager's disk is lost and the swarm is restored at the same address, while a worker and the other
 * manager of before are still running: they come back by themselves, with their tasks.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import {
  call,
  containerOf,
  containers,
  createService,
  dissolve,
  formSwarm,
  HTTPD,
  nodeOf,
  tasks,
  until,
  untilNodes,
  untilRunning,
} from "../support/lab/lab-swarm.js";

const folder = mkdtempSync(joinPath(tmpdir(), "skein-restore-"));
let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 3, clients: 1 });
  await formSwarm(lab, { managers: 2 }); // host3 is a worker
});

after(async () => {
  rmSync(folder, { recursive: true });
  assert.deepEqual(await dissolve(lab), []);
});

test("nodes of before come back to a swarm restored at the address they know", async () => {
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  for (const host of [two, three]) {
    await createService(one, {
      name: `on-${host.name}`,
      command: HTTPD,
      replicas: 2,
      constraints: [`node.hostname==${host.name}`],
    });
    await untilRunning(one, `on-${host.name}`, 2);
  }
  const ids = { two: (await nodeOf(two, one)).ID, three: (await nodeOf(three, one)).ID };
  const containersOf = async (service: string): Promise<string[]> =>
    (await untilRunning(one, service, 2)).map(containerOf).sort();
  const had = { two: await containersOf("on-host2"), three: await containersOf("on-host3") };
  const [file, key] = [joinPath(folder, "b.skb"), joinPath(folder, "key")];
  writeFileSync(key, "eight characters or more\n");
  const made = await two.skein(["swarm", "backup", file, "--passphrase-file", key]);
  assert.equal(made.code, 0, made.stderr);
  await createService(one, { name: "too-late", constraints: ["node.hostname==host3"] });
  await untilRunning(one, "too-late", 1);

  await one.killHost();
  for (const name of ["swarm", "manager", "agent"])
    rmSync(joinPath(one.dataDir, name), { recursive: true, force: true });
  await one.start();
  const restored = await one.skein([
    "swarm",
    "restore",
    file,
    "--key-file",
    key,
    "--advertise-addr",
    one.address,
  ]);
  assert.equal(restored.code, 0, `${restored.stderr}\n${one.logTail()}`);

  const all = await untilNodes(
    one,
    "the nodes of before are ready",
    (list) =>
      [ids.two, ids.three].every((id) =>
        list.some((node) => node.ID === id && node.Status.State === "ready"),
      ),
    40_000,
  );
  const managers = all.filter(({ ManagerStatus }) => ManagerStatus !== undefined);
  assert.deepEqual(
    managers.map(({ Description }) => Description.Hostname),
    ["host1"],
  );
  assert.deepEqual(
    { two: await containersOf("on-host2"), three: await containersOf("on-host3") },
    had,
    "tasks whose nodes came back in time went on",
  );
  assert.deepEqual(
    await tasks(one, "too-late").catch(() => []),
    [],
    "what came after the backup is not in it",
  );
  await until("its container is gone from the worker", 20_000, async () =>
    (await containers(three)).some(({ Names }) => Names.join().includes("too-late")) ? undefined : true,
  );
  await until("the other manager of before is a worker", 20_000, async () => {
    const { Swarm } = await call<{ Swarm: { ControlAvailable: boolean } }>(two, "GET", "/info");
    return Swarm.ControlAvailable ? undefined : true;
  });
  await untilRunning(one, "on-host2", 2);
});
