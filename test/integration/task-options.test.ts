/**
 * Tasks of services with what Docker's services have not: what they ask of their node is what they find
 * there, and nobody else gets any of it.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { HostOptionsBody } from "../../proto/host-options-api.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  containerOf,
  dissolve,
  formSwarm,
  IMAGE,
  messageIn,
  pidOf,
  removeService,
  type ServiceWish,
  serviceSpec,
  unframed,
  until,
  untilRunning,
  untilTasks,
} from "../support/lab/lab-swarm.js";

let lab: Lab;
let host: LabHost;

before(async () => {
  lab = await Lab.open({ hosts: 1, clients: 0 });
  await formSwarm(lab, { managers: 1 });
  host = lab.host(1);
  await call(host, "POST", "/networks/create", {
    Name: "net",
    Driver: "overlay",
    IPAM: { Config: [{ Subnet: "10.20.0.0/24" }] },
  });
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

interface Asked {
  readonly host?: HostOptionsBody;
  readonly container?: Readonly<Record<string, unknown>>;
  /** Of the network `net`. */
  readonly addresses?: readonly string[];
}

function bodyOf(wish: ServiceWish, { host: options, container, addresses }: Asked): Record<string, unknown> {
  const spec = serviceSpec(wish) as { TaskTemplate: { ContainerSpec: object; Networks: object[] } };
  Object.assign(spec.TaskTemplate.ContainerSpec, { ...container, HostConfig: options });
  if (addresses !== undefined) spec.TaskTemplate.Networks = [{ Target: "net", Addresses: addresses }];
  return spec as unknown as Record<string, unknown>;
}

async function create(wish: ServiceWish, asked: Asked): Promise<void> {
  await call(host, "POST", "/services/create", bodyOf(wish, asked));
}

async function exec(container: string, script: string): Promise<string> {
  const { Id } = await call<{ Id: string }>(host, "POST", `/containers/${container}/exec`, {
    Cmd: ["sh", "-c", script],
    AttachStdout: true,
    AttachStderr: true,
  });
  const { body } = await host.api("POST", `/exec/${Id}/start`, { Detach: false, Tty: false });
  return unframed(body).trim();
}

const runningContainer = async (service: string): Promise<string> => {
  const [task] = await untilRunning(host, service, 1);
  assert.ok(task);
  return containerOf(task);
};

/** Such as "ipc:[4026531839]". */
const namespaceIn = async (container: string, kind: string): Promise<string> =>
  (await exec(container, `ls -l /proc/self/ns/${kind}`)).replace(/^.* -> /, "");
const ownNamespace = (kind: string): string => readlinkSync(`/proc/self/ns/${kind}`);

const capabilities = (status: string): string => /CapEff:\s*(\w+)/.exec(status)?.[1] ?? "none";

const WIDE: HostOptionsBody = {
  Privileged: true,
  Devices: [{ PathOnHost: "/dev/null", PathInContainer: "/dev/nothing" }],
  PidMode: "host",
  IpcMode: "host",
  CpusetCpus: "0",
  Domainname: "example.org",
  MacAddress: "02:42:AC:00:00:07",
  Tmpfs: { "/scratch": "size=2m,mode=700,exec" },
  UseApiSocket: true,
  PostStart: [
    {
      Command: ["sh", "-c", 'echo "$GREETING $(pwd)" > /scratch/started'],
      Env: ["GREETING=hello"],
      WorkingDir: "/etc",
    },
  ],
  PreStop: [{ Command: ["sh", "-c", "echo stopping > /out/stopped"] }],
};

test("what a task asks of its node is what it finds; a task beside it has none of it", async () => {
  const options: HostOptionsBody = { ...WIDE, CgroupParent: `/${lab.prefix}-h1/mine` };
  const out = join(lab.dir, "out");
  const mounts = [{ Type: "bind", Source: out, Target: "/out", BindOptions: { CreateMountpoint: true } }];
  await create(
    { name: "wide" },
    { host: options, container: { Hostname: "wide", Mounts: mounts }, addresses: ["10.20.0.77"] },
  );
  await create({ name: "plain" }, { host: { ShmSize: 32 * 2 ** 20 }, addresses: [] });
  const [wide, plain] = await Promise.all([runningContainer("wide"), runningContainer("plain")]);

  const shown = await call<Inspected>(host, "GET", "/services/wide");
  assert.deepEqual(shown.Spec.TaskTemplate.ContainerSpec.HostConfig, options);

  const all = capabilities(readFileSync("/proc/self/status", "utf8"));
  assert.equal(capabilities(await exec(wide, "cat /proc/self/status")), all);
  assert.notEqual(capabilities(await exec(plain, "cat /proc/self/status")), all);
  for (const kind of ["pid", "ipc"]) {
    assert.equal(await namespaceIn(wide, kind), ownNamespace(kind));
    assert.notEqual(await namespaceIn(plain, kind), ownNamespace(kind));
  }
  assert.match(await exec(wide, "ls -l /dev/nothing"), /1, +3 .*\/dev\/nothing/);
  assert.match(await exec(plain, "ls /dev/nothing"), /No such file/);
  assert.equal(await exec(wide, "cat /proc/sys/kernel/domainname"), "example.org");
  assert.match(await exec(wide, "cat /proc/self/cgroup"), new RegExp(`/${lab.prefix}-h1/mine/`));
  assert.match(await exec(wide, "grep Cpus_allowed_list /proc/self/status"), /\t0$/);
  assert.match(await exec(wide, "ip -4 addr"), /inet 10\.20\.0\.77\/24/);
  assert.match(await exec(wide, "ip link"), /02:42:ac:00:00:07/);
  const scratch = await exec(wide, "grep ' /scratch ' /proc/mounts");
  assert.match(scratch, /size=2048k/);
  assert.match(scratch, /mode=700/);
  assert.doesNotMatch(scratch, /noexec/);
  assert.match(await exec(plain, "grep ' /dev/shm ' /proc/mounts"), /size=32768k/);
  assert.equal(await exec(wide, "cat /scratch/started"), "hello /etc");

  assert.equal(await exec(wide, "echo $DOCKER_HOST"), "unix:///run/skein/skein.sock");
  const socketPath = `/proc/${await pidOf(host, wide)}/root/run/skein/skein.sock`;
  assert.equal(await ping(socketPath), "OK");
  assert.match(await exec(plain, "ls /run/skein"), /No such file/);

  await create({ name: "rival" }, { addresses: ["10.20.0.77"] });
  const [waiting] = await untilTasks(host, "rival", "waits for its address", (list) =>
    list.some(({ Status }) => /10\.20\.0\.77/.test(`${Status.Message} ${Status.Err}`)),
  );
  assert.equal(waiting?.Status.State, "new"); // it has no address yet, and so no node

  await removeService(host, "wide");
  await until("the hook before the stop has run", 20_000, async () =>
    existsSync(join(out, "stopped")) ? true : undefined,
  );
  // what was taken is free again
  assert.match(await exec(await runningContainer("rival"), "ip -4 addr"), /inet 10\.20\.0\.77\/24/);
  await removeService(host, "rival");
});

