import assert from "node:assert/strict";
import { test } from "node:test";
import { ComposeError, findingText } from "./compose-error.js";
import { type ComposeProject, loadProject } from "./load-project.js";
import { faultsOf, loadMemory } from "./reading-fixtures.js";

const surroundings = {
  folder: "/project",
  home: "/root",
  variables: { COUNT: "3", SHELL_ONLY: "s" },
  readText: async (path: string): Promise<string> => {
    if (path !== "/project/web.env") throw new Error(`cannot read ${path}`);
    return "# words\nA=file\nB=file\n";
  },
  readOptional: async (path: string): Promise<string | undefined> =>
    path === "/project/web.env" ? "# words\nA=file\nB=file\n" : undefined,
};

const load = (...texts: string[]): Promise<ComposeProject> =>
  loadProject(
    texts.map((text, i) => ({ name: i === 0 ? "compose.yml" : `more${i}.yml`, text })),
    surroundings,
  );

const lines = (...texts: readonly string[]): string => texts.map((text) => `${text}\n`).join("");

async function errorsOf(...texts: string[]): Promise<string[]> {
  try {
    await load(...texts);
  } catch (error) {
    assert.ok(error instanceof ComposeError, String(error));
    return error.message.split("\n");
  }
  throw new Error("the file was accepted");
}

test("an error names file, line, key, rule and value", async () => {
  const errors = await errorsOf(`services:
  web:
    image: nginx
    deploy:
      replicas: x
      update_config: {order: sideways}
      resources:
        limits:
          memory: lots
    stop_grace_period: 10
    ports:
      - target: 0
    restart: sometimes
`);
  assert.deepEqual(errors, [
    'compose.yml:5: services.web.deploy.replicas: must be an integer, got "x"',
    'compose.yml:6: services.web.deploy.update_config.order: must be start-first or stop-first, got "sideways"',
    'compose.yml:9: services.web.deploy.resources.limits.memory: must be a size such as 64m or 1g, got "lots"',
    "compose.yml:10: services.web.stop_grace_period: must be a duration such as 500ms, 10s or 1m30s, got 10",
    "compose.yml:12: services.web.ports[0].target: must be at least 1, got 0",
    "compose.yml:13: services.web.restart: must be no, always, unless-stopped, on-failure or " +
      'on-failure:N, got "sometimes"',
  ]);
});

test("an unknown key is an error with the nearest known one", async () => {
  assert.deepEqual(
    await errorsOf(
      "servces: {}\nservices:\n  web:\n    image: i\n    replicas: 2\n    enviroment: {}\n    zzzzzz: 1\n",
    ),
    [
      "compose.yml:1: servces: unknown key: did you mean services?",
      "compose.yml:5: services.web.replicas: unknown key: it belongs under deploy: deploy.replicas",
      "compose.yml:6: services.web.enviroment: unknown key: did you mean environment?",
      "compose.yml:7: services.web.zzzzzz: unknown key",
    ],
  );
});

test("text that is no YAML is an error with its line", async () => {
  const [first] = await errorsOf("services:\n  web: {image: nginx\n  db: x\n");
  assert.match(first ?? "", /^compose\.yml:[23]: is not YAML: /);
  assert.deepEqual(await errorsOf(""), ["compose.yml:1: must be a map, got nothing"]);
});

test("short forms have rules of their own", async () => {
  assert.deepEqual(
    await errorsOf(
      "services:\n  web:\n    image: i\n    ports:\n      - 80:80:80:80\n      - 1-3:1-2\n" +
        "    volumes:\n      - /a:/b:what\n",
    ),
    [
      'compose.yml:5: services.web.ports[0]: must be PUBLISHED:TARGET[/PROTOCOL], got "80:80:80:80"',
      'compose.yml:6: services.web.ports[1]: must have ranges of the same length, got "1-3:1-2"',
      'compose.yml:8: services.web.volumes[0]: has the unknown option "what" in "/a:/b:what"',
    ],
  );
});

