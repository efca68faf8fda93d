import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type StackObjects, stackObjects } from "./convert-fixtures.js";
import { loadProject } from "./load-project.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const EXAMPLE = resolve(HERE, HERE.includes("/dist/") ? "../../.." : "../..", "examples/hello/compose.yml");
const STACK = { "com.docker.stack.namespace": "hello" };

async function convert(text: string): Promise<StackObjects> {
  const project = await loadProject([{ name: "compose.yml", text }], {
    folder: "/project",
    home: "/root",
    variables: {},
    readText: async () => "",
    readOptional: async () => undefined,
  });
  return stackObjects("hello", project.doc);
}

test("examples/hello becomes one network, one secret, one config and two services", async () => {
  const objects = await convert(readFileSync(EXAMPLE, "utf8"));
  assert.deepEqual(objects.networks, [
    { name: "hello_front", external: false, body: { Name: "hello_front", Driver: "overlay", Labels: STACK } },
  ]);
  assert.deepEqual(objects.secrets, [
    {
      name: "hello_password",
      external: false,
      body: { Name: "hello_password", Labels: STACK },
      source: { kind: "file", value: "/project/password.txt" },
    },
  ]);
  assert.deepEqual(
    objects.configs.map(({ name }) => name),
    ["hello_motto"],
  );
  assert.deepEqual(objects.services, [
    {
      Name: "hello_web",
      Labels: { ...STACK, "com.docker.stack.image": "skein-hello:latest" },
      TaskTemplate: {
        ContainerSpec: {
          Image: "skein-hello:latest",
          Labels: STACK,
          Args: ["httpd", "-f", "-v", "-p", "8080", "-h", "/www"],
          Env: ["GREETER=http://greeter:8080/greeting"],
          StopGracePeriod: 1e9,
          Secrets: [
            { File: { Name: "password", UID: "0", GID: "0", Mode: 0o444 }, SecretName: "hello_password" },
          ],
          Configs: [
            { File: { Name: "/etc/motto", UID: "0", GID: "0", Mode: 0o444 }, ConfigName: "hello_motto" },
          ],
        },
        RestartPolicy: { Condition: "any", Delay: 5e8 },
        Networks: [{ Target: "hello_front", Aliases: ["web"] }],
      },
      Mode: { Replicated: { Replicas: 2 } },
      UpdateConfig: { Parallelism: 1, Monitor: 1e9, Order: "start-first" },
      EndpointSpec: {
        Ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: 8080, PublishMode: "ingress" }],
      },
    },
    {
      Name: "hello_greeter",
      Labels: { ...STACK, "com.docker.stack.image": "skein-hello:latest" },
      TaskTemplate: {
        ContainerSpec: {
          Image: "skein-hello:latest",
          Labels: STACK,
          Args: ["httpd", "-f", "-p", "8080", "-h", "/greeter"],
          StopGracePeriod: 1e9,
        },
        RestartPolicy: { Condition: "any", Delay: 5e8 },
        Networks: [{ Target: "hello_front", Aliases: ["greeter"] }],
      },
      Mode: { Replicated: { Replicas: 1 } },
      EndpointSpec: {},
    },
  ]);
});

test("a service without networks joins the default one, and unused networks are not made", async () => {
  const objects = await convert(
    "services: {web: {image: i}}\nnetworks: {unused: {}, default: {attachable: true}}\n",
  );
  assert.deepEqual(objects.networks, [
    {
      name: "hello_default",
      external: false,
      body: { Name: "hello_default", Driver: "overlay", Attachable: true, Labels: STACK },
    },
  ]);
});

test("names and externals are taken as they are", async () => {
  const objects = await convert(`services:
  web:
    image: i
    networks: [outer, named]
    configs: [{source: shared, target: /c}]
    volumes: ["data:/d", "kept:/k:ro", "./x:/x", "/anonymous"]
networks: {outer: {external: true}, named: {name: plain}}
configs: {shared: {external: {name: other}}}
volumes: {data: {driver: nfs, driver_opts: {o: 1.10}}, kept: {external: true}}
`);
  assert.deepEqual(
    objects.networks.map(({ name, external }) => [name, external]),
    [
      ["plain", false],
      ["outer", true],
    ],
  );
  assert.deepEqual(
    objects.configs.map(({ name, external }) => [name, external]),
    [["other", true]],
  );
  const task = objects.services[0]?.["TaskTemplate"] as {
    ContainerSpec: { Mounts: unknown[]; Configs: { ConfigName: string }[] };
  };
  assert.equal(task.ContainerSpec.Configs[0]?.ConfigName, "other");
  assert.deepEqual(task.ContainerSpec.Mounts, [
    {
      Type: "volume",
      Source: "hello_data",
      Target: "/d",
      VolumeOptions: { Labels: STACK, DriverConfig: { Name: "nfs", Options: { o: "1.10" } } },
    },
    { Type: "volume", Source: "kept", Target: "/k", ReadOnly: true },
    { Type: "bind", Source: "/project/x", Target: "/x", BindOptions: { CreateMountpoint: true } },
    { Type: "volume", Target: "/anonymous" },
  ]);
});

