import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SkeinError } from "../../base/errors/errors.js";
import type { ContainerSpecification } from "../../proto/engine/containers.js";
import { holds } from "../../test/fuzz/holds.js";
import { PLAIN_SETTINGS } from "../engine-settings-fixtures.js";
import { type ContainerIn, type CreateWorld, containerIn } from "./container-in.js";
import { bindIn, isMountMode } from "./container-in-binds.js";
import { portRangeIn } from "./container-in-ports.js";
import { updateIn } from "./container-update-in.js";
import { Fields } from "./fields.js";

const WORLD: CreateWorld = {
  apiMinor: 51,
  runtime: "crun",
  cgroupVersion: "1",
  cpus: 2,
  defaults: PLAIN_SETTINGS.container,
  defaultSeccomp: { kind: "default" as const },
  pathExists: (path) => path === "/srv",
  containerId: (name) => (name === "other" ? "c".repeat(64) : undefined),
};

function made(body: object, world: Partial<CreateWorld> = {}): ContainerIn {
  return containerIn(Fields.of({ Image: "web", ...body }), "", { ...WORLD, ...world });
}

function ofHost(host: object, world: Partial<CreateWorld> = {}): ContainerSpecification {
  return made({ HostConfig: host }, world).specification;
}

test("keys count in any case, and what nobody knows is named", () => {
  const { specification, warnings } = made({
    CMD: "run",
    hostconfig: { MEMORY: 64_000_000, Zork: 1 },
    Zap: "x",
  });
  assert.deepEqual(specification.args, ["run"]);
  assert.equal(specification.resources.memoryBytes, 64_000_000);
  assert.deepEqual(warnings, [
    "Zap is not known here: it is ignored",
    "HostConfig.Zork is not known here: it is ignored",
  ]);
});

test("HostConfig is kept as asked with Docker's defaults laid in", () => {
  const kept = ofHost({ Memory: 100_000_000, Binds: [], PidsLimit: -1 }).hostConfig ?? {};
  assert.deepEqual(kept["Binds"], []);
  assert.equal(kept["MemorySwap"], 200_000_000);
  assert.equal(kept["PidsLimit"], null);
  assert.equal(kept["NetworkMode"], "bridge");
  assert.equal(kept["CgroupnsMode"], "host");
  assert.equal(kept["IpcMode"], "private");
  assert.equal(kept["ShmSize"], 64 * 1024 * 1024);
  assert.deepEqual(kept["RestartPolicy"], { Name: "no", MaximumRetryCount: 0 });
  assert.deepEqual(kept["LogConfig"], { Type: "json-file", Config: {} });
  assert.equal("Tmpfs" in kept, false);
});

test("what the daemon's settings give stands where nothing else was asked for", () => {
  const defaults: CreateWorld["defaults"] = {
    ...PLAIN_SETTINGS.container,
    logDriver: "local",
    logOptions: { "max-size": "1m" },
    init: true,
    ulimits: [
      { name: "nofile", soft: 1, hard: 2 },
      { name: "core", soft: 0, hard: 0 },
    ],
    shmSizeBytes: 2 ** 20,
    ipcMode: "shareable",
    noNewPrivileges: true,
    dns: ["10.0.0.1"],
  };
  const nothing = ofHost({}, { defaults, defaultSeccomp: { kind: "unconfined" } });
  assert.deepEqual([nothing.log.driver, nothing.log.maxSizeBytes, nothing.init], ["local", 2 ** 20, true]);
  assert.deepEqual([nothing.isolation?.shmSizeBytes, nothing.hostConfig?.["ShmSize"]], [2 ** 20, 2 ** 20]);
  assert.deepEqual([nothing.isolation?.ipcMode, nothing.hostConfig?.["IpcMode"]], ["shareable", "shareable"]);
  assert.deepEqual([nothing.noNewPrivileges, nothing.seccomp.kind], [true, "unconfined"]);
  assert.deepEqual([nothing.networking?.dns, nothing.hostConfig?.["Dns"]], [["10.0.0.1"], null]);
  const asked = ofHost(
    {
      Init: false,
      IpcMode: "private",
      LogConfig: { Type: "json-file" },
      SecurityOpt: ["no-new-privileges=false", "seccomp=builtin"],
      Ulimits: [{ Name: "nofile", Soft: 5, Hard: 6 }],
      Dns: ["10.0.0.2"],
    },
    { defaults, defaultSeccomp: { kind: "unconfined" } },
  );
  assert.deepEqual([asked.log.driver, asked.log.maxSizeBytes, asked.init], ["json-file", 0, false]);
  assert.deepEqual([asked.isolation?.ipcMode, asked.networking?.dns], ["private", ["10.0.0.2"]]);
  assert.deepEqual([asked.noNewPrivileges, asked.seccomp.kind], [false, "default"]);
  assert.deepEqual(
    asked.ulimits.map(({ name, soft }) => [name, soft]),
    [
      ["nofile", 5],
      ["core", 0],
    ],
  );
});