test("what a service names must be declared", async () => {
  const text =
    "services:\n  web:\n    image: i\n    networks:\n      - front\n    secrets: [key]\n" +
    "    volumes: ['data:/d']\n  db:\n    command: x\n";
  assert.deepEqual(await errorsOf(text), [
    'compose.yml:5: services.web.networks.front: network "front" is not declared under the top-level networks',
    'compose.yml:6: services.web.secrets[0]: secret "key" is not declared under the top-level secrets',
    'compose.yml:7: services.web.volumes[0]: volume "data" is not declared under the top-level volumes',
    "compose.yml:8: services.db: needs the key image, or build",
  ]);
});

test("what is wrong is quoted as far as it helps", async () => {
  const long = "x".repeat(100_000);
  for (const line of [
    `image: "\${A:-${long}"`,
    `image: i\n    extra_hosts: ["${long}"]`,
    `image: i\n    command: "'${long}"`,
  ]) {
    const errors = await errorsOf(`services:\n  web:\n    ${line}\n`);
    assert.ok(errors.length === 1 && (errors[0] ?? "").length < 2_200, line.slice(0, 20));
  }
});

test("keys that exclude each other are refused", async () => {
  const text = `services:
  web: {image: i, deploy: {mode: global, replicas: 2}, healthcheck: {disable: true, test: x}}
secrets:
  none: {}
  both: {file: a, environment: B}
  outside: {external: true, file: a}
`;
  assert.deepEqual(await errorsOf(text), [
    "compose.yml:2: services.web.deploy.replicas: can only be used with mode replicated or " +
      "replicated-job, not with global",
    "compose.yml:2: services.web.healthcheck.disable: excludes test",
    "compose.yml:4: secrets.none: needs exactly one of file, environment, content, driver and external",
    "compose.yml:5: secrets.both: needs exactly one of file, environment, content, driver and external, " +
      "has file and environment",
    "compose.yml:6: secrets.outside: is external: file must be left out",
  ]);
});

test("unset variables are warned about with their place; x- keys are kept", async () => {
  const { doc, warnings } = await load(
    "x-anything: {a: 1}\nservices:\n  web:\n    image: i\n    x-own: 1\n    command: echo $UNSET\n",
  );
  assert.deepEqual(warnings.map(findingText), [
    "compose.yml:6: services.web.command: variable UNSET is not set: it is empty",
  ]);
  assert.deepEqual(doc["x-anything"], { a: 1 });
  assert.equal(doc.services["web"]?.["x-own"], 1);
});

test("interpolated text takes the type its key wants", async () => {
  const { doc } = await load(
    lines(
      "services:",
      "  web:",
      "    image: i",
      "    init: ${INIT:-true}",
      "    deploy: {replicas: '${COUNT}'}",
      "    environment: {N: '${COUNT}'}",
    ),
  );
  assert.equal(doc.services["web"]?.deploy?.replicas, 3);
  assert.equal(doc.services["web"]?.init, true);
  assert.deepEqual(doc.services["web"]?.environment, { N: "3" });
  const quoted = await load("services: {web: {image: i, deploy: {replicas: '3'}}}");
  assert.equal(quoted.doc.services["web"]?.deploy?.replicas, 3);
});

test("an env_file knows what those before it said; the shell comes first", async () => {
  const { doc } = await loadMemory({
    files: ["services: {web: {image: i, env_file: [a.env, b.env]}}"],
    others: { "/project/a.env": "A=1\nB=1\n", "/project/b.env": "C=$A-$B-$toString\n" },
    variables: { B: "shell" },
  });
  assert.deepEqual(doc.services["web"]?.environment, { A: "1", B: "1", C: "1-shell-" });
});

