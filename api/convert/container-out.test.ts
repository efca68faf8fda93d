import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineContainer, ImageBackend } from "../engine-ports.js";
import { type ContainerDetailParts, containerOut, TASK_LABEL } from "./container-out.js";

const CONTAINER: EngineContainer = {
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
      { kind: "bind", source: "/srv", target: "/data", readOnly: true, propagation: "" },
      { kind: "tmpfs", target: "/scratch", options: ["noexec"] },
      { kind: "volume" },
    ],
    resources: { memoryBytes: 2 ** 26, swapBytes: undefined, nanoCpus: 5e8, pidsLimit: 0 },
    capAdd: ["NET_ADMIN"],
    capDrop: [],
    sysctls: {},
    ulimits: [{ name: "nofile", soft: 10, hard: 20 }],
    oomScoreAdj: 0,
    network: { kind: "netns" },
  },
};
const images = { find: () => undefined } as unknown as ImageBackend; // the part that is used
const volume = {
  name: "db",
  driver: "local",
  mountpoint: "/d/volumes/db",
  options: {},
  labels: {},
  createdMs: 0,
};
const PARTS: ContainerDetailParts = {
  images,
  containers: {
    volumes: { find: (name) => (name === "db" ? volume : undefined), list: () => [volume] },
    volumesOf: () => [{ target: "/var/db", name: "db", readOnly: false }],
  },
  networksOfTask: (taskId) => [
    { networkId: `net-of-${taskId}`, name: "front", address: "10.0.1.5", prefixLength: 24 },
    { networkId: "gone", name: "", address: "10.0.2.5", prefixLength: 24 },
  ],
};

interface Shown {
  readonly Mounts: readonly { Type: string; Source: string; Destination: string; RW: boolean }[];
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly NetworkSettings: {
    readonly Networks: Readonly<
      Record<string, { NetworkID: string; IPAddress: string; IPPrefixLen: number }>
    >;
  };
}
const shown = (container: EngineContainer): Shown =>
  JSON.parse(JSON.stringify(containerOut(container, PARTS))) as Shown; // as the client reads it

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
  const host: EngineContainer = {
    ...CONTAINER,
    specification: { ...CONTAINER.specification, network: { kind: "host" } },
  };
  assert.deepEqual(Object.keys(shown(host).NetworkSettings.Networks), ["host"]);
  assert.equal(shown(host).HostConfig["NetworkMode"], "host");
});
