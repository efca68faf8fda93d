import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { NodeFacts } from "../../proto/dispatch/task-placeholders.js";
import { Secret, Task } from "../../proto/gen/skein/v1/objects.js";
import type { ContainerSpecification } from "../containers/container-manager.js";
import { TaskFailureError } from "./failure-cause.js";
import { parseRegistryAuth } from "./registry-auth.js";
import { containerSpecification, LOG_FILES_MAX, LOG_SIZE_BYTES_MAX } from "./task-specification.js";
import { expandTemplate } from "./task-template.js";

const NODE: NodeFacts = { id: "n1", hostname: "alpha", os: "linux", architecture: "amd64" };
type ContainerPart = NonNullable<NonNullable<Parameters<typeof Task.fromPartial>[0]["spec"]>["container"]>;

function specify(
  container: ContainerPart,
  rest: Parameters<typeof Task.fromPartial>[0] = {},
): ContainerSpecification {
  const task = Task.fromPartial({
    id: "abcdefghijklmnopqrstuvwxy",
    nodeId: "n1",
    serviceId: "s1",
    slot: 2,
    serviceAnnotations: { name: "web", labels: { tier: "front", "a.b": "c" } },
    ...rest,
    spec: { ...rest.spec, container: { image: "app:1", ...container } },
  });
  const secret = Secret.fromPartial({ id: "sec", data: Buffer.from("x") });
  return containerSpecification({
    task,
    node: NODE,
    network: { kind: "none" },
    dependencies: { secret: (id) => (id === "sec@1" ? secret : undefined), config: () => undefined },
    apiSocketDir: "/run/skein/api",
  });
}

test("name, labels and host name of a task's container", () => {
  const made = specify({ labels: { mine: "1" } });
  assert.equal(made.name, "web.2.abcdefghijklmnopqrstuvwxy");
  assert.equal(made.hostname, "abcdefghijkl");
  assert.deepEqual(made.labels, {
    mine: "1",
    "com.docker.swarm.node.id": "n1",
    "com.docker.swarm.service.id": "s1",
    "com.docker.swarm.service.name": "web",
    "com.docker.swarm.task": "",
    "com.docker.swarm.task.id": "abcdefghijklmnopqrstuvwxy",
    "com.docker.swarm.task.name": made.name,
  });
  assert.equal(specify({}, { slot: 0 }).name, "web.n1.abcdefghijklmnopqrstuvwxy");
});

test("placeholders are filled in, and unknown ones refused by name", () => {
  const task = Task.fromPartial({
    id: "t",
    nodeId: "n1",
    serviceId: "s",
    slot: 3,
    serviceAnnotations: { name: "w", labels: { tier: "f", "a.b": "c" } },
  });
  const expand = (text: string): string => expandTemplate(text, task, NODE);
  assert.equal(expand("{{.Service.Name}}-{{ .Task.Slot }}.{{.Node.Hostname}}"), "w-3.alpha");
  assert.equal(expand("{{.Service.ID}} {{.Task.ID}} {{.Task.Name}} {{.Node.ID}}"), "s t w.3.t n1");
  assert.equal(
    expand('{{.Service.Labels.tier}}{{index .Service.Labels "a.b"}}{{.Node.Platform.OS}}'),
    "fclinux",
  );
  assert.equal(expand("plain $x {y}"), "plain $x {y}");
  assert.throws(() => expand("{{.Service.Color}}"), /unknown placeholder \{\{\.Service\.Color\}\}/);
  assert.throws(() => expand('{{env "X"}}'), InvalidArgumentError);
});

test("mounts of each kind, and a refusal by name", () => {
  const made = specify({
    mounts: [
      { type: "bind", source: "/srv/{{.Task.Slot}}", target: "/a", readOnly: true },
      { type: "volume", source: "data-{{.Task.Slot}}", target: "/b", volumeOptions: { noCopy: true } },
      { type: "tmpfs", target: "/c", tmpfsOptions: { sizeBytes: 1024 } },
    ],
  });
  assert.deepEqual(
    made.mounts.map((mount) => [
      mount.kind,
      mount.target,
      mount.kind === "tmpfs"
        ? mount.sizeBytes
        : mount.kind === "bind"
          ? mount.source
          : mount.kind === "volume"
            ? mount.name
            : mount.image,
    ]),
    [
      ["bind", "/a", "/srv/2"],
      ["volume", "/b", "data-2"],
      ["tmpfs", "/c", 1024],
    ],
  );
  assert.throws(
    () => specify({ mounts: [{ type: "cluster", source: "x", target: "/d" }] }),
    /mount \/d: type cluster is not supported/,
  );
});

