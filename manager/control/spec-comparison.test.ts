/**
 * Pairs of specifications that mean the same, and pairs that only look like it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { DnsConfig, PlacementStrategy, Privileges, ServiceSpec } from "../../proto/gen/skein/v1/types.js";
import { isDirty } from "../orchestrator/spec-equality.js";
import { describeSpecChange } from "./spec-change.js";
import { compareServiceSpecs } from "./spec-comparison.js";

type Given = Parameters<typeof ServiceSpec.fromPartial>[0];
type GivenTask = NonNullable<Given["task"]>;

const of = (given: Given): ServiceSpec => ServiceSpec.fromPartial(given);
const task = (given: GivenTask): Given => ({ task: { container: { image: "i" }, ...given } });
const container = (given: object): Given => ({ task: { container: { image: "i", ...given } } });
const image = (name: string): Given => ({ task: { container: { image: name } } });
const ports = (...given: object[]): Given => ({ endpoint: { ports: given } });
const resources = (given: object): Given => task({ resources: given });
const placement = (given: object): Given => task({ placement: given });
const job = (value: { maxConcurrent: number; totalCompletions: number }): Given => ({
  mode: { $case: "replicatedJob", value },
});
const DIGEST = `sha256:${"a".repeat(64)}`;

const SAME: readonly (readonly [string, Given, Given])[] = [
  ["order of variables", container({ env: ["A=1", "B=2"] }), container({ env: ["B=2", "A=1"] })],
  ["order of labels", container({ labels: { a: "1", b: "2" } }), container({ labels: { b: "2", a: "1" } })],
  [
    "order of mounts",
    container({ mounts: [{ target: "/a" }, { target: "/b" }] }),
    container({ mounts: [{ target: "/b" }, { target: "/a" }] }),
  ],
  [
    "options of mounts",
    container({ mounts: [{ target: "/a", volumeOptions: {}, consistency: "default" }] }),
    container({ mounts: [{ target: "/a" }] }),
  ],
  ["stop grace period", container({ stopGracePeriodMs: 10_000 }), container({})],
  ["no privileges", container({ privileges: Privileges.fromPartial({}) }), container({})],
  ["no DNS settings", container({ dnsConfig: DnsConfig.fromPartial({}) }), container({})],
  ["health check of the image", container({ healthcheck: {} }), container({})],
  ["isolation", container({ isolation: "default" }), container({})],
  [
    "names of capabilities",
    container({ capabilityAdd: ["CAP_NET_ADMIN", "sys_time"] }),
    container({ capabilityAdd: ["SYS_TIME", "NET_ADMIN"] }),
  ],
  [
    "owner of a secret's file",
    container({ secrets: [{ secretId: "s", file: { name: "s", uid: "0", gid: "0" } }] }),
    container({ secrets: [{ secretId: "s", file: { name: "s" } }] }),
  ],
  ["no resources", resources({ limits: {}, reservations: {} }), task({})],
  ["zero resources", resources({ limits: { nanoCpus: 0, memoryBytes: 0 } }), resources({})],
  [
    "order of generic resources",
    resources({ reservations: { generic: [{ kind: "a" }, { kind: "b" }] } }),
    resources({ reservations: { generic: [{ kind: "b" }, { kind: "a" }] } }),
  ],
  ["restart delay", task({ restart: { delayMs: 5_000 } }), task({})],
  ["no placement", placement({}), task({})],
  ["order of constraints", placement({ constraints: ["a", "b"] }), placement({ constraints: ["b", "a"] })],
  [
    "order of networks and aliases",
    task({ networks: [{ target: "a", aliases: ["x", "y"] }, { target: "b" }] }),
    task({ networks: [{ target: "b" }, { target: "a", aliases: ["y", "x"] }] }),
  ],
  [
    "order of ports",
    ports({ targetPort: 80 }, { targetPort: 81 }),
    ports({ targetPort: 81 }, { targetPort: 80 }),
  ],
  ["no ports", { endpoint: {} }, {}],
  ["update settings", { update: { parallelism: 1, monitorMs: 5_000 } }, {}],
  ["rollback settings", { rollback: { parallelism: 1 } }, { rollback: { parallelism: 1, monitorMs: 5_000 } }],
  [
    "a job's concurrency",
    job({ maxConcurrent: 0, totalCompletions: 3 }),
    job({ maxConcurrent: 3, totalCompletions: 3 }),
  ],
  ["registry and repository", image("docker.io/library/nginx:1"), image("nginx:1")],
  ["tag", image("nginx"), image("nginx:latest")],
  ["old name of the registry", image("index.docker.io/a/b"), image("a/b:latest")],
  ["tag beside a digest", image(`nginx:latest@${DIGEST}`), image(`docker.io/library/nginx@${DIGEST}`)],
  ["registry of one's own", image("r.example:5000/a"), image("r.example:5000/a:latest")],
];

const OTHER: readonly (readonly [string, Given, Given, string])[] = [
  ["variable A", container({ env: ["A=1", "B=2"] }), container({ env: ["A=2", "B=2"] }), "variable A"],
  [
    "the last of two variables wins",
    container({ env: ["A=1", "A=2"] }),
    container({ env: ["A=2", "A=1"] }),
    "order of variables",
  ],
  ["order of arguments", container({ args: ["a", "b"] }), container({ args: ["b", "a"] }), "arguments"],
  ["privileges", container({}), container({ privileges: { noNewPrivileges: true } }), "privileges"],
  ["init is the daemon's choice", container({}), container({ init: false }), "init"],
  [
    "order of name servers",
    container({ dnsConfig: { nameservers: ["1.1.1.1", "2.2.2.2"] } }),
    container({ dnsConfig: { nameservers: ["2.2.2.2", "1.1.1.1"] } }),
    "DNS settings",
  ],
  ["image", image("nginx:1"), image("nginx:2"), "image nginx:1 to nginx:2"],
  [
    "digest",
    image(`nginx:1@${DIGEST}`),
    image(`nginx:1@${DIGEST.replace("a", "b")}`),
    "image nginx:1 (new digest)",
  ],
  ["digest found", image("nginx:1"), image(`nginx:1@${DIGEST}`), "image nginx:1 (new digest)"],
  ["tags of one digest", image(`nginx:1@${DIGEST}`), image(`nginx:2@${DIGEST}`), "image nginx:1 to nginx:2"],
  ["registries", image("a/b"), image("r.example/a/b"), "image a/b to r.example/a/b"],
  ["a port is no registry", image("a:5000/b"), image("a/b"), "image a:5000/b to a/b"],
  [
    "secret added",
    container({}),
    container({ secrets: [{ secretId: "1", secretName: "db" }] }),
    "secret db added",
  ],
  [
    "secret's version",
    container({ secrets: [{ secretId: "1", secretName: "db", version: 1 }] }),
    container({ secrets: [{ secretId: "1", secretName: "db", version: 2 }] }),
    "secret db version 2",
  ],
  [
    "mount",
    container({ mounts: [{ target: "/d", source: "a" }] }),
    container({ mounts: [{ target: "/d", source: "b" }] }),
    "mount /d",
  ],
  [
    "order of preferences",
    placement({ spreadPreferences: ["a", "b"] }),
    placement({ spreadPreferences: ["b", "a"] }),
    "placement",
  ],
  ["constraints", placement({}), placement({ constraints: ["node.role==manager"] }), "constraints"],
  ["limits", task({}), resources({ limits: { memoryBytes: 1 } }), "limits"],
  ["reservations", task({}), resources({ reservations: { nanoCpus: 1 } }), "reservations"],
  ["pids", task({}), resources({ limitPids: 9 }), "limits"],
  ["restart delay", task({}), task({ restart: { delayMs: 0 } }), "restart policy"],
  ["networks", task({}), task({ networks: [{ target: "n" }] }), "networks"],
  ["forced", task({}), task({ forceUpdate: 1 }), "forced"],
  ["log driver", task({}), task({ logDriver: { name: "json-file" } }), "log driver"],
  ["ports", {}, ports({ targetPort: 80 }), "published ports"],
  ["mode of endpoint", {}, { endpoint: { mode: "ENDPOINT_MODE_DNSRR" } }, "endpoint mode"],
  ["labels", {}, { annotations: { labels: { a: "1" } } }, "labels"],
  ["update settings", {}, { update: { parallelism: 2 } }, "update settings"],
  [
    "replicas",
    { mode: { $case: "replicated", value: { replicas: 2 } } },
    { mode: { $case: "replicated", value: { replicas: 5 } } },
    "replicas 2 to 5",
  ],
  [
    "many",
    container({ image: "a:1", env: ["A=1", "B=1"], user: "u", dir: "/", hostname: "h" }),
    { ...container({ image: "a:2", env: ["A=2", "B=2"], tty: true }), update: { parallelism: 9 } },
    "image a:1 to a:2, 2 variables, hostname, working directory, user, terminal and 1 more",
  ],
];

test("what means the same changes nothing: no task is dirty, and nothing is said", () => {
  for (const [name, a, b] of SAME) {
    for (const [before, after] of [
      [of(a), of(b)],
      [of(b), of(a)],
    ] as const) {
      const comparison = compareServiceSpecs(before, after);
      assert.equal(comparison.same, true, name);
      assert.equal(comparison.merged.task, before.task, `${name}: the old spelling is kept`);
      assert.equal(describeSpecChange(before, after), "", name);
      const old = Task.fromPartial({ spec: before.task, endpoint: { spec: before.endpoint } });
      assert.equal(isDirty(old, Service.fromPartial({ spec: after }), undefined), false, name);
    }
  }
});

test("what means something else is told in words", () => {
  for (const [name, before, after, words] of OTHER) {
    assert.equal(compareServiceSpecs(of(before), of(after)).same, false, name);
    assert.equal(describeSpecChange(of(before), of(after)), words, name);
  }
});

test("another strategy is a change that is stored, but a job need not run again for it", () => {
  const [before, after] = [of(task({})), of(placement({ strategy: PlacementStrategy.BIN_PACK }))];
  const { same, sameRun, merged } = compareServiceSpecs(before, after);
  assert.deepEqual([same, sameRun], [false, true]);
  assert.equal(merged.task?.placement?.strategy, PlacementStrategy.BIN_PACK);
  assert.equal(describeSpecChange(before, after), "placement");
  assert.equal(compareServiceSpecs(before, of(task({ forceUpdate: 1 }))).sameRun, false);
});

test("values of variables are never told", () => {
  const words = describeSpecChange(of(container({ env: [] })), of(container({ env: ["KEY=hunter2"] })));
  assert.equal(words, "variable KEY");
});
