import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { faultsOf, loadMemory, warningsOf, web, webOf } from "./reading-fixtures.js";
import type { Schema } from "./schema/flatten-schema.js";
import { generatedSchema, generatedValidator } from "./schema/generate-validator.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const FOLDER = resolve(HERE, HERE.includes("/dist/") ? "../../../cli/compose/schema" : "schema");
const fileText = (name: string): string => readFileSync(resolve(FOLDER, name), "utf8");

test("what is generated is what the published schema and the additions make: npm run compose-schema", () => {
  const published = JSON.parse(fileText("compose-spec.json")) as Schema; // a JSON Schema
  assert.ok(generatedSchema(published) === fileText("schema.generated.ts"), "schema.generated.ts");
  assert.ok(generatedValidator(published) === fileText("validator.generated.ts"), "validator.generated.ts");
});

/** Lines of the service web, and what is said against them. */
const FAULTS: readonly (readonly [string, string])[] = [
  ["imge: i", "imge: unknown key: did you mean image?"],
  ["replicas: 2", "replicas: unknown key: it belongs under deploy: deploy.replicas"],
  ["placment: {}", "placment: unknown key: did you mean deploy.placement?"],
  ["volume_driver: x", "volume_driver: unknown key: name the driver under the top-level volumes"],
  ["include: [a]", "include: unknown key: include stands at the top of the file"],
  ["deploy: {image: i}", "deploy.image: unknown key: it belongs to the service, not under deploy"],
  ["deploy: {replcas: 1}", "deploy.replcas: unknown key: did you mean replicas?"],
  ["healthcheck: {intervall: 1s}", "healthcheck.intervall: unknown key: did you mean interval?"],
  ["ports: [{target: 80, publish: 1}]", "ports[0].publish: unknown key: did you mean published?"],
  ["ports: 80", "ports: must be a list, got 80"],
  ["ports: [[80]]", "ports[0]: must be a number, a string or a map, got [80]"],
  ["ports: [{target: 99999}]", "ports[0].target: must be at most 65535, got 99999"],
  ["ports: [{target: 80, protocol: http}]", 'ports[0].protocol: must be tcp, udp or sctp, got "http"'],
  [
    "ports: [{target: 80, published: 9-8}]",
    'ports[0].published: must name a port of 0 to 65535 or a range, got "9-8"',
  ],
  ["ports: ['1-3:1-2']", 'ports[0]: must have ranges of the same length, got "1-3:1-2"'],
  ["ports: ['80:80', '80:80']", 'ports[1]: stands twice in the list: "80:80"'],
  ["environment: 5", "environment: must be a map or a list, got 5"],
  ["environment: {A: [1]}", "environment.A: must be a string, a number, true or false or empty, got [1]"],
  ["command: {a: b}", 'command: must be empty, a string or a list, got {"a":"b"}'],
  ["command: [sleep, 10]", 'command[1]: must be a string, got 10: write "10"'],
  ["privileged: maybe", 'privileged: must be true or false, got "maybe"'],
  ["init: 1", "init: must be true or false, got 1"],
  ["scale: -1", "scale: must be at least 0, got -1"],
  ["scale: '-1'", 'scale: must be at least 0, got "-1"'],
  ["cpu_percent: '500'", 'cpu_percent: must be at most 100, got "500"'],
  ["scale: 1.5", "scale: must be an integer, got 1.5"],
  ["scale: many", 'scale: must be an integer, got "many"'],
  ["deploy: {mode: all}", 'deploy.mode: must be replicated, global, replicated-job or global-job, got "all"'],
  [
    "deploy: {resources: {limits: {cpus: lots}}}",
    'deploy.resources.limits.cpus: must be a number of CPUs such as 0.5, got "lots"',
  ],
  ["stop_grace_period: 10", "stop_grace_period: must be a duration such as 500ms, 10s or 1m30s, got 10"],
  ["shm_size: big", 'shm_size: must be a size such as 64m or 1g, got "big"'],
  [
    "pull_policy: sometimes",
    "pull_policy: must be always, missing, never, build, daily, weekly or " +
      'every_DURATION, got "sometimes"',
  ],
  [
    "depends_on: {db: {condition: healthy}}",
    "depends_on.db.condition: must be service_started, service_healthy or " +
      'service_completed_successfully, got "healthy"',
  ],
  ["depends_on: {db: {}}", "depends_on.db: needs the key condition"],
  ["volumes: [{source: a}]", "volumes[0]: needs the key type"],
  ["volumes: [{type: volume}]", "volumes[0]: needs the key target"],
  ["gpus: some", 'gpus: must be all, got "some"'],
  [
    "deploy: {replicas: 99999999999999999999}",
    "deploy.replicas: must be an integer below 2^53, got 100000000000000000000",
  ],
  ["secrets: [{source: s, mode: 9999}]", "secrets[0].mode: must be at most 4095, got 9999"],
  ["extra_hosts: [host]", 'extra_hosts[0]: must be NAME:ADDRESS, got "host"'],
  ["command: 'echo \"open'", 'command: a quote is not closed in "echo \\"open"'],
  ["devices: ['a:b:c:d']", 'devices[0]: must be SOURCE[:TARGET[:PERMISSIONS]], got "a:b:c:d"'],
];

