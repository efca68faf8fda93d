import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import type { ComposeDoc, ServiceDoc } from "./model.js";
import { durationText, projectText } from "./print-project.js";

const EMPTY = { networks: {}, volumes: {}, secrets: {}, configs: {} };
const withService = (service: ServiceDoc): ComposeDoc => ({ ...EMPTY, services: { web: service } });

test("durations print as Go prints them", () => {
  for (const [ns, text] of [
    [0, "0s"],
    [5, "5ns"],
    [1500, "1.5µs"],
    [20e6, "20ms"],
    [1.5e9, "1.5s"],
    [60e9, "1m0s"],
    [90e9, "1m30s"],
    [3600e9, "1h0m0s"],
    [90_061e9, "25h1m1s"],
  ] as const)
    assert.equal(durationText(ns), text);
});

test("keys stand in one order, whatever the file's; empty sections are left out", () => {
  const text = projectText({
    ...EMPTY,
    "x-top": 1,
    name: "shop",
    services: {
      web: {
        "x-mark": true,
        image: "i",
        deploy: { placement: { constraints: ["a"] }, replicas: 2, mode: "replicated" },
        depends_on: { db: { condition: "service_started", required: true } },
        networks: { default: {} },
      },
      db: { image: "j", stop_grace_period: "90s" },
    },
  });
  assert.equal(
    text,
    `name: shop
services:
  db:
    image: j
    stop_grace_period: 1m30s
  web:
    depends_on:
      - db
    deploy:
      mode: replicated
      replicas: 2
      placement:
        constraints:
          - a
    image: i
    networks:
      default: null
    x-mark: true
x-top: 1
`,
  );
});

test("sizes and CPUs print as Docker prints them", () => {
  const { services } = parse(
    projectText(
      withService({
        deploy: { resources: { limits: { cpus: 0.5, memory: "64m" }, reservations: { memory: 1024 } } },
        mem_limit: "1g",
        shm_size: "64m",
        volumes: [{ type: "tmpfs", target: "/t", tmpfs: { size: "1k" } }],
      }),
    ),
  ) as { services: { web: unknown } };
  assert.deepEqual(services.web, {
    deploy: { resources: { limits: { cpus: "0.5", memory: "67108864" }, reservations: { memory: "1024" } } },
    mem_limit: "1073741824",
    shm_size: "64m",
    volumes: [{ type: "tmpfs", target: "/t", tmpfs: { size: 1024 } }],
  });
});

test("text that a reader of YAML might take for something else is quoted", () => {
  const environment = { A: "yes", B: "0440", C: "1.10", D: "22:22", E: "null", F: "", G: "~", H: "a: b" };
  const text = projectText(withService({ environment }));
  for (const word of ["yes", "0440", "1.10", "null", "~", "a: b"])
    assert.match(text, new RegExp(`"${word}"`));
  for (const version of ["1.1", "1.2"] as const) {
    const back = parse(text, { version }) as { services: { web: { environment: unknown } } };
    assert.deepEqual(back.services.web.environment, environment);
  }
});

test("a dollar is printed twice, unless the project was read without interpolation", () => {
  const project = withService({ command: ["echo", "$HOME"] });
  assert.match(projectText(project), /\$\$HOME/);
  assert.doesNotMatch(projectText(project, { uninterpolated: true }), /\$\$HOME/);
  assert.deepEqual(JSON.parse(projectText(project, { format: "json" })), {
    services: { web: { command: ["echo", "$$HOME"] } },
  });
});

test("dependencies with wishes stay long, devices become short, files that were read are gone", () => {
  const { services } = parse(
    projectText(
      withService({
        depends_on: { db: { condition: "service_healthy", restart: true } },
        devices: [
          { source: "/dev/a" },
          { source: "/dev/b", target: "/dev/c", permissions: "r" },
          { source: "/dev/d", "x-why": "because" },
        ],
        env_file: [{ path: "/a.env" }],
        label_file: ["/a.labels"],
      }),
    ),
  ) as { services: { web: unknown } };
  assert.deepEqual(services.web, {
    depends_on: { db: { condition: "service_healthy", restart: true } },
    devices: ["/dev/a", "/dev/b:/dev/c:r", { source: "/dev/d", "x-why": "because" }],
  });
});
