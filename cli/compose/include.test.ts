import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf, loadMemory, warningsOf } from "./reading-fixtures.js";

test("extends takes a service of the same file, chained, own keys first", async () => {
  const text = `services:
  base: {image: base, user: root, environment: {A: "1", B: "1"}, cap_add: [X]}
  middle: {extends: {service: base}, environment: [B=2]}
  web: {extends: middle, cap_add: [Y], command: run}
`;
  const { doc } = await loadMemory({ files: [text] });
  assert.deepEqual(doc.services["web"], {
    image: "base",
    user: "root",
    environment: { A: "1", B: "2" },
    cap_add: ["X", "Y"],
    command: ["run"],
  });
});

test("extends takes a service of another file, whose paths begin at its own folder", async () => {
  const { doc } = await loadMemory({
    files: ["services: {web: {extends: {file: shared/base.yml, service: base}, init: !override false}}"],
    others: {
      "/project/shared/base.yml":
        "services:\n  base: {image: b, init: true, volumes: ['./data:/d'], env_file: own.env, " +
        "extends: {file: ../root.yml, service: root}}\n",
      "/project/root.yml": "services: {root: {image: r, hostname: h}}",
      "/project/shared/own.env": "A=1",
    },
  });
  const service = doc.services["web"];
  assert.equal(service?.image, "b");
  assert.equal(service?.hostname, "h");
  assert.equal(service?.init, false);
  assert.deepEqual(service?.environment, { A: "1" });
  assert.deepEqual(service?.volumes, [{ type: "bind", source: "/project/shared/data", target: "/d" }]);
});

test("what extends cannot do is an error with its place", async () => {
  const other = "services: {base: {image: i, extends: {file: /project/compose.yml, service: web}}}";
  const circle = "services:\n  web:\n    extends: {file: other.yml, service: base}\n";
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      "services:\n  web:\n    extends: gone\n",
      /^compose\.yml:3: services\.web\.extends: there is no service "gone" in compose\.yml$/,
    ],
    [
      "services:\n  web: {extends: db}\n  db: {extends: web}\n",
      /services extend each other in a circle: web \(compose\.yml\), then db \(compose\.yml\), then web/,
    ],
    [
      "services:\n  web:\n    extends: {file: gone.yml, service: a}\n",
      /^compose\.yml:3: services\.web\.extends\.file: cannot read \/project\/gone\.yml/,
    ],
    ["services:\n  web: {extends: {file: a.yml}}\n", /services\.web\.extends: needs the key service$/],
    [circle, /services extend each other in a circle/],
  ];
  const others = { "/project/other.yml": other, "/project/compose.yml": circle };
  for (const [text, expected] of cases)
    assert.match((await faultsOf({ files: [text], others }))[0] ?? "", expected, text);
});

test("include takes over another model with its own folder and variables", async () => {
  const { doc } = await loadMemory({
    files: ["include:\n  - sub/compose.yml\nservices:\n  web: {depends_on: [db], image: '${TAG:-none}'}\n"],
    variables: { OUTER: "shell" },
    others: {
      "/project/sub/compose.yml":
        "services: {db: {image: 'db:${TAG}-${OUTER}', volumes: ['./d:/d'], environment: [TAG]}}\n" +
        "configs: {c: {file: ./c.txt}}\n",
      "/project/sub/.env": "TAG=sub\nOUTER=file\n",
    },
  });
  assert.equal(doc.services["web"]?.image, "none");
  assert.equal(doc.services["db"]?.image, "db:sub-shell");
  assert.deepEqual(doc.services["db"]?.environment, { TAG: "sub" });
  assert.equal(doc.services["db"]?.volumes?.[0]?.source, "/project/sub/d");
  assert.equal(doc.configs["c"]?.file, "/project/sub/c.txt");
});

test("include's long form: several files, a folder and files of variables", async () => {
  const { doc } = await loadMemory({
    files: [
      "include:\n  - path: [sub/a.yml, sub/b.yml]\n    project_directory: ..\n" +
        "    env_file: [one.env, two.env]\nservices: {}\n",
    ],
    others: {
      "/project/sub/a.yml": "services: {a: {image: '$A$B', volumes: ['./x:/x']}}",
      "/project/sub/b.yml": "services: {a: {hostname: h}}",
      "/project/one.env": "A=1\nB=1\n",
      "/project/two.env": "B=2\n",
    },
  });
  assert.deepEqual(doc.services["a"], {
    image: "12",
    hostname: "h",
    volumes: [{ type: "bind", source: "/x", target: "/x" }],
  });
});

test("the same definition from two files is one; different ones are refused", async () => {
  const others = {
    "/project/a.yml": "include: [c.yml]\nservices: {a: {image: a}}",
    "/project/b.yml": "include: [c.yml]\nservices: {b: {image: b}}",
    "/project/c.yml": "services: {c: {image: c}}",
    "/project/other.yml": "services:\n  c: {image: other}\n",
  };
  const { doc } = await loadMemory({ files: ["include: [a.yml, b.yml]"], others });
  assert.deepEqual(Object.keys(doc.services).sort(), ["a", "b", "c"]);
  assert.deepEqual(await faultsOf({ files: ["include: [a.yml, other.yml]"], others }), [
    "/project/c.yml:1: services.c: is defined in /project/other.yml:2, too, which is included " +
      "(include[1]): one must go",
  ]);
});

test("files that include each other are refused with the circle", async () => {
  const others = { "/project/a.yml": "include: [b.yml]", "/project/b.yml": "include: [a.yml]" };
  assert.match(
    (await faultsOf({ files: ["include: [a.yml]"], others }))[0] ?? "",
    /^\/project\/b\.yml:1: include\[0\]: files include each other in a circle: .*a\.yml, then .*b\.yml, then .*a\.yml$/,
  );
  assert.match(
    (await faultsOf({ files: ["include: [gone.yml]"] }))[0] ?? "",
    /^compose\.yml:1: include\[0\]: cannot read \/project\/gone\.yml/,
  );
});

test("profiles: a service without one is always there", async () => {
  const text = `services:
  foo: {image: foo}
  bar: {image: bar, profiles: [test]}
  baz: {image: baz, depends_on: [bar], profiles: [test]}
  zot: {image: zot, depends_on: [bar], profiles: [debug]}
  may: {image: may, depends_on: {bar: {condition: service_started, required: false}}}
`;
  const names = async (...profiles: string[]): Promise<string[]> =>
    Object.keys((await loadMemory({ files: [text], profiles })).doc.services);
  assert.deepEqual(await names(), ["foo", "may"]);
  assert.deepEqual(await names("test"), ["foo", "bar", "baz", "may"]);
  assert.deepEqual(await names("*"), ["foo", "bar", "baz", "zot", "may"]);
  assert.deepEqual(await faultsOf({ files: [text], profiles: ["debug"] }), [
    'compose.yml:5: services.zot.depends_on.bar: service "bar" is disabled: none of its profiles is active',
  ]);
  const { doc } = await loadMemory({ files: [text] });
  assert.deepEqual(doc.services["may"]?.depends_on, {});
});

test("the variables of a file that is not read are named beside an unset one", async () => {
  const files = ["version: '3.8'\nservices:\n  web: {image: '$TAG$OTHER'}\n"];
  assert.deepEqual(await warningsOf({ files, unreadVariables: { TAG: "1" } }), [
    "compose.yml:3: services.web.image: variable TAG is not set: it is empty; .env has it, but files with " +
      "version 3 are read without it, as Docker does: use --env-file .env",
    "compose.yml:3: services.web.image: variable OTHER is not set: it is empty",
  ]);
});
