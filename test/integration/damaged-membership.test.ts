/**
 * A node that cannot return to its swarm because its identity is damaged: it says so, erases nothing by
 * itself, and a forced leave leaves nothing of the swarm behind.
 */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import {
  call,
  containers,
  createService,
  dissolve,
  formSwarm,
  HTTPD,
  initSwarm,
  messageIn,
  networkTraces,
  until,
  untilRunning,
} from "../support/lab/lab-swarm.js";

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 1, clients: 0 });
  await formSwarm(lab, { managers: 1 });
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

interface Info {
  readonly Swarm: { readonly LocalNodeState: string; readonly Error: string };
}

test("a damaged identity is told, kept from being overwritten, and ended by a forced leave", async () => {
  const host = lab.host(1);
  await call(host, "POST", "/networks/create", { Name: "front", Driver: "overlay" });
  await createService(host, {
    name: "web",
    command: HTTPD,
    replicas: 2,
    networks: ["front"],
    ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: 8080, PublishMode: "ingress" }],
  });
  await untilRunning(host, "web", 2);
  await host.stop();
  writeFileSync(join(host.dataDir, "swarm", "identity.json"), "{");
  await host.start();

  const swarm = await until("the damage is known", 10_000, async () => {
    const { Swarm } = await call<Info>(host, "GET", "/info");
    return Swarm.LocalNodeState === "error" ? Swarm : undefined;
  });
  assert.match(swarm.Error, /identity\.json is not JSON: leave the swarm with --force/);
  for (const [path, body] of [
    ["/swarm/init", { ListenAddr: "0.0.0.0:2377", AdvertiseAddr: host.address }],
    ["/swarm/leave", undefined],
  ] as const) {
    const refusal = await host.api("POST", path, body);
    assert.equal(refusal.status, 503, path);
    assert.match(messageIn(refusal), /leave the swarm with --force/);
  }
  assert.ok(existsSync(join(host.dataDir, "manager")));
  assert.equal((await containers(host)).length, 2);

  await call(host, "POST", "/swarm/leave?force=true");
  assert.deepEqual(await containers(host), []);
  assert.deepEqual(await networkTraces(host), []);
  for (const name of ["swarm", "manager", "agent"]) assert.ok(!existsSync(join(host.dataDir, name)), name);
  assert.equal((await call<Info>(host, "GET", "/info")).Swarm.LocalNodeState, "inactive");
  await initSwarm(host);
});
