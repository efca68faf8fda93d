import assert from "node:assert/strict";
import { test } from "node:test";
import { NotImplementedError } from "../../base/errors/errors.js";
import { HostOptions } from "../../proto/gen/skein/v1/host_options.js";
import {
  ContainerSpec,
  Mount,
  NetworkAttachmentConfig,
  type ServiceSpec,
  TaskSpec,
  UpdateConfig,
  UpdateOrder,
} from "../../proto/gen/skein/v1/types.js";
import { normalContainer } from "../orchestrator/spec-normal.js";
import { checkHostOptions } from "./host-options-validation.js";
import { checkServiceSpec } from "./service-validation.js";
import { describeSpecChange } from "./spec-change.js";
import { compareServiceSpecs } from "./spec-comparison.js";

type Asked = Parameters<typeof HostOptions.fromPartial>[0];

function check(host: Asked, container: Partial<ContainerSpec> = {}, task: Partial<TaskSpec> = {}): void {
  const spec = ContainerSpec.fromPartial({ image: "web", ...container, host: HostOptions.fromPartial(host) });
  checkHostOptions(TaskSpec.fromPartial({ container: spec, ...task }), spec);
}

test("what a task asks of its node, refused by field and rule", () => {
  const table: readonly (readonly [Asked, RegExp, Partial<ContainerSpec>?])[] = [
    [{ ipcMode: "private " }, /HostConfig\.IpcMode must be none, private, shareable, host, got "private "/],
    [{ ipcMode: "container:db" }, /IpcMode "container:db" is for plain containers/],
    [{ pidMode: "service:db" }, /PidMode "service:db" is for plain containers/],
    [{ pidMode: "private" }, /PidMode must be host/],
    [{ cgroupnsMode: "own" }, /CgroupnsMode must be host, private/],
    [{ usernsMode: "keep-id" }, /UsernsMode must be host/],
    [{ utsMode: "host" }, /UTSMode host contradicts a hostname/, { hostname: "web" }],
    [{ utsMode: "host", domainname: "a.b" }, /contradicts Domainname/],
    [{ devices: [{ pathOnHost: "null" }] }, /PathOnHost must be an absolute path, got "null"/],
    [{ devices: [{ pathOnHost: "/dev/null", pathInContainer: "x" }] }, /PathInContainer/],
    [{ devices: [{ pathOnHost: "/dev/null", cgroupPermissions: "rr" }] }, /CgroupPermissions/],
    [{ deviceCgroupRules: ["c 1:3"] }, /DeviceCgroupRules must hold rules such as "c 1:3 rwm"/],
    [{ deviceRequests: [{ count: -2 }] }, /Count must be at least -1/],
    [{ deviceRequests: [{ count: 1, deviceIds: ["0"] }] }, /cannot set both Count and DeviceIDs/],
    [{ deviceRequests: [{ driver: "cdi", count: 1 }] }, /cannot count devices of driver cdi/],
    [{ deviceRequests: [{ options: { a: "b" } }] }, /Options are not supported/],
    [{ cpuPeriodUs: 10 }, /CpuPeriod must be from 1000 to 1000000 microseconds, got 10/],
    [{ cpuQuotaUs: 10 }, /CpuQuota must be at least 1000/],
    [{ cpuRealtimePeriodUs: 5, cpuRealtimeRuntimeUs: 6 }, /CpuRealtimeRuntime must not be above/],
    [{ cpusetCpus: "3-1" }, /CpusetCpus must be numbers and ranges such as "0-2,4", got "3-1"/],
    [{ cpusetMems: "a" }, /CpusetMems/],
    [{ blkio: { weight: 5 } }, /BlkioWeight must be from 10 to 1000, got 5/],
    [{ blkio: { weightDevice: [{ path: "/dev/sda", value: 5 }] } }, /BlkioWeightDevice of \/dev\/sda/],
    [{ blkio: { deviceReadBps: [{ path: "sda", value: 5 }] } }, /BlkioDeviceReadBps needs the absolute path/],
    [{ securityOpts: ["colour=red"] }, /SecurityOpt: invalid --security-opt 2: "colour=red"/],
    [{ securityOpts: ["label=user:web"] }, /label "user:web" is not supported: of SELinux only disable/],
    [{ securityOpts: ["credentialspec=x"] }, /for Windows alone/],
    [{ storageOpts: { size: "1g" } }, /StorageOpt size is not supported/],
    [{ runtime: "gvisor" }, /Runtime must be one of crun, runc/],
    [{ domainname: "a..b" }, /Domainname must be a domain/],
    [{ macAddress: "02:42" }, /MacAddress must be six pairs/],
    [{ macAddress: "01:00:5e:00:00:01" }, /group address/],
    [{ cgroupParent: "/a/../b" }, /CgroupParent must not lead upwards/],
    [{ annotations: { "": "x" } }, /Annotations must not have an empty key/],
    [{ pullPolicy: "hourly" }, /PullPolicy must be always, missing, never, daily, weekly or every_/],
    [{ pullPolicy: "every_" }, /PullPolicy/],
    [{ tmpfs: ["run"] }, /Tmpfs needs absolute paths below \//],
    [{ tmpfs: ["/run:colour"] }, /Tmpfs of \/run has "colour"/],
    [{ tmpfs: ["/run", "/run/"] }, /duplicate mount point: \/run\//],
    [{ useApiSocket: true, tmpfs: ["/run/skein/"] }, /UseApiSocket needs \/run\/skein, where something/],
    [{ useApiSocket: true, tmpfs: ["/run/skein/x:size=1m"] }, /UseApiSocket needs/],
    [{ useApiSocket: true }, /UseApiSocket needs/, { mounts: [Mount.fromPartial({ target: "/run/skein" })] }],
    [{ postStart: [{ command: [] }] }, /PostStart\[0\] needs a command/],
    [{ preStop: [{ command: ["x"], workingDir: "a" }] }, /PreStop\[0\] WorkingDir/],
    [{ preStop: [{ command: ["x"], env: ["=a"] }] }, /PreStop\[0\] Env/],
    [{ deviceCgroupRules: new Array<string>(257).fill("c 1:3 r") }, /at most 256 entries, got 257/],
    [
      { preStop: [{ command: new Array<string>(257).fill("a") }] },
      /PreStop\[0\]\.Command may have at most 256/,
    ],
    [
      { deviceRequests: [{ deviceIds: new Array<string>(257).fill("a") }] },
      /DeviceRequests\[0\]\.DeviceIDs may have at most 256 entries/,
    ],
  ];
  for (const [host, words, container] of table) assert.throws(() => check(host, container), words);
  assert.throws(() => check({ storageOpts: { size: "1g" } }), NotImplementedError);
  assert.throws(
    () =>
      check(
        { cpuQuotaUs: 5000 },
        {},
        { resources: { limits: { nanoCpus: 1e9, memoryBytes: 0, generic: [] } } as never },
      ),
    /CpuQuota contradicts the CPU limit/,
  );
  const networks = [NetworkAttachmentConfig.fromPartial({ target: "host" })];
  assert.throws(
    () => check({ macAddress: "02:42:0a:00:00:05" }, {}, { networks }),
    /MacAddress needs a network of the task's own, not host/,
  );
});

test("what a task may ask of its node", () => {
  check({
    privileged: true,
    devices: [{ pathOnHost: "/dev/null", cgroupPermissions: "rw" }],
    deviceCgroupRules: ["c *:* m"],
    cgroupParent: "/mine",
    cgroupnsMode: "host",
    ipcMode: "host",
    pidMode: "host",
    utsMode: "host",
    usernsMode: "host",
    cpusetCpus: "0-2,4",
    cpuPeriodUs: 100_000,
    cpuQuotaUs: -1,
    blkio: { weight: 500, deviceWriteIops: [{ path: "/dev/sda", value: 100 }] },
    securityOpts: ["seccomp=unconfined", "apparmor=unconfined", "no-new-privileges:true", "label=disable"],
    runtime: "runc",
    macAddress: "02:42:0A:00:00:05",
    pullPolicy: "every_1w12h",
    tmpfs: ["/run:rw,size=64m", "/tmp"],
    useApiSocket: true,
    postStart: [{ command: ["true"], env: ["A=1"], workingDir: "/" }],
  });
});

test("absent, empty and the defaults mean the same; a pull policy restarts nothing", () => {
  const spec = (host?: Asked): ContainerSpec =>
    ContainerSpec.fromPartial({
      image: "web",
      ...(host === undefined ? {} : { host: HostOptions.fromPartial(host) }),
    });
  const service = (host?: Asked) => ({
    annotations: { name: "web", labels: {} },
    task: TaskSpec.fromPartial({ container: spec(host) }),
    mode: { $case: "replicated" as const, value: { replicas: 1 } },
    update: undefined,
    rollback: undefined,
    endpoint: undefined,
  });
  assert.deepEqual(
    normalContainer(spec()),
    normalContainer(spec({ pullPolicy: "missing", oomKillDisable: false })),
  );
  assert.deepEqual(
    normalContainer(spec()),
    normalContainer(
      spec({ ipcMode: "private", shmSizeBytes: 64 * 2 ** 20, runtime: "io.containerd.runc.v2" }),
    ),
  );
  const device = { pathOnHost: "/dev/null" };
  const long = { pathOnHost: "/dev/null", pathInContainer: "/dev/null", cgroupPermissions: "rwm" };
  assert.equal(compareServiceSpecs(service({ devices: [device] }), service({ devices: [long] })).same, true);
  const policy = compareServiceSpecs(service(), service({ pullPolicy: "always" }));
  assert.deepEqual([policy.same, policy.sameRun], [false, true]);
  const privileged = compareServiceSpecs(service(), service({ privileged: true }));
  assert.deepEqual([privileged.same, privileged.sameRun], [false, false]);
  assert.equal(
    describeSpecChange(
      service(),
      service({ privileged: true, shmSizeBytes: 5, postStart: [{ command: ["x"] }] }),
    ),
    "privileged mode, shared memory, post-start hooks",
  );
  assert.equal(describeSpecChange(service(), service({ pullPolicy: "always" })), "pull policy");
});

test("a chosen address is for one task at a time", () => {
  const spec = (addresses: readonly string[], rest: Partial<ServiceSpec> = {}): ServiceSpec => ({
    annotations: { name: "web", labels: {} },
    task: TaskSpec.fromPartial({
      container: ContainerSpec.fromPartial({ image: "web" }),
      networks: [{ target: "n1", addresses: [...addresses] }],
    }),
    mode: { $case: "replicated", value: { replicas: 1 } },
    update: undefined,
    rollback: undefined,
    endpoint: undefined,
    ...rest,
  });
  checkServiceSpec(spec(["10.0.0.5", "fd00::5"]));
  assert.throws(
    () => checkServiceSpec(spec(["10.0.0.5/24"])),
    /must be an IP address, got "10\.0\.0\.5\/24"/,
  );
  assert.throws(() => checkServiceSpec(spec(["10.0.0.5", "10.0.0.6"])), /one address of each family/);
  const several = { mode: { $case: "replicated", value: { replicas: 2 } } } as const;
  assert.throws(() => checkServiceSpec(spec(["10.0.0.5"], several)), /a chosen address is for one task/);
  checkServiceSpec(spec([], several));
  const job = (maxConcurrent: number): Partial<ServiceSpec> => ({
    mode: { $case: "replicatedJob", value: { maxConcurrent, totalCompletions: 5 } },
  });
  assert.throws(() => checkServiceSpec(spec(["10.0.0.5"], job(0))), /a chosen address is for one task/);
  checkServiceSpec(spec(["10.0.0.5"], job(1)));
  const startFirst = { update: UpdateConfig.fromPartial({ order: UpdateOrder.START_FIRST }) };
  assert.throws(() => checkServiceSpec(spec(["10.0.0.5"], startFirst)), /contradicts order start-first/);
});
