import assert from "node:assert/strict";
import { test } from "node:test";
import { effectiveCapabilities } from "./convert-container.js";
import { bodyPart, dependenciesIn, faultsOf, project, warningsOf } from "./convert-fixtures.js";
import { hostLine } from "./convert-values.js";
import type { ComposeDoc, ServiceDoc } from "./model.js";

/** Service, path in its body, what stands there; in a file with a version where that is said. */
type Row = readonly [ServiceDoc, string, unknown, ("3.8" | undefined)?];

function check(rows: readonly Row[]): void {
  for (const [service, path, expected, version] of rows)
    assert.deepEqual(
      bodyPart(service, path, version === undefined ? {} : { version }),
      expected,
      `${JSON.stringify(service)} ${version ?? ""}`,
    );
}

const POLICY = "TaskTemplate.RestartPolicy";

test("restart is a policy, as far as deploy says none", () => {
  check([
    [{}, POLICY, undefined],
    [{ restart: "no" }, POLICY, { Condition: "none" }],
    [{ restart: "no" }, POLICY, undefined, "3.8"],
    [{ restart: "always" }, POLICY, { Condition: "any" }],
    [{ restart: "unless-stopped" }, POLICY, { Condition: "any" }],
    [{ restart: "on-failure" }, POLICY, { Condition: "on-failure" }],
    [{ restart: "on-failure:3" }, POLICY, { Condition: "on-failure", MaxAttempts: 3 }],
    [{ restart: "on-failure:0" }, POLICY, { Condition: "on-failure" }],
    [{ restart: "always", deploy: { restart_policy: { condition: "none" } } }, POLICY, { Condition: "none" }],
    [{ restart: "always", deploy: { mode: "replicated-job" } }, POLICY, { Condition: "on-failure" }],
    [{ restart: "always", deploy: { mode: "replicated-job" } }, POLICY, { Condition: "any" }, "3.8"],
  ]);
});

test("the mode tells replicas and jobs apart", () => {
  check([
    [{}, "Mode", { Replicated: { Replicas: 1 } }],
    [{ scale: 3 }, "Mode", { Replicated: { Replicas: 3 } }],
    [{ deploy: { replicas: 0 } }, "Mode", { Replicated: { Replicas: 0 } }],
    [{ deploy: { mode: "global" } }, "Mode", { Global: {} }],
    [{ deploy: { mode: "global-job" } }, "Mode", { GlobalJob: {} }],
    [
      { deploy: { mode: "replicated-job", replicas: 4 } },
      "Mode",
      { ReplicatedJob: { MaxConcurrent: 4, TotalCompletions: 4 } },
    ],
  ]);
  assert.deepEqual(faultsOf(project({ web: { image: "i", scale: 2, deploy: { replicas: 3 } } })), [
    "services.web.scale: says something else than deploy.replicas: leave one of them out",
  ]);
});

test("limits of the service count where deploy.resources says nothing", () => {
  const resources = "TaskTemplate.Resources";
  check([
    [{ mem_limit: "64m" }, resources, { Limits: { MemoryBytes: 67_108_864 } }],
    [{ mem_limit: 0, pids_limit: -1, cpus: 0 }, resources, undefined],
    [{ cpus: "1.5", pids_limit: 7 }, resources, { Limits: { NanoCPUs: 1.5e9, Pids: 7 } }],
    [{ mem_reservation: 1024 }, resources, { Reservations: { MemoryBytes: 1024 } }],
    [
      { mem_limit: "1k", deploy: { resources: { limits: { memory: 1024, cpus: "2" } } } },
      resources,
      { Limits: { NanoCPUs: 2e9, MemoryBytes: 1024 } },
    ],
    [{ mem_limit: "1g", memswap_limit: "3g" }, `${resources}.SwapBytes`, 2 * 1024 ** 3],
    [{ mem_limit: "1g", memswap_limit: "1g" }, `${resources}.SwapBytes`, 0],
    [{ mem_limit: "1g", memswap_limit: -1 }, `${resources}.SwapBytes`, -1],
    [{ mem_limit: "1g", memswap_limit: 0 }, `${resources}.SwapBytes`, undefined],
    [{ mem_swappiness: 0 }, `${resources}.MemorySwappiness`, 0],
  ]);
  const differing = { mem_limit: "1g", deploy: { resources: { limits: { memory: "2g" } } } };
  assert.match(
    faultsOf(project({ web: { image: "i", ...differing } })).join(),
    /mem_limit: says something else/,
  );
});