for (const [line, expected] of FAULTS) {
  test(`${line} is refused with its place and the rule`, async () => {
    const [first] = await faultsOf({ files: [web(line)] });
    assert.equal(first, `compose.yml:4: services.web.${expected}`);
  });
}

/** Whole files, and the first thing said against them. */
const FILE_FAULTS: readonly (readonly [string, string])[] = [
  ["image: i\n", "compose.yml:1: image: unknown key: it belongs to a service: services.NAME.image"],
  ["services: [a]\n", 'compose.yml:1: services: must be a map or empty, got ["a"]'],
  ["services: {web: i}\n", 'compose.yml:1: services.web: must be a map, got "i"'],
  [
    "services: {'a b': {}}\n",
    "compose.yml:1: services.a b: must begin with a letter or digit and hold only letters, digits, ., _ and -",
  ],
  [
    "services: {-a: {image: i}}\n",
    "compose.yml:1: services.-a: must begin with a letter or digit and hold only letters, digits, ., _ and -",
  ],
  [
    "networks: {n: {attachabel: true}}\n",
    "compose.yml:1: networks.n.attachabel: unknown key: did you mean attachable?",
  ],
  [
    "networks: {n: {external: {name: a}, name: b}}\n",
    "compose.yml:1: networks.n.external: has a name, and so has its map: leave out external.name",
  ],
  ["- a\n", 'compose.yml:1: must be a map, got ["a"]'],
];

for (const [text, expected] of FILE_FAULTS) {
  test(`${text.trim()} is refused`, async () => {
    assert.equal((await faultsOf({ files: [text] }))[0], expected);
  });
}

test("text takes the type of its key, from variables and quotes alike", async () => {
  const service = await webOf(
    web(
      "scale: '3'",
      "init: 'yes'",
      "oom_score_adj: ${X:--5}",
      "ports: [{target: '80', published: '8080'}, {target: 81, published: 8000-8010}]",
      "ulimits: {nofile: {soft: '1', hard: '-1'}}",
      "healthcheck: {retries: '2', disable: 'false'}",
      "cpu_quota: '5000'",
      "deploy: {update_config: {max_failure_ratio: '0.5', parallelism: '0'}}",
      "volumes: [{type: tmpfs, target: /t, read_only: 'true', tmpfs: {size: 5m, mode: '0755'}}]",
      "user: 1000",
      "stop_grace_period: '0'",
    ),
  );
  assert.deepEqual(service, {
    image: "i",
    scale: 3,
    init: true,
    oom_score_adj: -5,
    ports: [
      { target: 80, published: 8080 },
      { target: 81, published: "8000-8010" },
    ],
    ulimits: { nofile: { soft: 1, hard: -1 } },
    healthcheck: { retries: 2, disable: false },
    cpu_quota: 5000,
    deploy: { update_config: { max_failure_ratio: 0.5, parallelism: 0 } },
    volumes: [{ type: "tmpfs", target: "/t", read_only: true, tmpfs: { size: "5m", mode: 0o755 } }],
    user: "1000",
    stop_grace_period: "0",
  });
});

test("many faults are told up to a bound, in the order of the file", async () => {
  const lines = Array.from({ length: 500 }, (_, i) => `unknown${i}: 1`);
  const faults = await faultsOf({ files: [web(...lines)] });
  assert.equal(faults.length, 50);
  assert.match(faults[0] ?? "", /^compose\.yml:4: services\.web\.unknown0: unknown key$/);
});

test("without interpolation variables stay in the text, wherever they stand", async () => {
  const { doc } = await loadMemory({
    files: [web("scale: ${N}", "ports: ['${P}:80']", "environment: {A: $B}", "env_file: a.env")],
    interpolate: false,
  });
  const service = doc.services["web"];
  assert.deepEqual(service?.scale, "${N}");
  assert.deepEqual(service?.ports, ["${P}:80"]);
  assert.deepEqual(service?.environment, { A: "$B" });
  assert.deepEqual(service?.env_file, [{ path: "/project/a.env" }]);
});

test("keys that Docker's version 3 leaves unread are warned about in such files, and refused in others", async () => {
  const text = web("build: {context: ., unheard: 1}");
  assert.deepEqual(await faultsOf({ files: [text] }), [
    "compose.yml:4: services.web.build.unheard: unknown key",
  ]);
  assert.deepEqual(await warningsOf({ files: [`version: "3.8"\n${text}`] }), [
    "compose.yml:5: services.web.build.unheard: unknown key: it is left out",
  ]);
});
