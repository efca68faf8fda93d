import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { Fields } from "./fields.js";
import { serviceSpecOut } from "./service-out.js";
import { serviceSpecIn } from "./service-spec-in.js";
import type { JsonObject } from "./shape.js";

const roundTrip = (json: JsonObject): JsonObject =>
  serviceSpecOut(serviceSpecIn(Fields.of(JSON.parse(JSON.stringify(json)))));

const FULL: JsonObject = {
  Name: "web",
  Labels: { tier: "front" },
  TaskTemplate: {
    ContainerSpec: {
      Image: "web:1",
      Labels: { a: "b" },
      Command: ["/entry"],
      Args: ["serve"],
      Hostname: "{{.Node.Hostname}}",
      Env: ["A=1"],
      Dir: "/srv",
      User: "web",
      Groups: ["extra"],
      Privileges: { CredentialSpec: null, SELinuxContext: null, NoNewPrivileges: true },
      TTY: true,
      ReadOnly: true,
      Mounts: [
        { Type: "bind", Source: "/a", Target: "/b", ReadOnly: true, BindOptions: { Propagation: "rslave" } },
        {
          Type: "volume",
          Source: "v",
          Target: "/v",
          VolumeOptions: { NoCopy: true, DriverConfig: { Name: "local" } },
        },
        { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 65536, Mode: 511 } },
      ],
      StopSignal: "SIGINT",
      StopGracePeriod: 15_000_000_000,
      Healthcheck: { Test: ["CMD-SHELL", "true"], Interval: 1_000_000_000, Retries: 3 },
      Hosts: ["10.0.0.1 db"],
      DNSConfig: { Nameservers: ["10.0.0.53"], Search: ["lan"], Options: ["ndots:1"] },
      Secrets: [{ File: { Name: "s", UID: "0", GID: "0", Mode: 292 }, SecretID: "x", SecretName: "s" }],
      Configs: [{ File: { Name: "/c", UID: "1", GID: "1", Mode: 288 }, ConfigID: "y", ConfigName: "c" }],
      OomScoreAdj: 100,
      Isolation: "default",
      Init: false,
      Sysctls: { "net.core.somaxconn": "1024" },
      CapabilityAdd: ["CAP_NET_RAW"],
      CapabilityDrop: ["ALL"],
      Ulimits: [{ Name: "nofile", Soft: 1024, Hard: 2048 }],
    },
    Resources: {
      Limits: { NanoCPUs: 500_000_000, MemoryBytes: 67_108_864, Pids: 100 },
      Reservations: {
        MemoryBytes: 33_554_432,
        GenericResources: [{ DiscreteResourceSpec: { Kind: "gpu", Value: 1 } }],
      },
    },
    RestartPolicy: { Condition: "on-failure", Delay: 0, MaxAttempts: 3 },
    Placement: {
      Constraints: ["node.role==worker"],
      Preferences: [{ Spread: { SpreadDescriptor: "node.labels.zone" } }],
      MaxReplicas: 2,
      Platforms: [{ Architecture: "amd64", OS: "linux" }],
    },
    Networks: [{ Target: "n1", Aliases: ["www"] }],
    LogDriver: { Name: "local", Options: { "max-size": "1m" } },
    ForceUpdate: 2,
    Runtime: "container",
  },
  Mode: { Replicated: { Replicas: 3 } },
  UpdateConfig: {
    Parallelism: 0,
    Delay: 1_000_000_000,
    FailureAction: "rollback",
    MaxFailureRatio: 0.5,
    Order: "start-first",
  },
  RollbackConfig: {
    Parallelism: 1,
    FailureAction: "pause",
    Monitor: 2_000_000,
    MaxFailureRatio: 0,
    Order: "stop-first",
  },
  EndpointSpec: {
    Mode: "vip",
    Ports: [{ Protocol: "udp", TargetPort: 53, PublishedPort: 5353, PublishMode: "host" }],
  },
};

test("a full service specification survives the way in and out", () => {
  assert.deepEqual(JSON.parse(JSON.stringify(roundTrip(FULL))), JSON.parse(JSON.stringify(FULL)));
});

test("what inspect shows, sent back as it is, changes nothing", () => {
  const once = roundTrip({ Name: "w", TaskTemplate: { ContainerSpec: { Image: "i" } } });
  assert.deepEqual(JSON.parse(JSON.stringify(roundTrip(once))), JSON.parse(JSON.stringify(once)));
  assert.equal(serviceSpecIn(Fields.of(JSON.parse(JSON.stringify(once)))).task?.container?.isolation, "");
});

test("what the stock CLI sends and shows back is the same specification: nothing would be replaced", () => {
  const sent = {
    Name: "w",
    TaskTemplate: {
      ContainerSpec: {
        Image: "i",
        DNSConfig: {},
        Init: false,
        StopGracePeriod: 0,
        Mounts: [
          { Type: "volume", Target: "/v", VolumeOptions: {} },
          { Type: "bind", Source: "/a", Target: "/b", BindOptions: {} },
        ],
      },
      Resources: { Limits: {}, Reservations: {} },
      Placement: {},
    },
    Mode: { Replicated: { Replicas: 3 } },
    EndpointSpec: { Mode: "vip" },
  };
  for (const json of [sent, FULL, { Name: "w", TaskTemplate: { ContainerSpec: { Image: "i" } } }]) {
    const stored = serviceSpecIn(Fields.of(json));
    const again = serviceSpecIn(Fields.of(JSON.parse(JSON.stringify(serviceSpecOut(stored)))));
    assert.deepEqual(again.task, stored.task);
  }
});

test("keys count in any case, as with Go", () => {
  const spec = serviceSpecIn(
    Fields.of({ name: "w", tasktemplate: { containerspec: { IMAGE: "i" } }, mode: { global: {} } }),
  );
  assert.equal(spec.annotations?.name, "w");
  assert.equal(spec.task?.container?.image, "i");
  assert.equal(spec.mode?.$case, "global");
});

test("a wrong type is refused with path, rule and value", () => {
  assert.throws(
    () => serviceSpecIn(Fields.of({ TaskTemplate: { ContainerSpec: { Image: 7 } } })),
    (error: unknown) =>
      error instanceof InvalidArgumentError &&
      error.message === "body.TaskTemplate.ContainerSpec.Image must be a string, got 7",
  );
  assert.throws(
    () => serviceSpecIn(Fields.of({ UpdateConfig: { Order: "sideways" } })),
    /one of stop-first, start-first, got "sideways"/,
  );
});

test("fields that nothing honours are named, empty ones are not", () => {
  const body = Fields.of({
    Name: "w",
    TaskTemplate: { ContainerSpec: { Image: "i", Gadget: true, Widget: "" } },
  });
  serviceSpecIn(body);
  assert.deepEqual(body.unread(), ["body.TaskTemplate.ContainerSpec.Gadget"]);
});
