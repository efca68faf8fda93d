import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Raw } from "./long-form.js";
import { mergeProjects } from "./merge.js";
import { loadMemory, web, webOf } from "./reading-fixtures.js";
import { type Key, Marks, Sources, type Tag } from "./sources.js";

/** First file, second file, key of the service, what it becomes. */
const CASES: readonly (readonly [string, string, string, unknown])[] = [
  ["command: [a]", "command: b c", "command", ["b", "c"]],
  ["entrypoint: [a]", "entrypoint: []", "entrypoint", []],
  [
    "healthcheck: {test: [CMD, a], retries: 1}",
    "healthcheck: {test: b}",
    "healthcheck",
    { test: ["CMD-SHELL", "b"], retries: 1 },
  ],
  ["environment: [A=1, B=1]", "environment: {B: 2, C:}", "environment", { A: "1", B: "2", C: null }],
  ["labels: {a: 1}", "labels: [a=2, b]", "labels", { a: "2", b: "" }],
  ["dns: 1.1.1.1", "dns: [8.8.8.8]", "dns", ["1.1.1.1", "8.8.8.8"]],
  ["cap_add: [A, B]", "cap_add: [B, C]", "cap_add", ["A", "B", "C"]],
  [
    "ports: ['80:80']",
    "ports: ['80:80/udp', '81:80', '80:80']",
    "ports",
    [
      { target: 80, published: 80, protocol: "tcp", mode: "ingress" },
      { target: 80, published: 80, protocol: "udp", mode: "ingress" },
      { target: 80, published: 81, protocol: "tcp", mode: "ingress" },
    ],
  ],
  [
    "ports: ['80:80']",
    "ports: [{target: 80, published: 80, mode: host}]",
    "ports",
    [{ target: 80, published: 80, mode: "host" }],
  ],
  [
    "volumes: ['./a:/w', './b:/v']",
    "volumes: ['./c:/w:ro']",
    "volumes",
    [
      { type: "bind", source: "/project/c", target: "/w", read_only: true },
      { type: "bind", source: "/project/b", target: "/v" },
    ],
  ],
  [
    "extra_hosts: {a: 1.1.1.1}",
    "extra_hosts: ['a:1.1.1.1', 'b=[::1]']",
    "extra_hosts",
    ["a:1.1.1.1", "b:::1"],
  ],
  [
    "logging: {driver: a, options: {x: 1}}",
    "logging: {options: {y: 2}}",
    "logging",
    { driver: "a", options: { x: "1", y: "2" } },
  ],
  ["logging: {driver: a, options: {x: 1}}", "logging: {driver: b}", "logging", { driver: "b" }],
  [
    "ulimits: {nofile: {soft: 1, hard: 2}, core: 1}",
    "ulimits: {nofile: 5}",
    "ulimits",
    { nofile: 5, core: 1 },
  ],
  [
    "deploy: {replicas: 1, labels: {a: b}}",
    "deploy: {replicas: 2}",
    "deploy",
    { replicas: 2, labels: { a: "b" } },
  ],
  ["tmpfs: /a", "tmpfs: [/b]", "tmpfs", ["/a", "/b"]],
  ["devices: [/dev/a]", "devices: ['/dev/b:/dev/a']", "devices", [{ source: "/dev/b", target: "/dev/a" }]],
  ["build: .", "build: {target: t}", "build", { context: "/project", target: "t" }],
  // tags
  ["ports: ['80:80']", "ports: !reset []", "ports", undefined],
  ["environment: {A: 1, B: 2}", "environment: {A: !reset null}", "environment", { B: "2" }],
  [
    "ports: ['80:80']",
    "ports: !override ['81:81']",
    "ports",
    [{ target: 81, published: 81, protocol: "tcp", mode: "ingress" }],
  ],
  ["environment: {A: 1}", "environment: !override {B: 2}", "environment", { B: "2" }],
  ["init: true", "init: !reset null", "init", undefined],
  ["deploy: {replicas: 3, mode: replicated}", "deploy: !override {replicas: 1}", "deploy", { replicas: 1 }],
];

for (const [first, second, key, expected] of CASES) {
  test(`${first} and ${second} become one`, async () => {
    const service = await webOf(web(first), web(second));
    assert.deepEqual(service[key as keyof typeof service], expected); // a key of the table
  });
}

test("a service, a network or a whole section can be taken away or replaced", async () => {
  const first = `${web("networks: [a]")}  db: {image: d}\nnetworks: {a: {driver: overlay, labels: {x: y}}}\n`;
  const { doc } = await loadMemory({
    files: [first, "services:\n  db: !reset null\nnetworks:\n  a: !override {internal: true}\n"],
  });
  assert.deepEqual(Object.keys(doc.services), ["web"]);
  assert.deepEqual(doc.networks, { a: { internal: true } });
});

