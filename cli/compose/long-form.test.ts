import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf, loadMemory, web, webOf } from "./reading-fixtures.js";
import { shellWords } from "./shell-words.js";

/** Lines of the service web, and what the key becomes. */
const FORMS: readonly (readonly [string, string, unknown])[] = [
  ["command", 'echo \'a b\' "c \\"d\\"" e\\ f # words', ["echo", "a b", 'c "d"', "e f"]],
  ["command", "[a, b c]", ["a", "b c"]],
  ["entrypoint", "''", []],
  [
    "environment",
    "{A: 1, B: true, C: , D: 1.10, E: 0440, F: ''}",
    { A: "1", B: "true", C: null, D: "1.10", E: "0440", F: "" },
  ],
  ["environment", "[A=1, B=x=y, C, D=]", { A: "1", B: "x=y", C: null, D: "" }],
  ["labels", "{a: 1, b:}", { a: "1", b: "" }],
  ["annotations", "[a=b]", { a: "b" }],
  ["sysctls", "[net.core.somaxconn=1024]", { "net.core.somaxconn": "1024" }],
  ["dns", "1.1.1.1", ["1.1.1.1"]],
  ["tmpfs", "/run:size=5m", ["/run:size=5m"]],
  ["expose", "[80, '8000-8010']", ["80", "8000-8010"]],
  ["group_add", "[mail, 7]", ["mail", "7"]],
  ["healthcheck", "{test: curl -f x}", { test: ["CMD-SHELL", "curl -f x"] }],
  ["healthcheck", "{test: [CMD, a]}", { test: ["CMD", "a"] }],
  ["extra_hosts", "['a:1.1.1.1', 'b=[::1]', 'c:host-gateway']", ["a:1.1.1.1", "b:::1", "c:host-gateway"]],
  ["extra_hosts", "{a: 1.1.1.1, b: [1.1.1.1, '::1']}", ["a:1.1.1.1", "b:1.1.1.1", "b:::1"]],
  ["gpus", "all", [{ count: "all" }]],
  [
    "gpus",
    "[{driver: nvidia, count: 2, options: [a=b]}]",
    [{ driver: "nvidia", count: 2, options: { a: "b" } }],
  ],
  ["build", "./dir", { context: "/project/dir" }],
  ["build", "https://example.org/a.git#main", { context: "https://example.org/a.git#main" }],
  [
    "build",
    "{context: ., args: [A=1], labels: {l: 1}, additional_contexts: {x: ../x, y: docker-image://z}, no_cache: 'true'}",
    {
      context: "/project",
      args: { A: "1" },
      labels: { l: "1" },
      additional_contexts: { x: "/x", y: "docker-image://z" },
      no_cache: true,
    },
  ],
  [
    "devices",
    "[/dev/a, '/dev/b:/dev/c:r', '/dev/d:rw', vendor.com/gpu=0]",
    [
      { source: "/dev/a", target: "/dev/a" },
      { source: "/dev/b", target: "/dev/c", permissions: "r" },
      { source: "/dev/d", target: "/dev/d", permissions: "rw" },
      { source: "vendor.com/gpu=0" },
    ],
  ],
  ["devices", "[{source: /dev/a, permissions: m}]", [{ source: "/dev/a", permissions: "m" }]],
  [
    "ports",
    "[80, '8080:80/udp', '127.0.0.1:81:81', '[::1]:82:82', '127.0.0.1::83', '9000-9001:90-91', '7000-7005:70']",
    [
      { target: 80, protocol: "tcp", mode: "ingress" },
      { target: 80, published: 8080, protocol: "udp", mode: "ingress" },
      { target: 81, published: 81, host_ip: "127.0.0.1", protocol: "tcp", mode: "ingress" },
      { target: 82, published: 82, host_ip: "::1", protocol: "tcp", mode: "ingress" },
      { target: 83, host_ip: "127.0.0.1", protocol: "tcp", mode: "ingress" },
      { target: 90, published: 9000, protocol: "tcp", mode: "ingress" },
      { target: 91, published: 9001, protocol: "tcp", mode: "ingress" },
      { target: 70, published: "7000-7005", protocol: "tcp", mode: "ingress" },
    ],
  ],
  [
    "ports",
    "[{target: 80, published: '', host_ip: 1.1.1.1, app_protocol: http, name: n}]",
    [{ target: 80, host_ip: "1.1.1.1", app_protocol: "http", name: "n" }],
  ],
  [
    "volumes",
    "[/anonymous, './a:/a', .cache:/cache, '~/b:/b:ro', '/c:/c:rshared,z', 'C:\\d:/d', '../e:/e:cached']",
    [
      { type: "volume", target: "/anonymous" },
      { type: "bind", source: "/project/a", target: "/a" },
      { type: "bind", source: "/project/.cache", target: "/cache" },
      { type: "bind", source: "/root/b", target: "/b", read_only: true },
      { type: "bind", source: "/c", target: "/c", bind: { propagation: "rshared", selinux: "z" } },
      { type: "bind", source: "C:\\d", target: "/d" },
      { type: "bind", source: "/e", target: "/e", consistency: "cached" },
    ],
  ],
  [
    "volumes",
    "[{type: bind, source: ./a, target: /a, bind: {create_host_path: 'yes'}}]",
    [{ type: "bind", source: "/project/a", target: "/a", bind: { create_host_path: true } }],
  ],
  ["ulimits", "{nofile: 5, core: {soft: 1, hard: 2}}", { nofile: 5, core: { soft: 1, hard: 2 } }],
  ["logging", "{driver: x, options: {n: 5, none:}}", { driver: "x", options: { n: "5", none: "" } }],
  ["credential_spec", "{file: a.json}", { file: "a.json" }],
  ["storage_opt", "{size: 1G}", { size: "1G" }],
  [
    "develop",
    "{watch: [{path: ./src, action: sync, target: /src, ignore: a/}]}",
    {
      watch: [{ path: "/project/src", action: "sync", target: "/src", ignore: ["a/"] }],
    },
  ],
  [
    "post_start",
    "[{command: a b, environment: [X=1], privileged: 'no'}]",
    [{ command: ["a", "b"], environment: { X: "1" }, privileged: false }],
  ],
  [
    "deploy",
    "{labels: [a=b], resources: {reservations: {devices: [{capabilities: [gpu], count: '1'}]}}}",
    {
      labels: { a: "b" },
      resources: { reservations: { devices: [{ capabilities: ["gpu"], count: 1 }] } },
    },
  ],
  ["deploy", "", undefined],
  ["x-own", "{any: [thing, 1]}", { any: ["thing", 1] }],
];