test("logs are bounded unless the service says how, and unknown drivers refused", () => {
  assert.deepEqual(specify({}).log, {
    driver: "",
    maxSizeBytes: LOG_SIZE_BYTES_MAX,
    maxFiles: LOG_FILES_MAX,
  });
  const options = { "max-size": "10k", "max-file": "5" };
  const own = { spec: { logDriver: { name: "json-file", options } } };
  assert.deepEqual(specify({}, own).log, { driver: "", maxSizeBytes: 10_240, maxFiles: 5, options });
  assert.throws(
    () => specify({}, { spec: { logDriver: { name: "gelf" } } }),
    /log driver gelf is not supported/,
  );
});

test("generic resources that were assigned are told to the container", () => {
  const assignedGenericResources = [
    { kind: "GPU", value: { $case: "named", value: "a" } },
    { kind: "GPU", value: { $case: "named", value: "b" } },
    { kind: "ssd", value: { $case: "discrete", value: 2 } },
  ] as const;
  const { env } = specify({ env: ["A=b"] }, { assignedGenericResources });
  assert.deepEqual(env, ["A=b", "DOCKER_RESOURCE_GPU=a,b", "DOCKER_RESOURCE_SSD=2"]);
});

test("limits, health check and stop settings", () => {
  const made = specify(
    {
      stopGracePeriodMs: 0,
      stopSignal: "SIGINT",
      healthcheck: { test: ["CMD", "x"], retries: 2 },
      privileges: { seccompMode: "unconfined", noNewPrivileges: true },
    },
    { spec: { resources: { limits: { memoryBytes: 5, nanoCpus: 7 }, limitPids: 9 } } },
  );
  assert.deepEqual(made.resources, { memoryBytes: 5, swapBytes: undefined, nanoCpus: 7, pidsLimit: 9 });
  const swaps = [16, -1, 0].map(
    (swapBytes) =>
      specify({}, { spec: { resources: { limits: { memoryBytes: 32 }, swapBytes } } }).resources.swapBytes,
  );
  assert.deepEqual(swaps, [48, -1, 0]);
  assert.equal(made.stopGracePeriodMs, 0);
  assert.equal(made.healthcheck?.retries, 2);
  assert.deepEqual([made.seccomp.kind, made.noNewPrivileges], ["unconfined", true]);
  assert.equal(specify({}).stopGracePeriodMs, 10_000);
  assert.equal(specify({ healthcheck: {} }).healthcheck, undefined);
});

test("a secret that is not there is named, without the others' data", () => {
  const secrets = [{ secretId: "nope", secretName: "key", file: { name: "/etc/key" } }];
  assert.throws(
    () => specify({ secrets }),
    (error) =>
      error instanceof TaskFailureError &&
      error.failureCause === "secret-missing" &&
      /secret key/.test(error.message),
  );
  const absolute = specify({ secrets: [{ secretId: "sec", secretName: "key", file: { name: "/etc/key" } }] });
  assert.equal(absolute.files[0]?.target, "/etc/key");
});

test("registry credentials are read in any spelling, and never shown", () => {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64");
  assert.deepEqual(parseRegistryAuth(encode({ Username: "a", password: "b", serveraddress: "r" })), {
    username: "a",
    password: "b",
    serverAddress: "r",
  });
  assert.equal(parseRegistryAuth(encode({})), undefined);
  assert.equal(parseRegistryAuth(""), undefined);
  assert.throws(
    () => parseRegistryAuth("c2VjcmV0"),
    (error) => error instanceof InvalidArgumentError && !error.message.includes("secret"),
  );
});

test("a task that asks its node for nothing gets the engine's defaults in all", () => {
  const made = specify({});
  assert.equal(made.isolation, undefined);
  assert.equal(made.domainname, undefined);
  assert.deepEqual(Object.keys(made.resources).sort(), ["memoryBytes", "nanoCpus", "pidsLimit", "swapBytes"]);
  assert.deepEqual([made.mounts, made.env], [[], []]);
});