test("a third file adds to what the second took away, not to what the first had", async () => {
  const service = await webOf(web("cap_add: [A]"), web("cap_add: !reset []"), web("cap_add: [C]"));
  assert.deepEqual(service.cap_add, ["C"]);
});

test("networks of a service merge by name, pools by subnet, dependencies by service", async () => {
  const { doc } = await loadMemory({
    files: [
      `${web("networks: [a]", "depends_on: [db]")}  db: {image: d}\n` +
        "networks: {a: {ipam: {config: [{subnet: 10.0.0.0/24, gateway: 10.0.0.1}]}}, b: {}}\n",
      `${web("networks: {a: {aliases: [w]}, b: {}}", "depends_on: {db: {condition: service_healthy}}")}` +
        "networks: {a: {ipam: {config: [{subnet: 10.0.0.0/24, ip_range: 10.0.0.128/25}]}}}\n",
    ],
  });
  assert.deepEqual(doc.services["web"]?.networks, { a: { aliases: ["w"] }, b: {} });
  assert.deepEqual(doc.services["web"]?.depends_on, { db: { condition: "service_healthy" } });
  assert.deepEqual(doc.networks["a"]?.ipam?.config, [
    { subnet: "10.0.0.0/24", gateway: "10.0.0.1", ip_range: "10.0.0.128/25" },
  ]);
});

test("secrets and configs of a service merge by target", async () => {
  const { doc } = await loadMemory({
    files: [
      `${web("secrets: [one]")}secrets: {one: {file: a}, two: {file: b}}\n`,
      web("secrets: [{source: two, target: /run/secrets/one}, two]"),
    ],
  });
  assert.deepEqual(doc.services["web"]?.secrets, [
    { source: "two", target: "/run/secrets/one" },
    { source: "two" },
  ]);
});

test("a finding names the file that says it", async () => {
  const { locate } = await loadMemory({
    files: [web("init: true", "cap_add: [A]"), web("init: false", "cap_add: [B]")],
  });
  assert.deepEqual(locate(["services", "web", "init"]), { file: "more1.yml", line: 4 });
  assert.deepEqual(locate(["services", "web", "cap_add", 1]), { file: "more1.yml", line: 5 });
  assert.deepEqual(locate(["services", "web", "gone", "deep"]), { file: "compose.yml", line: 2 });
});

/** A project with tags, as the reader makes it. */
interface Tagged {
  readonly build: (sources: Sources) => Raw;
}

const keys = fc.constantFrom("a", "b", "c");
const tree = fc.letrec<{ map: Tagged; value: Tagged | number | readonly string[] }>((tie) => ({
  map: fc
    .uniqueArray(
      fc.record({
        key: keys,
        value: tie("value"),
        tag: fc.constantFrom<Tag | undefined>(undefined, undefined, "reset", "override"),
      }),
      { selector: ({ key }) => key, maxLength: 3 },
    )
    .map(
      (entries): Tagged => ({
        build: (sources) => {
          const marks = new Marks();
          const tags = new Map<Key, Tag>();
          const made: Record<string, unknown> = {};
          for (const { key, value, tag } of entries) {
            marks.set(key, 1);
            if (tag !== undefined) tags.set(key, tag);
            if (tag === "reset") continue;
            made[key] = typeof value === "object" && "build" in value ? value.build(sources) : value;
          }
          return sources.set(made, { marks, tags });
        },
      }),
    ),
  value: fc.oneof(
    { depthSize: "small" },
    fc.integer({ min: 0, max: 3 }),
    fc.uniqueArray(fc.constantFrom("x", "y", "z"), { maxLength: 2 }),
    tie("map"),
  ),
})).map;

test("merging is associative, with tags, so the order of reading never shows", () => {
  fc.assert(
    fc.property(tree, tree, tree, (one, two, three) => {
      const sources = new Sources();
      const rules = { sources, isVersion3: false };
      const [a, b, c] = [one.build(sources), two.build(sources), three.build(sources)];
      const left = mergeProjects(mergeProjects(a, b, rules), c, rules);
      const right = mergeProjects(a, mergeProjects(b, c, rules), rules);
      assert.deepEqual(left, right);
    }),
  );
});

test("merging with nothing, and with itself, changes nothing", () => {
  fc.assert(
    fc.property(tree, (one) => {
      const sources = new Sources();
      const rules = { sources, isVersion3: false };
      const a = one.build(sources);
      assert.deepEqual(mergeProjects(a, {}, rules), a);
      assert.deepEqual(mergeProjects({}, a, rules), a);
      assert.deepEqual(mergeProjects(a, a, rules), a);
    }),
  );
});