for (const [key, text, expected] of FORMS) {
  test(`${key}: ${text}`, async () => {
    const service = await webOf(web(`${key}: ${text}`));
    assert.deepEqual(service[key as keyof typeof service], expected); // a key of the table
    // the long form is its own long form
    const again = JSON.stringify({ services: { web: service } });
    assert.deepEqual(await webOf(again), service);
  });
}

test("dependencies, networks and models as lists are maps", async () => {
  const { doc } = await loadMemory({
    files: [
      web("depends_on: [db]", "networks: [n]", "models: [m]") +
        "  db: {image: d, networks: {n:, default: {priority: '5'}}}\n" +
        "networks: {n:}\nmodels: {m: {model: ai/x}}\n",
    ],
  });
  const { db, web: service } = doc.services;
  assert.deepEqual(service?.depends_on, { db: { condition: "service_started" } });
  assert.deepEqual(service?.networks, { n: {} });
  assert.deepEqual(service?.models, { m: {} });
  assert.deepEqual(db?.networks, { n: {}, default: { priority: 5 } });
  assert.deepEqual(doc.networks, { n: {} });
});

test("top-level objects have one form, external ones a name", async () => {
  const { doc } = await loadMemory({
    files: [
      `name: p
${web()}networks:
  a: {external: true}
  b: {external: {name: other}}
  c: {external: false, driver_opts: {n: 1}, labels: [x=y], attachable: 'true'}
volumes:
  v:
  w: {driver: local, driver_opts: {type: none, o: bind, device: ./data}}
secrets:
  s: {file: ./s.txt}
  e: {environment: NAME}
configs:
  c: {content: "text"}
  f: {file: ~/c.txt, template_driver: golang}
x-top: 1
`,
    ],
  });
  const { services: _, ...rest } = doc;
  assert.deepEqual(rest, {
    name: "p",
    "x-top": 1,
    networks: {
      a: { name: "a", external: true },
      b: { name: "other", external: true },
      c: { driver_opts: { n: "1" }, labels: { x: "y" }, attachable: true },
    },
    volumes: {
      v: {},
      w: { driver: "local", driver_opts: { type: "none", o: "bind", device: "/project/data" } },
    },
    secrets: { s: { file: "/project/s.txt" }, e: { environment: "NAME" } },
    configs: { c: { content: "text" }, f: { file: "/root/c.txt", template_driver: "golang" } },
  });
});

test("a command line has the words a shell would make", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["", []],
    ["  a   b ", ["a", "b"]],
    ["a'b c'd", ["ab cd"]],
    ["'' \"\"", ["", ""]],
    ["\"a\\nb\" 'a\\nb'", ["a\\nb", "a\\nb"]],
    ["a#b #c\nd", ["a#b", "d"]],
    ['sh -c "echo $HOME && ls"', ["sh", "-c", "echo $HOME && ls"]],
    ["a\\\\b", ["a\\b"]],
  ];
  for (const [text, expected] of cases) assert.deepEqual(shellWords(text), expected, text);
  for (const text of ['"', "a 'b", "x\\"])
    assert.throws(() => shellWords(text), /a quote is not closed/, text);
});

const many = Array.from({ length: 10_000 }, (_, i) => `A${i}: b`).join(", ");

test("what grows without bound in long form is refused", async () => {
  const x = "x".repeat(1_000_000);
  const cases: readonly (readonly [string, RegExp])[] = [
    [web(`ports: ["${x}"]`), /ports\[0\]: is longer than 4096 characters/],
    [web(`volumes: ["${x}"]`), /volumes\[0\]: is longer than 4096 characters/],
    [web(`devices: ["${x}"]`), /devices\[0\]: is longer than 4096 characters/],
    [
      `version: "3"\n${web(`ports: [${Array.from({ length: 50 }, (_, i) => `"0-65535:${i + 1}"`).join(", ")}]`)}`,
      /ports\[1\]: brings the file to more than 100000 ports/,
    ],
    [
      `services:\n  s: {image: i, environment: {${many}}}\n` +
        Array.from({ length: 100 }, (_, i) => `  s${i}: {extends: s}`).join("\n"),
      /extends: extends brings more than 500000 values/,
    ],
    [web(`command: "${"$BIG".repeat(1_000)}"`), /command: becomes longer than 2097152 characters/],
  ];
  for (const [text, expected] of cases)
    assert.match(
      (await faultsOf({ files: [text], variables: { BIG: "x".repeat(10_000) } }))[0] ?? "",
      expected,
    );
});
