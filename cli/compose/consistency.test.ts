import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf, loadMemory, warningsOf, web } from "./reading-fixtures.js";

/** Lines of the service web, or a whole file, and what is said against it. */
const FAULTS: readonly (readonly [string, string])[] = [
  ["networks: [gone]", 'networks.gone: network "gone" is not declared under the top-level networks'],
  ["volumes: ['gone:/v']", 'volumes[0]: volume "gone" is not declared under the top-level volumes'],
  ["secrets: [gone]", 'secrets[0]: secret "gone" is not declared under the top-level secrets'],
  ["configs: [{source: gone}]", 'configs[0]: config "gone" is not declared under the top-level configs'],
  ["models: [gone]", 'models.gone: model "gone" is not declared under the top-level models'],
  ["build: {secrets: [gone]}", 'build.secrets[0]: secret "gone" is not declared under the top-level secrets'],
  [
    "credential_spec: {config: gone}",
    'credential_spec.config: config "gone" is not declared under the top-level configs',
  ],
  ["depends_on: [gone]", 'depends_on.gone: there is no service "gone"'],
  ["depends_on: [web]", "depends_on: services wait for each other in a circle: web, then web"],
  ["network_mode: service:gone", 'network_mode: service "gone" is not there'],
  ["links: ['gone:alias']", 'links[0]: service "gone" is not there'],
  ["volumes_from: ['gone:ro']", 'volumes_from[0]: service "gone" is not there'],
  [
    "deploy: {mode: global, replicas: 2}",
    "deploy.replicas: can only be used with mode replicated or replicated-job, not with global",
  ],
  ["healthcheck: {disable: true, test: x}", "healthcheck.disable: excludes test"],
  [
    "healthcheck: {test: [curl, x]}",
    'healthcheck.test: must begin with CMD, CMD-SHELL or NONE when it is a list, got "curl"',
  ],
  ["volumes: [{type: bind, target: /a}]", "volumes[0]: needs a source, as its type is bind"],
  ["volumes: ['/a:/x', '/b:/x']", "volumes[1]: mounts /x, and so does volumes[0]"],
  ["develop: {watch: [{path: ., action: sync}]}", "develop.watch[0]: needs a target, as its action is sync"],
];

for (const [line, expected] of FAULTS) {
  test(`${line} is refused`, async () => {
    assert.deepEqual(await faultsOf({ files: [web(line)] }), [`compose.yml:4: services.web.${expected}`]);
  });
}

/** Pairs of keys, with the line and the words. */
const PAIRS: readonly (readonly [string, string, string])[] = [
  ["networks: [default]", "network_mode: bridge", "5: services.web.network_mode: excludes networks"],
  [
    "network_mode: host",
    "ports: ['80:80']",
    "5: services.web.ports: cannot be published with network_mode: host: the node's ports are used as they are",
  ],
  [
    "deploy: {replicas: 2}",
    "container_name: one",
    "5: services.web.container_name: names one container, and there are 2 replicas",
  ],
  [
    "deploy: {replicas: 2}",
    "scale: 3",
    "5: services.web.scale: is 3, and deploy.replicas is 2: leave one out",
  ],
  [
    "deploy: {resources: {limits: {memory: 1g}}}",
    "mem_limit: 512m",
    "5: services.web.mem_limit: is 512m, and deploy.resources.limits.memory is 1g: leave one out",
  ],
  [
    "deploy: {resources: {limits: {cpus: '1'}}}",
    "cpus: 0.5",
    "5: services.web.cpus: is 0.5, and deploy.resources.limits.cpus is 1: leave one out",
  ],
  [
    "platform: linux/arm64",
    "build: {platforms: [linux/amd64]}",
    "5: services.web.build.platforms: must hold linux/arm64, which the service's platform is",
  ],
  ["volumes: ['/a:/x']", "tmpfs: [/x]", "5: services.web.tmpfs[0]: mounts /x, and so does volumes[0]"],
];

for (const [one, other, expected] of PAIRS) {
  test(`${one} beside ${other} is refused`, async () => {
    assert.deepEqual(await faultsOf({ files: [web(one, other)] }), [`compose.yml:${expected}`]);
  });
}