test("names that every object has are names like others", async () => {
  const { doc } = await loadMemory({
    files: [
      "include: [more.yml]\nservices: {web: {image: i, networks: [valueOf], environment: [toString]}}\n" +
        "networks: {valueOf: }",
    ],
    others: { "/project/more.yml": "services: {constructor: {image: i}}" },
  });
  assert.deepEqual(Object.keys(doc.services), ["web", "constructor"]);
  assert.deepEqual(doc.services["web"]?.environment, { toString: null });
  assert.deepEqual(
    await faultsOf({ files: ["services: {web: {image: i, extends: toString, depends_on: [valueOf]}}"] }),
    ['compose.yml:1: services.web.extends: there is no service "toString" in compose.yml'],
  );
});

test("environment overrides env_file, keeps numbers as written, and asks the shell for names alone", async () => {
  const { doc } = await load(
    lines(
      "services:",
      "  web:",
      "    image: i",
      "    env_file: web.env",
      "    environment:",
      "      B: own",
      "      VERSION: 1.10",
      "      SHELL_ONLY:",
      "      NOWHERE:",
    ),
  );
  assert.deepEqual(doc.services["web"]?.environment, {
    A: "file",
    B: "own",
    VERSION: "1.10",
    SHELL_ONLY: "s",
    NOWHERE: null,
  });
  assert.deepEqual(await errorsOf("services: {web: {image: i, env_file: [web.env, gone.env]}}"), [
    "compose.yml:1: services.web.env_file[1]: cannot read /project/gone.env: there is no such file",
  ]);
  const optional = await load("services: {web: {image: i, env_file: [{path: gone.env, required: false}]}}");
  assert.deepEqual(optional.doc.services["web"]?.environment, {});
});

test("anchors, merge keys and octal modes mean what they look like", async () => {
  const { doc } = await load(`x-base: &base
  image: base
  environment: {A: "1"}
services:
  web:
    <<: *base
    image: own
    secrets: [{source: key, mode: 0440}]
secrets: {key: {file: ./key.txt}}
`);
  assert.equal(doc.services["web"]?.image, "own");
  assert.deepEqual(doc.services["web"]?.environment, { A: "1" });
  assert.equal(doc.services["web"]?.secrets?.[0]?.mode, 0o440);
  assert.equal(doc.secrets["key"]?.file, "/project/key.txt");
});

test("later files add, replace and merge by key", async () => {
  const { doc, locate } = await load(
    lines(
      "services:",
      "  web:",
      "    image: one",
      "    command: [a]",
      "    environment: [A=1, B=1]",
      "    ports: ['80:80']",
      "    networks: [front]",
      "networks: {front: {}}",
    ),
    lines(
      "services:",
      "  web:",
      "    image: two",
      "    command: [b]",
      "    environment: {B: 2}",
      "    ports: ['80:80', '90:90']",
      "    networks: {back: {aliases: [w]}}",
      "networks: {back: {}}",
    ),
  );
  const web = doc.services["web"];
  assert.equal(web?.image, "two");
  assert.deepEqual(web?.command, ["b"]);
  assert.deepEqual(web?.environment, { A: "1", B: "2" });
  assert.deepEqual(
    web?.ports?.map(({ published }) => published),
    [80, 90],
  );
  assert.deepEqual(Object.keys(web?.networks ?? {}), ["front", "back"]);
  assert.deepEqual(locate(["networks", "back"]), { file: "more1.yml", line: 8 });
  assert.deepEqual(await errorsOf("services: {web: {image: i}}", "services:\n  web: {imge: i}\n"), [
    "more1.yml:2: services.web.imge: unknown key: did you mean image?",
  ]);
});

test("a file of aliases of aliases is refused before it fills the memory", async () => {
  const lines = Array.from(
    { length: 12 },
    (_, i) => `x-${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(", ")}]`,
  );
  const [first] = await errorsOf(["x-0: &a0 [x, x]", ...lines].join("\n"));
  assert.match(first ?? "", /the file unfolds to more than 200000 values/);
});
