/**
 * Published ports as users ask for them, by skein's command and by the stock one with labels: where, for
 * whom, what a task sees; changed without restarting a task.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DockerCli, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab, type LabClient } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { must, oneRunning } from "../support/lab/lab-services.js";
import { call, formSwarm, HTTPD, IMAGE, tasks, until } from "../support/lab/lab-swarm.js";

const CLIENT = "10.99.0.101";
const REFUSED = 7; // curl's code

let lab: Lab;
let client: LabClient;

before(async () => {
  lab = await Lab.open({ hosts: 2 });
  await formSwarm(lab, { managers: 1, members: 2 });
  const [first] = lab.clients;
  assert.ok(first);
  client = first;
});

after(async () => {
  assert.deepEqual(await lab.close(), []);
});

/** @returns who the task says its client is; or curl's exit code. */
async function seenBy(host: LabHost, port: number): Promise<string | number> {
  const url = `http://${host.address}:${port}/cgi-bin/hello`;
  const { code, stdout } = await client.attempt("curl", ["-sS", "--max-time", "5", url]);
  return code === 0 ? (/^client: (.*)$/m.exec(stdout)?.[1] ?? "") : code;
}

async function untilSeen(host: LabHost, port: number, wanted: string | number): Promise<void> {
  let last: string | number = "";
  await until(
    `${wanted} at ${host.name}:${port}`,
    15_000,
    async () => {
      last = await seenBy(host, port);
      return last === wanted ? true : undefined;
    },
    () => `last ${last}`,
  );
}

test("address, allow and source of --publish and --publish-add, and no task is replaced", async () => {
  const [one, two] = [lab.host(1), lab.host(2)];
  const port = `published=8080,target=8080,address=${one.address},allow=${CLIENT}`;
  await must(one.skein(["service", "create", "--name", "web", "--publish", port, IMAGE, ...HTTPD]));
  const task = await oneRunning(one, "web");
  await untilSeen(one, 8080, CLIENT);
  assert.equal(await seenBy(two, 8080), REFUSED, "not on the other host");
  const change = async (added: string): Promise<void> => {
    await must(
      one.skein(["service", "update", "--publish-rm", "8080", "--publish-add", added, "--detach", "web"]),
    );
  };
  await change("published=8080,target=8080,allow=192.168.0.0/16");
  await untilSeen(one, 8080, REFUSED);
  await untilSeen(two, 8080, REFUSED);
  await change("published=8081,target=8080,source=snat");
  await until("the entry host's transit address", 15_000, async () =>
    /^100\.64\.\d+\.1$/.test(String(await seenBy(two, 8081))) ? true : undefined,
  );
  assert.equal(await seenBy(one, 8080), REFUSED, "the old port is closed");
  const { Spec } = await call<{ Spec: { EndpointSpec: object } }>(one, "GET", "/services/web");
  assert.deepEqual(Spec.EndpointSpec, {
    Mode: "vip",
    Ports: [
      {
        ...{ Protocol: "tcp", TargetPort: 8080, PublishedPort: 8081, PublishMode: "ingress" },
        SourceMode: "snat",
      },
    ],
  });
  assert.deepEqual(
    (await tasks(one, "web")).map(({ ID, Status }) => [ID, Status.ContainerStatus?.ContainerID]),
    [[task.ID, task.Status.ContainerStatus?.ContainerID]],
  );
});

test("the stock command asks by labels", { skip: skipWithoutDocker }, async () => {
  const [one, two] = [lab.host(1), lab.host(2)];
  const docker = new DockerCli(one);
  const labels = [`skein.publish.8090.addresses=${two.address}`, "skein.publish.8090/tcp.source=keep"];
  await docker.lines(
    ...["service", "create", "--detach", "--name", "labelled", "--publish", "8090:8080"],
    ...labels.flatMap((label) => ["--label", label]),
    ...[IMAGE, ...HTTPD],
  );
  await untilSeen(two, 8090, CLIENT);
  assert.equal(await seenBy(one, 8090), REFUSED);
  const label = "skein.publish.8090.source=nat";
  const words = await docker.refused("service", "update", "--label-add", label, "labelled");
  assert.match(words, /skein\.publish\.8090\.source must be one of keep, snat, proxy, got "nat"/);
});