test("what is asked of the node has the names of HostConfig", () => {
  const host = "TaskTemplate.ContainerSpec.HostConfig";
  check([
    [{ cpu_period: "20ms", cpu_quota: 5000 }, host, { CpuPeriod: 20_000, CpuQuota: 5000 }],
    [{ tmpfs: ["/a", "/b:size=1m,mode=700"] }, host, { Tmpfs: { "/a": "", "/b": "size=1m,mode=700" } }],
    [{ cgroupns_mode: "host" }, host, { CgroupnsMode: "host" }],
    [{ pull_policy: "if_not_present" }, host, { PullPolicy: "missing" }],
    [{ pull_policy: "refresh", pull_refresh_after: "1h" }, host, { PullPolicy: "every_1h" }],
    [{ pull_policy: "build" }, host, undefined],
    [{ privileged: false, init: false, oom_kill_disable: false }, host, undefined],
    [{ gpus: [{ count: "all" }] }, host, { DeviceRequests: [{ Count: -1, Capabilities: [["gpu"]] }] }],
    [{ privileged: true, devices: [{ source: "/dev/a" }] }, host, undefined, "3.8"],
    [
      { networks: { default: { mac_address: "02:00:00:00:00:01" } } },
      host,
      { MacAddress: "02:00:00:00:00:01" },
    ],
  ]);
});

test("CDI devices are a label, behind what the label says already", () => {
  const service: ServiceDoc = {
    devices: [{ source: "vendor.com/gpu=0" }, { source: "/dev/a" }],
    gpus: [{ driver: "cdi", device_ids: ["vendor.com/gpu=1"] }],
    deploy: { labels: { "skein.devices": "vendor.com/nic=0, vendor.com/gpu=0" } },
  };
  const labels = bodyPart(service, "Labels") as Readonly<Record<string, string>>;
  assert.equal(labels["skein.devices"], "vendor.com/nic=0,vendor.com/gpu=0,vendor.com/gpu=1");
});

test("a platform is asked for in the placement", () => {
  const platforms = "TaskTemplate.Placement.Platforms";
  check([
    [{ platform: "linux/arm64/v8" }, platforms, [{ OS: "linux", Architecture: "arm64" }]],
    [{ platform: "amd64" }, platforms, [{ OS: "linux", Architecture: "amd64" }]],
  ]);
});

test("capabilities: adding wins, ALL stands for all of its list", () => {
  for (const [add, drop, expected] of [
    [["b", "CAP_A", "b"], [], { add: ["CAP_A", "CAP_B"], drop: [] }],
    [["a"], ["A", "c"], { add: ["CAP_A"], drop: ["CAP_C"] }],
    [["all", "a"], ["ALL", "b"], { add: ["ALL"], drop: [] }],
    [["a"], ["all", "a"], { add: ["CAP_A"], drop: ["ALL"] }],
  ] as const)
    assert.deepEqual(effectiveCapabilities(add, drop), expected);
});

test("hosts become lines of /etc/hosts", () => {
  for (const [entry, line] of [
    ["a:10.0.0.1", "10.0.0.1 a"],
    ["a=10.0.0.1", "10.0.0.1 a"],
    ["v6:::1", "::1 v6"],
    ["v6:[::1]", "::1 v6"],
    ["host.docker.internal:host-gateway", "host-gateway host.docker.internal"],
  ] as const)
    assert.equal(hostLine(entry), line);
});

