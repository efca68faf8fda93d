import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceSpec } from "../../proto/gen/skein/v1/types.js";
import type { HostOptionsBody } from "../../proto/host-options-api.js";
import { Fields } from "./fields.js";
import { hostOptionsIn } from "./host-options-in.js";
import { hostOptionsOut } from "./host-options-out.js";
import { withKeptWishes } from "./kept-wishes.js";
import { serviceSpecIn } from "./service-spec-in.js";

const FULL = {
  Privileged: true,
  Devices: [{ PathOnHost: "/dev/null", PathInContainer: "/dev/nothing", CgroupPermissions: "rw" }],
  DeviceCgroupRules: ["c 1:3 r"],
  CgroupParent: "/mine",
  CgroupnsMode: "host",
  IpcMode: "shareable",
  PidMode: "host",
  UTSMode: "host",
  UsernsMode: "host",
  ShmSize: 1 << 27,
  SecurityOpt: ["seccomp=unconfined"],
  CpusetCpus: "0",
  CpusetMems: "0",
  CpuShares: 512,
  CpuPeriod: 100_000,
  CpuQuota: -1,
  CpuRealtimePeriod: 1000,
  CpuRealtimeRuntime: 500,
  BlkioWeight: 300,
  BlkioWeightDevice: [{ Path: "/dev/sda", Weight: 200 }],
  BlkioDeviceReadBps: [{ Path: "/dev/sda", Rate: 1 }],
  BlkioDeviceWriteBps: [{ Path: "/dev/sda", Rate: 2 }],
  BlkioDeviceReadIOps: [{ Path: "/dev/sda", Rate: 3 }],
  BlkioDeviceWriteIOps: [{ Path: "/dev/sda", Rate: 4 }],
  OomKillDisable: true,
  StorageOpt: { size: "1g" },
  Runtime: "runc",
  Annotations: { a: "b" },
  DeviceRequests: [{ Driver: "nvidia", Count: -1, Capabilities: [["gpu"]], Options: { a: "b" } }],
  Tmpfs: { "/run": "rw,size=64m", "/tmp": "" },
  Domainname: "example.org",
  MacAddress: "02:42:0a:00:00:05",
  PullPolicy: "daily",
  PostStart: [{ Command: ["a", "b"], User: "root", Privileged: true, WorkingDir: "/", Env: ["A=1"] }],
  PreStop: [{ Command: ["c"] }],
  UseApiSocket: true,
} as const satisfies { readonly [Key in keyof HostOptionsBody]-?: HostOptionsBody[Key] };

test("what a task asks of its node is shown as it was asked for, every key of it", () => {
  const fields = Fields.of(FULL, "HostConfig");
  assert.deepEqual(hostOptionsOut(hostOptionsIn(fields)), FULL);
  assert.deepEqual(fields.unread(), []);
});

test("what asks for nothing is absent; what is not known is named", () => {
  assert.equal(hostOptionsIn(undefined), undefined);
  assert.deepEqual(
    hostOptionsOut(hostOptionsIn(Fields.of({ Privileged: false, Devices: [], ShmSize: 0 }))),
    {},
  );
  assert.deepEqual(hostOptionsOut(undefined), {});
  const fields = Fields.of({ Memory: 5, Privileged: true }, "HostConfig");
  hostOptionsIn(fields);
  assert.deepEqual(fields.unread(), ["HostConfig.Memory"]);
});

test("an update that knows nothing of it leaves it, and one that says nothing of it takes it away", () => {
  const spec = (host: object | undefined, addresses: readonly string[]): ServiceSpec =>
    serviceSpecIn(
      Fields.of({
        TaskTemplate: {
          ContainerSpec: { HostConfig: host },
          Networks: [{ Target: "n1", Addresses: addresses }],
        },
      }),
    );
  const before = spec({ Privileged: true }, ["10.0.0.5"]);
  const kept = (update: ServiceSpec): readonly [boolean, readonly string[]] => {
    const { task } = withKeptWishes(update, before);
    return [task?.container?.host?.privileged ?? false, task?.networks[0]?.addresses ?? []];
  };
  assert.deepEqual(kept(spec(undefined, [])), [true, ["10.0.0.5"]]);
  assert.deepEqual(kept(spec(undefined, ["10.0.0.6"])), [true, ["10.0.0.6"]]);
  assert.deepEqual(kept(spec({}, [])), [false, []]);
  assert.deepEqual(kept(spec({ ShmSize: 5 }, ["10.0.0.6"])), [false, ["10.0.0.6"]]);
});

test("shapes are refused with the path of the field", () => {
  const refused =
    (body: object): (() => void) =>
    () =>
      void hostOptionsIn(Fields.of(body, "HostConfig"));
  assert.throws(refused({ Privileged: "yes" }), /HostConfig\.Privileged must be true or false/);
  assert.throws(refused({ ShmSize: -1 }), /HostConfig\.ShmSize must be an integer of at least 0/);
  assert.throws(
    refused({ DeviceRequests: [{ Capabilities: [["gpu"], ["tpu"]] }] }),
    /HostConfig\.DeviceRequests\[0\]\.Capabilities must hold one list/,
  );
});