test("older API versions have their own defaults", () => {
  assert.equal(ofHost({}, { apiMinor: 39 }).isolation?.ipcMode, "shareable");
  assert.equal(ofHost({}, { apiMinor: 41 }).hostConfig?.["NetworkMode"], "default");
  assert.equal(ofHost({ AutoRemove: true }, { apiMinor: 24 }).autoRemove, undefined);
  const two = { NetworkingConfig: { EndpointsConfig: { a: {}, b: {} } } };
  assert.throws(
    () => made(two, { apiMinor: 43 }),
    /Container cannot be connected to network endpoints: a, b/,
  );
  assert.deepEqual(Object.keys(made(two).specification.networking?.endpoints ?? {}), ["a", "b", "bridge"]);
});

test("bind strings: source, target and modes", () => {
  assert.deepEqual(bindIn("/a:/b/../c:ro,Z,rslave", ""), {
    kind: "bind",
    source: "/a",
    target: "/c",
    readOnly: true,
    propagation: "rslave",
    recursive: true,
    createSource: true,
  });
  const volume = bindIn("data:/v:nocopy", "nfs");
  assert.deepEqual(volume.kind === "volume" && [volume.name, volume.noCopy, volume.driver, volume.readOnly], [
    "data",
    true,
    "nfs",
    false,
  ]);
  assert.deepEqual([bindIn("/v", "").kind, bindIn("/v:ro", "").target], ["volume", "/v"]);
  for (const [bind, words] of [
    ["/a:/b:zz", "invalid mode: zz"],
    ["/a:/b:ro,rw", "invalid mode: ro,rw"],
    ["a:/b:/c:/d", "invalid volume specification: 'a:/b:/c:/d'"],
    ["/a:/", "destination can't be '/'"],
    ["a", "invalid mount path: 'a' mount path must be absolute"],
  ] as const)
    assert.throws(() => bindIn(bind, ""), { message: new RegExp(words.replace(/[()]/g, "\\$&")) });
});

test("mounts: each type with its own options, and no path twice", () => {
  const mounts = (list: object[]): ContainerSpecification["mounts"] => ofHost({ Mounts: list }).mounts;
  assert.deepEqual(
    mounts([
      { Type: "bind", Source: "/srv", Target: "/a", BindOptions: { NonRecursive: true } },
      { Type: "volume", Source: "v", Target: "/b", VolumeOptions: { Subpath: "in" } },
      { Type: "tmpfs", Target: "/c", TmpfsOptions: { SizeBytes: 5, Options: [["noexec"], ["uid", "7"]] } },
      { Type: "image", Source: "busybox", Target: "/d" },
    ]).map(({ kind, target }) => `${kind} ${target}`),
    ["bind /a", "volume /b", "tmpfs /c", "image /d"],
  );
  const refused: readonly (readonly [object, RegExp])[] = [
    [{ Type: "bind", Source: "/gone", Target: "/a" }, /bind source path does not exist: \/gone/],
    [{ Type: "tmpfs", Source: "/srv", Target: "/a" }, /field Source must not be specified/],
    [{ Type: "bind", Source: "/srv", Target: "/a", VolumeOptions: {} }, /field VolumeOptions must not be/],
    [{ Type: "npipe", Target: "/a" }, /invalid mount config for type "npipe": mount type unknown/],
    [
      { Type: "volume", Source: "v", Target: "/a", VolumeOptions: { Subpath: "../x" } },
      /relative path within/,
    ],
  ];
  for (const [mount, words] of refused) assert.throws(() => mounts([mount]), words);
  assert.throws(() => ofHost({ Binds: ["/srv:/a"], Tmpfs: { "/a": "" } }), /Duplicate mount point: \/a/);
});

test("volumes of Config are anonymous ones, unless a mount takes the place", () => {
  const { specification } = made({ Volumes: { "/a": {}, "/b/": {} }, HostConfig: { Binds: ["/srv:/a"] } });
  assert.deepEqual(
    specification.mounts.map(({ kind, target }) => `${kind} ${target}`),
    ["bind /a", "volume /b"],
  );
});

test("ports: ranges, addresses, protocols", () => {
  const { networking } = made({
    ExposedPorts: { "80": {}, "90-91/udp": {} },
    HostConfig: {
      PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8000-8010" }, {}], "53/udp": null },
    },
  }).specification;
  assert.deepEqual(networking?.exposedPorts, ["80/tcp", "90/udp", "91/udp"]);
  assert.deepEqual(networking?.portBindings, [
    { containerPort: 80, protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 8000, hostPortEnd: 8010 },
    { containerPort: 80, protocol: "tcp", hostAddress: "", hostPort: 0 },
  ]);
  for (const text of ["99999", "x", "80-", "81-80", ""])
    assert.throws(() => portRangeIn(text), /invalid port/);
});