test("dependencies have conditions, and must not go in a circle", () => {
  const doc = project({
    web: {
      image: "i",
      links: ["cache", "db:database"],
      depends_on: {
        db: { condition: "service_healthy", restart: true },
        old: { condition: "service_started", required: false },
      },
    },
    db: { image: "i", depends_on: { cache: { condition: "service_started" } } },
    cache: { image: "i" },
  });
  assert.deepEqual(dependenciesIn(doc, "web"), [
    { Service: "cache", Condition: "started" },
    { Service: "db", Condition: "healthy", Restart: true },
    { Service: "old", Condition: "started", Required: false },
  ]);
  const service = (depends: string): ServiceDoc => ({
    image: "i",
    depends_on: { [depends]: { condition: "service_started" } },
  });
  assert.deepEqual(
    faultsOf(project({ a: service("b"), b: service("c"), c: service("a"), d: service("a") })),
    ["services.a.depends_on: goes in a circle: a, b, c, a"],
  );
  assert.match(
    faultsOf(project({ a: service("absent") })).join(),
    /"absent" is not declared, or its profile/,
  );
});

test("a service whose completion is awaited is a job, unless it is told to be something else", () => {
  const waiting: ServiceDoc = {
    image: "i",
    depends_on: { web: { condition: "service_completed_successfully" } },
  };
  const others = { waiting };
  assert.deepEqual(bodyPart({}, "Mode", { others }), {
    ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 },
  });
  assert.deepEqual(bodyPart({}, POLICY, { others }), { Condition: "none" });
  const once: ServiceDoc = { deploy: { mode: "replicated", restart_policy: { condition: "none" } } };
  assert.deepEqual(bodyPart(once, "Mode", { others }), { Replicated: { Replicas: 1 } });
  const forever: ComposeDoc = project({ web: { image: "i", deploy: { mode: "replicated" } }, waiting });
  assert.deepEqual(faultsOf(forever), [
    'services.waiting.depends_on.web: service "web" never ends: its mode is no job\'s, and it is restarted',
  ]);
});

test("what another container has cannot be had; a bridge is the stack's own network", () => {
  for (const mode of ["service:db", "container:x"])
    assert.match(faultsOf(project({ web: { image: "i", network_mode: mode } })).join(), /shares its network/);
  assert.match(
    faultsOf(project({ web: { image: "i", network_mode: "mine" } })).join(),
    /must be host, none or bridge/,
  );
  for (const Target of ["host", "none"])
    assert.deepEqual(bodyPart({ network_mode: Target }, "TaskTemplate.Networks"), [{ Target }]);
  assert.deepEqual(bodyPart({ network_mode: "bridge" }, "TaskTemplate.Networks"), [
    { Target: "s_default", Aliases: ["web"] },
  ]);
  assert.equal(warningsOf(project({ web: { image: "i", network_mode: "bridge" } })).length, 1);
});

test("ports that differ by their address are one; a range for one target is refused", () => {
  const port = { target: 80, published: 8080 };
  check([
    [
      {
        ports: [
          { ...port, host_ip: "10.0.0.1" },
          { ...port, host_ip: "::1" },
        ],
      },
      "EndpointSpec.Ports.0.HostAddresses",
      ["10.0.0.1", "::1"],
    ],
    [
      { ports: [{ ...port, host_ip: "10.0.0.1" }, port] },
      "EndpointSpec.Ports",
      [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" }],
    ],
    [{ ports: [{ ...port, host_ip: "0.0.0.0" }] }, "EndpointSpec.Ports.0.HostAddresses", undefined],
    [{ ports: [{ ...port, host_ip: "10.0.0.1" }] }, "EndpointSpec.Ports.0.HostAddresses", undefined, "3.8"],
  ]);
  const range = project({ web: { image: "i", ports: [{ target: 80, published: "8000-8010" }] } });
  assert.match(faultsOf(range).join(), /ports\[0\]\.published: must be one port/);
});
