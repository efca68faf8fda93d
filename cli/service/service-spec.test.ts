import assert from "node:assert/strict";
import { test } from "node:test";
import { SkeinCommand } from "../skein-command.js";
import { createSpec, type Lookups } from "./create-spec.js";
import type { Json } from "./flag-values.js";
import { addCreateFlags, addUpdateFlags, FlagValues } from "./service-flags.js";
import { mergeList, updatedSpec } from "./update-spec.js";

const lookups: Lookups = {
  secretIds: async (names) =>
    new Map(names.filter((name) => name !== "gone").map((name) => [name, `id-of-${name}`])),
  configIds: async (names) => new Map(names.map((name) => [name, `id-of-${name}`])),
  readFile: async () => "# comment\nFROM_FILE=1\n",
};

function flagsOf(add: (command: SkeinCommand) => void, argv: readonly string[]): FlagValues {
  const command = new SkeinCommand("test").exitOverride().configureOutput({ writeErr: () => undefined });
  add(command);
  command.parse([...argv], { from: "user" });
  return new FlagValues(command.opts());
}

const create = (...argv: string[]): Promise<Json> =>
  createSpec("image", ["arg"], flagsOf(addCreateFlags, argv), lookups);
const update = (before: Json, ...argv: string[]): Promise<Json> =>
  updatedSpec(before, flagsOf(addUpdateFlags, argv), lookups);
const at = (value: unknown, ...path: (string | number)[]): unknown =>
  path.reduce((inner: unknown, key) => (inner as Record<string | number, unknown> | undefined)?.[key], value);

test("create without flags says only what was said", async () => {
  assert.deepEqual(await create("--name", "web"), {
    Name: "web",
    Labels: {},
    TaskTemplate: { ContainerSpec: { Image: "image", Args: ["arg"] } },
    Mode: { Replicated: { Replicas: 1 } },
    EndpointSpec: {},
  });
});

test("create puts each flag in its place", async () => {
  const spec = await create(
    ...[
      "--replicas",
      "3",
      "-e",
      "A=1",
      "--env-file",
      "f",
      "-p",
      "8080:80",
      "--network",
      "front",
      "--secret",
      "s",
      "--config",
      "source=c,target=/c",
    ],
    ...[
      "--limit-memory",
      "64m",
      "--reserve-cpu",
      "0.5",
      "--update-order",
      "start-first",
      "--constraint",
      "node.role==worker",
      "--init",
    ],
    ...[
      "--health-cmd",
      "true",
      "--restart-condition",
      "none",
      "--log-driver",
      "local",
      "--log-opt",
      "max-size=1m",
      "--stop-grace-period",
      "1s",
    ],
  );
  const container = at(spec, "TaskTemplate", "ContainerSpec");
  assert.deepEqual(at(spec, "Mode"), { Replicated: { Replicas: 3 } });
  assert.deepEqual(at(container, "Env"), ["FROM_FILE=1", "A=1"]);
  assert.deepEqual(at(container, "Secrets", 0), {
    File: { Name: "s", UID: "0", GID: "0", Mode: 0o444 },
    SecretID: "id-of-s",
    SecretName: "s",
  });
  assert.equal(at(container, "Configs", 0, "File", "Name"), "/c");
  assert.deepEqual(at(container, "Healthcheck"), { Test: ["CMD-SHELL", "true"] });
  assert.equal(at(container, "Init"), true);
  assert.equal(at(container, "StopGracePeriod"), 1e9);
  assert.deepEqual(at(spec, "TaskTemplate", "Resources"), {
    Limits: { MemoryBytes: 67_108_864 },
    Reservations: { NanoCPUs: 5e8 },
  });
  assert.deepEqual(at(spec, "TaskTemplate", "LogDriver"), { Name: "local", Options: { "max-size": "1m" } });
  assert.deepEqual(at(spec, "UpdateConfig"), { Parallelism: 1, Order: "start-first" });
});

test("create refuses contradictions by name", async () => {
  await assert.rejects(
    create("--mode", "global", "--replicas", "2"),
    /--replicas can only be used with replicated/,
  );
  await assert.rejects(
    create("--mode", "sideways"),
    /--mode must be replicated, global, replicated-job or global-job, got "sideways"/,
  );
  await assert.rejects(create("--secret", "gone"), /secret not found: gone/);
  await assert.rejects(create("--secret", "a", "--secret", "source=b,target=a"), /duplicate secret target/);
  await assert.rejects(create("--log-opt", "a=b"), /--log-opt needs --log-driver/);
});