test("network modes and what they exclude", () => {
  const kind = (mode: string): unknown => ofHost({ NetworkMode: mode }).network;
  assert.deepEqual(kind("container:other"), { kind: "container", id: "c".repeat(64) });
  assert.deepEqual(
    [kind("host"), kind("none"), kind("mine")],
    [{ kind: "host" }, { kind: "none" }, { kind: "networks" }],
  );
  const shared = { NetworkMode: "container:other" };
  assert.throws(() => made({ Hostname: "h", HostConfig: shared }), /hostname and the network mode/);
  assert.throws(() => ofHost({ ...shared, Dns: ["1.1.1.1"] }), /dns and the network mode/);
  assert.throws(
    () => ofHost({ ...shared, PortBindings: { "80/tcp": [{}] } }),
    /port publishing and the container type network mode/,
  );
  assert.throws(() => ofHost({ NetworkMode: "container:" }), /container:<name\|id>/);
  const { warnings } = made({ HostConfig: { NetworkMode: "host", PortBindings: { "80/tcp": [{}] } } });
  assert.deepEqual(warnings, ["Published ports are discarded when using host network mode"]);
});

test("security options", () => {
  const { noNewPrivileges, seccomp, isolation } = ofHost({
    SecurityOpt: ["no-new-privileges:true", "seccomp={}", "label=disable", "apparmor=unconfined"],
    Privileged: true,
  });
  assert.equal(noNewPrivileges, true);
  assert.equal(seccomp.kind, "custom");
  assert.deepEqual(
    [isolation?.selinuxLabels, isolation?.apparmorProfile, isolation?.privileged],
    [["disable"], "unconfined", true],
  );
  for (const option of ["zz", "zz=1", "no-new-privileges=maybe", "seccomp={", "credentialspec=x"])
    assert.throws(() => ofHost({ SecurityOpt: [option] }), SkeinError, option);
});

test("limits are refused in dockerd's words", () => {
  const refused: readonly (readonly [object, string])[] = [
    [{ Memory: 1000 }, "Minimum memory limit allowed is 6MB"],
    [
      { Memory: 10_000_000, MemorySwap: 7_000_000 },
      "Minimum memoryswap limit should be larger than memory limit, see usage",
    ],
    [{ MemorySwappiness: 101 }, "Invalid value: 101, valid memory swappiness range is 0-100"],
    [{ NanoCpus: 3e9 }, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"],
    [{ NanoCpus: 1e9, CpuQuota: 1000 }, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"],
    [{ CpusetCpus: "7" }, "Requested CPUs are not available - requested 7, available: 0-1"],
    [{ OomScoreAdj: 5000 }, "Invalid value 5000, range for oom score adj is [-1000, 1000]"],
    [{ ShmSize: -1 }, "SHM size can not be less than 0"],
  ];
  for (const [host, message] of refused) assert.throws(() => ofHost(host), { message });
});

test("an auto-removed container takes no restart policy", () => {
  assert.throws(
    () => ofHost({ AutoRemove: true, RestartPolicy: { Name: "always" } }),
    /can't create 'AutoRemove' container with restart policy/,
  );
  assert.throws(
    () => ofHost({ RestartPolicy: { Name: "sometimes" } }),
    /unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'/,
  );
});

test("an update names what it cannot change", () => {
  const { change, warnings } = updateIn(Fields.of({ Memory: 64_000_000, Binds: ["a:/b"] }), WORLD);
  assert.deepEqual(change.resources, { memoryBytes: 64_000_000 });
  assert.deepEqual(change.hostConfig, { Memory: 64_000_000 });
  assert.deepEqual(warnings, ["Binds cannot be updated: it is ignored"]);
});

test("fuzz: whatever is sent is taken or refused, never a crash", () => {
  const keys = (
    "Image Cmd Entrypoint Env HostConfig Binds Mounts PortBindings Volumes ExposedPorts Tmpfs Ulimits " +
    "Devices LogConfig RestartPolicy SecurityOpt NetworkMode NetworkingConfig EndpointsConfig Healthcheck Memory " +
    "Type Source Target VolumesFrom Links ExtraHosts __proto__ constructor"
  ).split(" ");
  const words = [
    "/a:/b:ro",
    "a:/b",
    "80/tcp",
    "container:x",
    "bind",
    "",
    "/",
    ":",
    "::",
    "-1",
    "../..",
    "a=b",
  ];
  const { node } = fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(...words),
      fc.string(),
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie("node"), { maxLength: 3 }),
      fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.constantFrom(...words)), tie("node"), {
        maxKeys: 6,
      }),
    ),
  }));
  const body = fc.dictionary(fc.constantFrom(...keys), node);
  holds(
    fc.property(body, fc.constantFrom(24, 39, 41, 44, 51), (value, apiMinor) => {
      try {
        const { specification } = containerIn(Fields.of(value), "", { ...WORLD, apiMinor });
        JSON.stringify(specification.hostConfig);
      } catch (error) {
        if (!(error instanceof SkeinError)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});

test("fuzz: bind strings of any bytes are taken or refused", () => {
  holds(
    fc.property(fc.string(), fc.string(), (a, b) => {
      isMountMode(a);
      try {
        assert.ok(bindIn(`${a}:${b}`, "").target.startsWith("/"));
      } catch (error) {
        if (!(error instanceof SkeinError)) throw error;
      }
    }),
  );
});