test("Docker's own client leaves what it does not know of", async () => {
  await create({ name: "fixed" }, { host: { ShmSize: 48 * 2 ** 20 }, addresses: ["10.20.0.78"] });
  const before = await runningContainer("fixed");
  const { code, stderr } = await host.docker(["service", "update", "--quiet", "--env-add", "A=1", "fixed"]);
  assert.equal(code, 0, stderr);
  const after = await runningContainer("fixed");
  assert.notEqual(after, before);
  assert.match(await exec(after, "grep ' /dev/shm ' /proc/mounts"), /size=49152k/);
  assert.match(await exec(after, "ip -4 addr"), /inet 10\.20\.0\.78\/24/);
  await Promise.all(["fixed", "plain"].map((name) => removeService(host, name)));
});

test("the API's socket is there for a task whose daemon was started again; an image may be mounted", async () => {
  const mounts = [{ Type: "image", Source: IMAGE, Target: "/image" }];
  await create({ name: "client" }, { host: { UseApiSocket: true }, container: { Mounts: mounts } });
  const id = await runningContainer("client");
  assert.match(await exec(id, "ls /image/bin/busybox; touch /image/x 2>&1"), /busybox\n.*Read-only/);
  const pid = await pidOf(host, id);
  await host.stop();
  await host.start();
  assert.equal(await pidOf(host, id), pid);
  assert.equal(await ping(`/proc/${pid}/root/run/skein/skein.sock`), "OK");
  await removeService(host, "client");
});

test("a hook that fails fails its task, with the hook's words as the cause", async () => {
  const bad: HostOptionsBody = { PostStart: [{ Command: ["sh", "-c", "echo no luck; exit 3"] }] };
  await create({ name: "hooked", restart: "none" }, { host: bad });
  const [task] = await untilTasks(host, "hooked", "has failed", ([one]) => one?.Status.State === "failed");
  assert.match(task?.Status.Err ?? "", /post_start hook 1 \(sh\) exited with 3: no luck/);
  await removeService(host, "hooked");
});

test("a pull policy of never pulls nothing", async () => {
  await create(
    { name: "never", restart: "none", image: "registry.invalid/absent:1" },
    { host: { PullPolicy: "never" } },
  );
  const [task] = await untilTasks(host, "never", "is rejected", ([one]) => one?.Status.State === "rejected");
  assert.match(task?.Status.Err ?? "", /No such image: registry\.invalid\/absent:1.*pull policy is never/);
  await removeService(host, "never");
});

test("what cannot be is refused by field and rule; what is not known is named", async () => {
  const refused = async (options: HostOptionsBody): Promise<string> => {
    const answer = await host.api("POST", "/services/create", bodyOf({ name: "no" }, { host: options }));
    assert.ok(answer.status >= 400, answer.body);
    return messageIn(answer);
  };
  assert.match(await refused({ IpcMode: "container:db" }), /HostConfig\.IpcMode "container:db" is for plain/);
  assert.match(await refused({ StorageOpt: { size: "1g" } }), /HostConfig\.StorageOpt size is not supported/);
  assert.match(await refused({ PullPolicy: "hourly" }), /HostConfig\.PullPolicy must be always/);
  const odd = { Memory: 5, Privileged: false } as HostOptionsBody;
  const made = await call<{ Warnings?: readonly string[] }>(
    host,
    "POST",
    "/services/create",
    bodyOf({ name: "odd", replicas: 0 }, { host: odd }),
  );
  assert.match(made.Warnings?.join() ?? "", /HostConfig\.Memory/);
  await removeService(host, "odd");
});

interface Inspected {
  readonly Spec: {
    readonly TaskTemplate: { readonly ContainerSpec: { readonly HostConfig: HostOptionsBody } };
  };
}

function ping(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: "/_ping" }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      answer.once("end", () => resolve(text));
    });
    asked.once("error", reject).end();
  });
}