test("the folder of a bind mount is made, unless the file says no; with a version it must say yes", async () => {
  const made = async (head: string): Promise<unknown[]> => {
    const { services } = await convert(`${head}services:
  web:
    image: i
    volumes:
      - ./a:/a
      - {type: bind, source: ./b, target: /b}
      - {type: bind, source: ./c, target: /c, bind: {create_host_path: false}}
      - {type: bind, source: ./d, target: /d, bind: {create_host_path: true}}
`);
    const task = services[0]?.["TaskTemplate"] as {
      ContainerSpec: { Mounts: { BindOptions?: { CreateMountpoint?: boolean } }[] };
    };
    return task.ContainerSpec.Mounts.map(({ BindOptions }) => BindOptions?.CreateMountpoint);
  };
  assert.deepEqual(await made(""), [true, true, undefined, true]);
  assert.deepEqual(await made('version: "3.8"\n'), [undefined, undefined, undefined, true]);
});

test("every honoured key reaches the API's specification", async () => {
  const { services } = await convert(`services:
  job:
    image: i
    command: sh -c "echo a b"
    entrypoint: /entry
    working_dir: /w
    user: 1000
    group_add: [audio, 20]
    hostname: h
    labels: [a=b]
    init: true
    tty: true
    stdin_open: true
    read_only: true
    stop_signal: SIGINT
    stop_grace_period: 1m30s
    healthcheck: {test: "true", interval: 1s, timeout: 2s, retries: 3, start_period: 4s, start_interval: 5s}
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    sysctls: {net.core.somaxconn: 1024}
    ulimits: {nproc: 10, nofile: {soft: 1, hard: 2}}
    oom_score_adj: 5
    dns: 1.1.1.1
    dns_search: [a, b]
    dns_opt: [ndots:1]
    extra_hosts: ["db:10.0.0.1"]
    logging: {driver: local, options: {max-size: 1m}}
    networks: {default: {aliases: [x]}}
    ports: ["9000:90/udp", {target: 80, published: "8080", mode: host}]
    tmpfs: /t
    restart: on-failure:4
    deploy:
      mode: replicated-job
      replicas: 5
      endpoint_mode: dnsrr
      labels: {l: 1}
      resources:
        limits: {cpus: "0.5", memory: 64m, pids: 9}
        reservations: {memory: 32m, generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]}
      rollback_config: {parallelism: 0, failure_action: continue, max_failure_ratio: 0.5, delay: 1s}
      placement: {constraints: [node.role==worker], preferences: [{spread: node.labels.zone}], max_replicas_per_node: 1}
`);
  assert.deepEqual(services[0], {
    Name: "hello_job",
    Labels: { l: "1", ...STACK, "com.docker.stack.image": "i" },
    TaskTemplate: {
      ContainerSpec: {
        Image: "i",
        Labels: { a: "b", ...STACK },
        Command: ["/entry"],
        Args: ["sh", "-c", "echo a b"],
        Hostname: "h",
        Dir: "/w",
        User: "1000",
        Groups: ["audio", "20"],
        TTY: true,
        OpenStdin: true,
        ReadOnly: true,
        StopSignal: "SIGINT",
        StopGracePeriod: 90e9,
        Healthcheck: {
          Test: ["CMD-SHELL", "true"],
          Interval: 1e9,
          Timeout: 2e9,
          StartPeriod: 4e9,
          StartInterval: 5e9,
          Retries: 3,
        },
        Hosts: ["10.0.0.1 db"],
        DNSConfig: { Nameservers: ["1.1.1.1"], Search: ["a", "b"], Options: ["ndots:1"] },
        Init: true,
        Sysctls: { "net.core.somaxconn": "1024" },
        CapabilityAdd: ["CAP_NET_ADMIN"],
        CapabilityDrop: ["ALL"],
        Ulimits: [
          { Name: "nofile", Soft: 1, Hard: 2 },
          { Name: "nproc", Soft: 10, Hard: 10 },
        ],
        OomScoreAdj: 5,
        HostConfig: { Tmpfs: { "/t": "" } },
      },
      Resources: {
        Limits: { NanoCPUs: 5e8, MemoryBytes: 67_108_864, Pids: 9 },
        Reservations: {
          MemoryBytes: 33_554_432,
          GenericResources: [{ DiscreteResourceSpec: { Kind: "gpu", Value: 2 } }],
        },
      },
      RestartPolicy: { Condition: "on-failure", MaxAttempts: 4 },
      Placement: {
        Constraints: ["node.role==worker"],
        Preferences: [{ Spread: { SpreadDescriptor: "node.labels.zone" } }],
        MaxReplicas: 1,
      },
      Networks: [{ Target: "hello_default", Aliases: ["x", "job"] }],
      LogDriver: { Name: "local", Options: { "max-size": "1m" } },
    },
    Mode: { ReplicatedJob: { MaxConcurrent: 5, TotalCompletions: 5 } },
    RollbackConfig: { Parallelism: 0, Delay: 1e9, FailureAction: "continue", MaxFailureRatio: 0.5 },
    EndpointSpec: {
      Mode: "dnsrr",
      Ports: [
        { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "host" },
        { Protocol: "udp", TargetPort: 90, PublishedPort: 9000, PublishMode: "ingress" },
      ],
    },
  });
});