test("the same amount in two words is no contradiction", async () => {
  const deploy = "deploy: {replicas: 2, resources: {limits: {memory: 1g, cpus: '0.50', pids: 5}}}";
  await loadMemory({ files: [web(deploy, "scale: 2", "mem_limit: 1024m", "cpus: 0.5", "pids_limit: 5")] });
});

test("a circle of dependencies is named, however long", async () => {
  const text = `services:
  a: {image: i, depends_on: [b]}
  b: {image: i, depends_on: [x, c]}
  c: {image: i, depends_on: [b]}
  x: {image: i}
`;
  assert.deepEqual(await faultsOf({ files: [text] }), [
    "compose.yml:3: services.b.depends_on: services wait for each other in a circle: b, then c, then b",
  ]);
});

test("secrets and configs have one source; what is external has no other keys", async () => {
  const text = `${web()}secrets:
  none: {}
  both: {file: a, environment: B}
  outside: {external: true, file: a}
volumes:
  v: {external: true, driver: local}
networks:
  n: {external: true, internal: true}
`;
  assert.deepEqual(await faultsOf({ files: [text] }), [
    "compose.yml:5: secrets.none: needs exactly one of file, environment, content, driver and external",
    "compose.yml:6: secrets.both: needs exactly one of file, environment, content, driver and external, " +
      "has file and environment",
    "compose.yml:7: secrets.outside: is external: file must be left out",
    "compose.yml:9: volumes.v: is external: driver must be left out",
    "compose.yml:11: networks.n: is external: internal must be left out",
  ]);
});

test("a service needs an image, or what makes one", async () => {
  assert.deepEqual(await faultsOf({ files: ["services:\n  web: {command: x}\n"] }), [
    "compose.yml:2: services.web: needs the key image, or build",
  ]);
  await loadMemory({ files: ["services: {web: {build: .}, p: {provider: {type: x}}}"] });
});

test("version 3 files are read as Docker's client reads them", async () => {
  const text = `version: "3.8"
services:
  web:
    image: i
    depends_on: [gone, db]
    container_name: one
    network_mode: host
    networks: [default]
    links: [gone]
    ports: ["8000-8001:80"]
    deploy: {replicas: 2}
    environment: {EMPTY: "", N: 1.10}
    env_file: web.env
  db: {image: d, depends_on: [web]}
`;
  const project = {
    files: [text],
    variables: { EMPTY: "from the shell" },
    others: { "/project/web.env": "Q='quoted' # kept\nD=$X\n" },
  };
  const { doc } = await loadMemory(project);
  const { web: service } = doc.services;
  assert.equal(doc.version, "3.8");
  assert.deepEqual(
    service?.ports?.map(({ target, published }) => [target, published]),
    [
      [80, 8000],
      [80, 8001],
    ],
  );
  assert.deepEqual(service?.environment, {
    Q: "'quoted' # kept",
    D: "$X",
    EMPTY: "from the shell",
    N: "1.1",
  });
  assert.equal(service?.depends_on, undefined);
  assert.deepEqual(await warningsOf(project), [
    "compose.yml:12: services.web.environment.N: 1.10 is read as the number 1.1, as Docker does in version 3 " +
      "files: quote it",
    'compose.yml:5: services.web.depends_on.gone: there is no service "gone": it is not waited for',
    "compose.yml:5: services.web.depends_on: services wait for each other in a circle: web, then db, then web: " +
      "no service waits for another",
  ]);
});

test("several version 3 files merge ports by the published one, and files by their source", async () => {
  const { doc } = await loadMemory({
    files: [
      `version: "3.8"\n${web("ports: ['80:80']", "configs: [c]")}configs: {c: {file: c}}\n`,
      `version: "3.8"\n${web("ports: ['80:8080']", "configs: [{source: c, target: /x}]")}`,
    ],
  });
  assert.deepEqual(doc.services["web"]?.ports, [
    { target: 8080, published: 80, protocol: "tcp", mode: "ingress" },
  ]);
  assert.deepEqual(doc.services["web"]?.configs, [{ source: "c", target: "/x" }]);
});
