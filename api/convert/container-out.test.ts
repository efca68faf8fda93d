import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerRecord } from "../../proto/engine/containers.js";
import { TASK_LABEL } from "./container-network-out.js";
import { type ContainerOutParts, containerOut, containerRowOut, statusText } from "./container-out.js";

const CONTAINER: ContainerRecord = {
  id: "c1",
  name: "web.1.t1",
  imageId: "sha256:1",
  createdMs: 1_700_000_000_000,
  state: "running",
  pid: 7,
  startedMs: 1_700_000_000_000,
  finishedMs: 0,
  exitCode: 0,
  oomKilled: false,
  error: "",
  health: "",
  specification: {
    name: "web.1.t1",
    image: "web",
    entrypoint: [],
    args: ["httpd"],
    env: [],
    workingDir: "",
    user: "",
    hostname: "h",
    labels: { [TASK_LABEL]: "t1" },
    tty: false,
    openStdin: false,
    readOnly: true,
    init: false,
    mounts: [
      {
        kind: "bind",
        source: "/srv",
        target: "/data",
        readOnly: true,
        propagation: "",
        recursive: true,
        createSource: false,
      },
      { kind: "tmpfs", target: "/scratch", options: ["noexec"], sizeBytes: 0, mode: 0 },
    ],
    resources: { memoryBytes: 2 ** 26, swapBytes: undefined, nanoCpus: 5e8, pidsLimit: 0 },
    capAdd: ["NET_ADMIN"],
    capDrop: [],
    sysctls: {},
    ulimits: [{ name: "nofile", soft: 10, hard: 20 }],
    oomScoreAdj: 0,
    network: { kind: "netns", path: "/run/n" },
    groups: [],
    stopSignal: "",
    stopGracePeriodMs: 10_000,
    healthcheck: undefined,
    noNewPrivileges: false,
    seccomp: { kind: "default" },
    etcHosts: undefined,
    resolvConf: undefined,
    log: { driver: "", maxSizeBytes: 0, maxFiles: 0 },
  },
};
const PARTS: ContainerOutParts = {
  findImage: () => undefined,
  execIds: () => [],
  findVolume: (name) => (name === "db" ? { driver: "local", mountpoint: "/d/volumes/db" } : undefined),
  volumesOf: () => [{ target: "/var/db", name: "db", readOnly: false }],
  networkId: () => undefined,
  networksOfTask: (taskId) => [
    { networkId: `net-of-${taskId}`, name: "front", address: "10.0.1.5", prefixLength: 24 },
    { networkId: "gone", name: "", address: "10.0.2.5", prefixLength: 24 },
  ],
};
const NEWEST = { apiMinor: 51, nowMs: 1_700_000_002_500 };

interface Shown {
  readonly Mounts: readonly { Type: string; Source: string; Destination: string; RW: boolean }[];
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly NetworkSettings: {
    readonly Networks: Readonly<
      Record<string, { NetworkID: string; IPAddress: string; IPPrefixLen: number }>
    >;
  };
}
const shown = (container: ContainerRecord): Shown =>
  JSON.parse(JSON.stringify(containerOut(container, PARTS, NEWEST))) as Shown; // as the client reads it

test("mounts are shown with where they come from, volumes by what was made of them", () => {
  assert.deepEqual(
    shown(CONTAINER).Mounts.map(({ Type, Source, Destination, RW }) => [Type, Source, Destination, RW]),
    [
      ["bind", "/srv", "/data", false],
      ["tmpfs", "", "/scratch", true],
      ["volume", "/d/volumes/db", "/var/db", true],
    ],
  );
});

test("limits are shown as they are applied", () => {
  const { HostConfig } = shown(CONTAINER);
  const { Memory, NanoCpus, PidsLimit, ReadonlyRootfs, CapAdd, CapDrop, Tmpfs, NetworkMode } = HostConfig;
  assert.deepEqual(
    [Memory, NanoCpus, PidsLimit, ReadonlyRootfs, CapAdd, CapDrop, Tmpfs, NetworkMode],
    [2 ** 26, 5e8, null, true, ["NET_ADMIN"], null, { "/scratch": "noexec" }, "default"],
  );
});

test("a task's networks are shown by name, or by id where the name is gone; the host's as host", () => {
  const { Networks } = shown(CONTAINER).NetworkSettings;
  assert.deepEqual(
    Object.entries(Networks).map(([name, { NetworkID, IPAddress, IPPrefixLen }]) => [
      name,
      NetworkID,
      IPAddress,
      IPPrefixLen,
    ]),
    [
      ["front", "net-of-t1", "10.0.1.5", 24],
      ["gone", "gone", "10.0.2.5", 24],
    ],
  );
  const host: ContainerRecord = {
    ...CONTAINER,
    specification: { ...CONTAINER.specification, network: { kind: "host" } },
  };
  assert.deepEqual(Object.keys(shown(host).NetworkSettings.Networks), ["host"]);
  assert.equal(shown(host).HostConfig["NetworkMode"], "host");
});

test("the status is told in the words of docker ps", () => {
  const at = (change: Partial<ContainerRecord>, afterMs: number): string =>
    statusText({ ...CONTAINER, ...change }, CONTAINER.startedMs + afterMs);
  const ended: Partial<ContainerRecord> = { state: "exited", exitCode: 3, finishedMs: CONTAINER.startedMs };
  const texts = [
    at({}, 500),
    at({}, 1_999),
    at({ health: "starting" }, 59_000),
    at({ health: "healthy" }, 61_000),
    at({ state: "paused" }, 3_600_000),
    at({ ...ended, state: "restarting" }, 2 * 3_600_000),
    at(ended, 49 * 3_600_000),
    at(ended, 15 * 86_400_000),
    at({ state: "created" }, 5),
  ];
  assert.deepEqual(texts, [
    "Up Less than a second",
    "Up 1 second",
    "Up 59 seconds (health: starting)",
    "Up About a minute (healthy)",
    "Up About an hour (Paused)",
    "Restarting (3) 2 hours ago",
    "Exited (3) 2 days ago",
    "Exited (3) 2 weeks ago",
    "Created",
  ]);
});

test("a row names the image as asked for while it means the same, else by its id", () => {
  const image = { os: "linux", architecture: "amd64", config: { volumes: [] } };
  const row = (id: string): unknown =>
    containerRowOut(CONTAINER, { ...PARTS, findImage: () => ({ ...image, id }) }, NEWEST)["Image"];
  assert.equal(row("sha256:1"), "web");
  assert.equal(row("sha256:2"), "sha256:1");
});