test("update without flags leaves what create made, but for empty lists", async () => {
  const before = await create(
    "--name",
    "web",
    "--replicas",
    "2",
    "-e",
    "A=1",
    "-p",
    "80:80",
    "--label",
    "a=b",
  );
  const after = await update(before);
  assert.deepEqual(at(after, "Mode"), at(before, "Mode"));
  assert.deepEqual(at(after, "Labels"), { a: "b" });
  assert.deepEqual(at(after, "EndpointSpec", "Ports"), at(before, "EndpointSpec", "Ports"));
  assert.deepEqual(at(after, "TaskTemplate", "ContainerSpec", "Env"), ["A=1"]);
  assert.equal(at(after, "TaskTemplate", "ForceUpdate"), 0);
});

test("update adds, replaces and removes by key", async () => {
  const before = await create(
    "-e",
    "A=1",
    "-e",
    "B=2",
    "-p",
    "80:80",
    "-p",
    "90:90",
    "--mount",
    "type=tmpfs,target=/t",
    "--host",
    "db:10.0.0.1",
  );
  const after = await update(
    before,
    ...[
      "--env-add",
      "A=9",
      "--env-rm",
      "B",
      "--publish-rm",
      "90",
      "--mount-rm",
      "/t",
      "--host-rm",
      "db:10.0.0.1",
      "--image",
      "other",
      "--force",
    ],
  );
  const container = at(after, "TaskTemplate", "ContainerSpec");
  assert.deepEqual(at(container, "Env"), ["A=9"]);
  assert.deepEqual(at(container, "Mounts"), []);
  assert.deepEqual(at(container, "Hosts"), []);
  assert.equal(at(container, "Image"), "other");
  assert.deepEqual(
    (at(after, "EndpointSpec", "Ports") as Json[]).map((port) => port["TargetPort"]),
    [80],
  );
  assert.equal(at(after, "TaskTemplate", "ForceUpdate"), 1);
});

test("update gives and takes capabilities, whatever their spelling", async () => {
  const before = await create("--cap-add", "net_admin", "--cap-drop", "ALL");
  const after = await update(before, "--cap-drop", "NET_ADMIN", "--cap-add", "CAP_CHOWN");
  assert.deepEqual(at(after, "TaskTemplate", "ContainerSpec", "CapabilityAdd"), ["CAP_CHOWN"]);
  assert.deepEqual(at(after, "TaskTemplate", "ContainerSpec", "CapabilityDrop"), ["ALL", "CAP_NET_ADMIN"]);
});

test("update takes a switch back", async () => {
  const before = await create("--init", "--read-only");
  const after = await update(before, "--init=false");
  assert.equal(at(after, "TaskTemplate", "ContainerSpec", "Init"), false);
  assert.equal(at(after, "TaskTemplate", "ContainerSpec", "ReadOnly"), true);
});

test("merging a list keeps the order of what stays", () => {
  assert.deepEqual(
    mergeList(["a=1", "b=2", "c=3"], ["b=9"], ["c"], (item) => item.split("=")[0] ?? ""),
    ["a=1", "b=9"],
  );
});

test("balance and idle timeout are fields, and a label that says them follows the flag", async () => {
  const made = await create("--balance", "localfirst", "--idle-timeout", "1m30s");
  assert.deepEqual(made["EndpointSpec"], { Balance: "localfirst", IdleTimeout: 90_000_000_000 });
  const before = {
    Labels: { "skein.balance": "localfirst" },
    EndpointSpec: { Balance: "localfirst", IdleTimeout: 5_000_000_000 },
  };
  const after = await update(before, "--balance", "sourcehash", "--idle-timeout", "0");
  assert.deepEqual(after["Labels"], { "skein.balance": "sourcehash" });
  assert.equal(at(after, "EndpointSpec", "Balance"), "sourcehash");
  assert.equal(at(after, "EndpointSpec", "IdleTimeout"), 0);
  const relabelled = await update(before, "--label-add", "skein.balance=roundrobin");
  assert.equal(at(relabelled, "EndpointSpec", "Balance"), undefined);
  assert.equal(at(relabelled, "EndpointSpec", "IdleTimeout"), 5_000_000_000);
});

test("a label that says of a port what a field says is sent back alone", async () => {
  const port = { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" };
  const before = {
    Labels: { "skein.publish.8080.allow": "10.0.0.0/8" },
    EndpointSpec: { Ports: [{ ...port, AllowedSources: ["10.0.0.0/8"], SourceMode: "snat" }] },
  };
  const after = await update(before, "--label-rm", "skein.publish.8080.allow");
  assert.deepEqual(at(after, "EndpointSpec", "Ports"), [{ ...port, SourceMode: "snat" }]);
  const kept = await update(before, "--label-add", "other=1");
  assert.deepEqual(at(kept, "EndpointSpec", "Ports"), before.EndpointSpec.Ports);
});
