/**
 * Nodes drained, services updated and scaled in under load: no request fails, though the servers end at once
 * when they are told to. Connections are short and new, through the mesh of every host and by virtual
 * address.
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
  nodeOf,
  pidOf,
  type SwarmTask,
  serviceSpec,
  tasks,
  until,
  untilNodes,
  untilRunning,
} from "../support/lab/lab-swarm.js";
import { RequestLoad } from "../support/lab/request-load.js";
import type { LoadResult } from "../support/lab/request-load-main.js";

/** Ends at once when told to, whatever it is doing: httpd alone, as first process, would not heed the signal. */
const RUDE_HTTPD = ["sh", "-c", "trap 'kill $!; exit 0' TERM; httpd -f -p 8080 -h /www & wait"];
const SERVICES = [
  { name: "one", replicas: 1, port: 8101 },
  { name: "three", replicas: 3, port: 8103 },
] as const;
/** Of each of the two clients. */
const PER_SECOND = 200;

let lab: Lab;
let host: LabHost;
let loads: RequestLoad[] = [];

before(async () => {
  lab = await Lab.open({ hosts: 3 });
  host = lab.host(1);
  await formSwarm(lab, { managers: 2 }); // host3 is a worker
  const Name = "front";
  const { Id } = await call<{ Id: string }>(host, "POST", "/networks/create", { Name, Driver: "overlay" });
  for (const { name, replicas, port } of SERVICES) {
    const ports = [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: port, PublishMode: "ingress" }];
    const spec = serviceSpec({ name, replicas, command: RUDE_HTTPD, networks: [Id], ports });
    await call(host, "POST", "/services/create", withHealth(spec));
    await untilRunning(host, name, replicas);
  }
  const constraints = ["node.hostname==host1"];
  await createService(host, { name: "client", networks: [Id], constraints });
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

/** Start-first, and ready only when it answers. */
function withHealth(spec: Record<string, unknown>): Record<string, unknown> {
  const template = spec["TaskTemplate"] as { ContainerSpec: object }; // as serviceSpec makes it
  const Test = ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"];
  const Healthcheck = { Test, Interval: 500e6, Timeout: 5e9, Retries: 10 };
  const UpdateConfig = { Parallelism: 1, Order: "start-first", Monitor: 1_000_000, FailureAction: "pause" };
  return {
    ...spec,
    TaskTemplate: { ...template, ContainerSpec: { ...template.ContainerSpec, Healthcheck } },
    UpdateConfig,
  };
}

async function underLoad(body: () => Promise<void>): Promise<void> {
  const ports = SERVICES.map(({ port }) => port);
  const mesh = lab.hosts.flatMap(({ address }) => ports.map((port) => `http://${address}:${port}/`));
  const [client] = lab.clients;
  assert.ok(client);
  const [task] = await untilRunning(host, "client", 1);
  assert.ok(task);
  const pid = await pidOf(host, task.Status.ContainerStatus?.ContainerID ?? "");
  const virtual = await Promise.all(
    SERVICES.map(async ({ name }) => `http://${await virtualIp(name)}:8080/`),
  );
  loads = [
    new RequestLoad(`--net=/run/netns/${client.netns}`, { perSecond: PER_SECOND, urls: mesh }),
    new RequestLoad(`--net=/proc/${pid}/ns/net`, { perSecond: PER_SECOND, urls: virtual }),
  ];
  let results: LoadResult[] = [];
  try {
    await Promise.all(loads.map((load) => load.begun));
    await body();
    await new Promise((wake) => setTimeout(wake, 300)); // what the last change broke shows here
  } finally {
    results = await Promise.all(loads.map((load) => load.stop()));
  }
  const told = results.map(({ sent, failed, slowestMs }) => `${failed} of ${sent}, slowest ${slowestMs} ms`);
  process.stdout.write(`# failed: mesh ${told[0]}; virtual address ${told[1]}\n`);
  assert.deepEqual(
    results.flatMap(({ failures }) => failures),
    [],
  );
  for (const { sent, failed } of results) assert.ok(sent > 100 && failed === 0, `${failed} of ${sent}`);
}

async function virtualIp(service: string): Promise<string> {
  const { Endpoint } = await call<{ Endpoint: { VirtualIPs: { Addr: string }[] } }>(
    host,
    "GET",
    `/services/${service}`,
  );
  return Endpoint.VirtualIPs[0]?.Addr.split("/")[0] ?? "";
}

async function change(service: string, edit: (spec: Record<string, unknown>) => object): Promise<void> {
  const path = `/services/${service}`;
  const { Version, Spec } = await call<{ Version: { Index: number }; Spec: Record<string, unknown> }>(
    host,
    "GET",
    path,
  );
  await call(host, "POST", `${path}/update?version=${Version.Index}`, { ...Spec, ...edit(Spec) });
}

async function setAvailability(target: LabHost, Availability: string): Promise<string> {
  const { ID, Version, Spec } = await nodeOf(target, host);
  await call(host, "POST", `/nodes/${ID}/update?version=${Version.Index}`, { ...Spec, Availability });
  await untilNodes(
    host,
    `${target.name} is ${Availability}`,
    (all) => all.find((node) => node.ID === ID)?.Spec.Availability === Availability,
  );
  return ID;
}

const isOver = ({ Status }: SwarmTask): boolean =>
  ["shutdown", "complete", "failed", "rejected", "remove"].includes(Status.State);

async function settled(wrong: (task: SwarmTask) => boolean): Promise<void> {
  for (const { name, replicas } of SERVICES) {
    await until(`${name} has settled`, 30_000, async () => {
      const all = await tasks(host, name);
      const up = all.filter((task) => task.DesiredState === "running" && task.Status.State === "running");
      const left = all.filter((task) => task.DesiredState !== "running" && !isOver(task));
      return up.length === replicas && left.length === 0 && !up.some(wrong) ? true : undefined;
    });
  }
}

async function drain(target: LabHost): Promise<void> {
  const nodeId = await setAvailability(target, "drain");
  await settled(({ NodeID }) => NodeID === nodeId);
}

/** The host that serves `one`; host2 when that is host1, where the client is. */
async function serving(): Promise<LabHost> {
  const [task] = await untilRunning(host, "one", 1);
  for (const each of lab.hosts.slice(1)) if ((await nodeOf(each, host)).ID === task?.NodeID) return each;
  return lab.host(2);
}

test("a drained node loses no request: neither of one replica nor of three", async () => {
  await underLoad(async () => {
    for (let round = 0; round < 6; round += 1) {
      const target = await serving();
      await drain(target);
      await setAvailability(target, "active");
    }
  });
});

test("a node that takes its time is waited for", async () => {
  await underLoad(async () => {
    for (const slow of [lab.host(2), lab.host(3)]) {
      const pid = slow.daemonPid;
      assert.ok(pid);
      process.kill(pid, "SIGSTOP"); // what it told its kernel stays: it goes on sending to all three
      try {
        await change("three", () => ({ Mode: { Replicated: { Replicas: 1 } } }));
        await new Promise((wake) => setTimeout(wake, 800));
      } finally {
        process.kill(pid, "SIGCONT");
      }
      await replicas(1);
      await change("three", () => ({ Mode: { Replicated: { Replicas: 3 } } }));
      await replicas(3);
    }
  });
});

/** Of `three`; and none else is left. */
async function replicas(count: number): Promise<void> {
  await until(`three has ${count}`, 30_000, async () => {
    const all = await tasks(host, "three");
    const up = all.filter((task) => task.DesiredState === "running" && task.Status.State === "running");
    const left = all.filter((task) => task.DesiredState !== "running" && !isOver(task));
    return up.length === count && left.length === 0 ? true : undefined;
  });
}

test("a rolling update, start-first, loses no request", async () => {
  await underLoad(async () => {
    for (const { name } of SERVICES) {
      await change(name, (spec) => {
        const template = spec["TaskTemplate"] as { ForceUpdate?: number };
        return { TaskTemplate: { ...template, ForceUpdate: (template.ForceUpdate ?? 0) + 1 } };
      });
    }
    for (const { name } of SERVICES) {
      await until(`${name} is updated`, 40_000, async () => {
        const path = `/services/${name}`;
        const { UpdateStatus } = await call<{ UpdateStatus?: { State: string } }>(host, "GET", path);
        return UpdateStatus?.State === "completed" ? true : undefined;
      });
    }
    await settled(() => false);
  });
});

test("scaling in and out loses no request", async () => {
  await underLoad(async () => {
    for (const count of [1, 3, 1, 3, 1, 3]) {
      await change("three", () => ({ Mode: { Replicated: { Replicas: count } } }));
      await replicas(count);
    }
  });
});