test("what a task asks of its node is given in the engine's words", () => {
  const made = specify({
    devices: ["vendor.com/gpu=0"],
    env: ["DOCKER_HOST=tcp://elsewhere"],
    privileges: { noNewPrivileges: true, apparmorMode: "disabled" },
    host: {
      privileged: true,
      devices: [{ pathOnHost: "/dev/null" }],
      deviceCgroupRules: ["c 1:3 r"],
      deviceRequests: [{ count: -1, capabilities: ["gpu"] }],
      cgroupParent: "/mine",
      cgroupnsMode: "host",
      ipcMode: "host",
      pidMode: "host",
      shmSizeBytes: 1 << 27,
      securityOpts: ["seccomp=unconfined", "no-new-privileges=false", "label=disable"],
      cpusetCpus: "0",
      cpuShares: 512,
      cpuQuotaUs: 50_000,
      oomKillDisable: true,
      blkio: { weight: 300, deviceReadBps: [{ path: "/dev/sda", value: 5 }] },
      runtime: "runc",
      domainname: "example.org",
      annotations: { a: "b" },
      tmpfs: ["/run:size=1m,mode=700", "/tmp"],
      useApiSocket: true,
    },
  });
  assert.deepEqual(made.isolation, {
    privileged: true,
    devices: [{ pathOnHost: "/dev/null", pathInContainer: "/dev/null", permissions: "rwm" }],
    deviceCgroupRules: ["c 1:3 r"],
    cgroupParent: "/mine",
    cgroupnsMode: "host",
    ipcMode: "host",
    pidMode: "host",
    shmSizeBytes: 1 << 27,
    runtime: "runc",
    annotations: { a: "b" },
    apparmorProfile: "unconfined",
    selinuxLabels: ["disable"],
    deviceRequests: [
      { driver: "", count: -1, deviceIds: [], capabilities: [["gpu"]], options: {} },
      { driver: "cdi", count: 0, deviceIds: ["vendor.com/gpu=0"], capabilities: [], options: {} },
    ],
  });
  assert.deepEqual(
    [made.noNewPrivileges, made.seccomp.kind, made.domainname],
    [false, "unconfined", "example.org"],
  );
  const { cpusetCpus, cpuShares, cpuQuota, oomKillDisable, blkioWeight, blkioReadBps } = made.resources;
  assert.deepEqual(
    [cpusetCpus, cpuShares, cpuQuota, oomKillDisable, blkioWeight, blkioReadBps],
    ["0", 512, 50_000, true, 300, [{ path: "/dev/sda", rate: 5 }]],
  );
  assert.deepEqual(
    made.mounts.map(({ kind, target }) => `${kind} ${target}`),
    ["tmpfs /run", "tmpfs /tmp", "bind /run/skein"],
  );
  assert.deepEqual(made.env, ["DOCKER_HOST=tcp://elsewhere"]);
  assert.deepEqual(specify({ host: { useApiSocket: true } }).env, [
    "DOCKER_HOST=unix:///run/skein/skein.sock",
  ]);
});

test("the node's host name is the task's with the node's UTS namespace; a MAC address needs a network", () => {
  assert.equal(specify({ host: { utsMode: "host" } }).hostname, "");
  assert.throws(
    () =>
      specify({ host: { macAddress: "02:42:0a:00:00:05" } }, { spec: { networks: [{ target: "host" }] } }),
    /a MAC address needs a network of the task's own, not host/,
  );
});

test("on its node's network a task has the node's host name, and hosts and resolvers of its service", () => {
  const networks = [{ target: "host" }];
  const made = specify(
    { hosts: ["10.0.0.9 db store"], dnsConfig: { nameservers: ["10.0.0.53"], search: [], options: [] } },
    { spec: { networks } },
  );
  assert.equal(made.hostname, NODE.hostname);
  assert.deepEqual(made.networking?.extraHosts, ["db:10.0.0.9", "store:10.0.0.9"]);
  assert.deepEqual(made.networking?.dns, ["10.0.0.53"]);
  assert.equal(specify({ hostname: "mine" }, { spec: { networks } }).hostname, "mine");
});
