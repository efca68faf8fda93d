/**
 * Differences of definitions in the compose user's words: a table of what is changed and what is told.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StackDefinition } from "../../../proto/gen/skein/v1/stack_types.js";
import type { StackChange } from "../../../proto/gen/skein/v1/stacks.js";
import {
  EndpointMode,
  PublishMode,
  type ServiceSpec,
  UpdateOrder,
} from "../../../proto/gen/skein/v1/types.js";
import { stackChanges } from "./change-details.js";
import { changeWords } from "./change-words.js";
import { definitionChanges } from "./definition-changes.js";
import { serviceFields } from "./spec-fields.js";
import { definitionOf, serviceOf } from "./stack-fixtures.js";

const BASE = definitionOf({
  services: [serviceOf("web", { env: ["MODE=fast", "LEVEL=1"], secrets: ["shop_key"], port: 8080 })],
});

type Spec = ServiceSpec;
type Task = NonNullable<Spec["task"]>;
type Container = NonNullable<Task["container"]>;

function withSpec(change: (spec: Spec) => Spec): StackDefinition {
  const services = BASE.services.map((service) => ({
    ...service,
    spec: service.spec && change(service.spec),
  }));
  return { ...BASE, services };
}

function withTask(change: (task: Task) => Partial<Task>): StackDefinition {
  return withSpec((spec) => ({ ...spec, task: spec.task && { ...spec.task, ...change(spec.task) } }));
}

function withContainer(change: (container: Container) => Partial<Container>): StackDefinition {
  return withTask(({ container }) => ({ container: container && { ...container, ...change(container) } }));
}

/** "image: app:1 to app:2" for each field, then why tasks restart. */
async function told(after: StackDefinition, before = BASE): Promise<readonly string[]> {
  return (await stackChanges(definitionChanges(before, after))).flatMap(linesOf);
}

function linesOf({ kind, key, action, fields, restartsTasks, reason }: StackChange): readonly string[] {
  return [
    `${action} ${kind} ${key}`,
    ...fields.map(({ path, before, after }) => `${path}: ${before || "-"} to ${after || "-"}`),
    ...(reason === "" ? [] : [`${restartsTasks ? "RESTART " : ""}${reason}`]),
  ];
}

const ONE = "change service web";

test("fields go by the words of a compose file, and say whether tasks are replaced", async () => {
  const cases: readonly (readonly [StackDefinition, readonly string[]])[] = [
    [
      withContainer(() => ({ image: "app:2" })),
      [
        ONE,
        "image: docker.io/library/app:1 to docker.io/library/app:2",
        "RESTART tasks are replaced: image app:1 to app:2",
      ],
    ],
    [
      withContainer(() => ({ env: ["MODE=slow", "NEW=1"] })),
      [
        ONE,
        "environment.LEVEL: 1 to -",
        "environment.MODE: fast to slow",
        "environment.NEW: - to 1",
        "RESTART tasks are replaced: 3 variables",
      ],
    ],
    [
      withContainer(({ secrets }) => ({ secrets: secrets.map((secret) => ({ ...secret, version: 3 })) })),
      [
        ONE,
        "secrets.shop_key: version 1 to version 3",
        "RESTART tasks are replaced: secret shop_key version 3",
      ],
    ],
    [
      withContainer(() => ({
        args: ["serve", "--fast"],
        capabilityAdd: ["NET_ADMIN"],
        stopGracePeriodMs: 90_000,
      })),
      [
        ONE,
        "cap_add: - to NET_ADMIN",
        "command: - to serve, --fast",
        "stop_grace_period: 10s to 90s",
        "RESTART tasks are replaced: arguments, stop grace period, capabilities",
      ],
    ],
    [
      withSpec((spec) => ({ ...spec, mode: { $case: "replicated", value: { replicas: 5 } } })),
      [ONE, "deploy.replicas: 1 to 5"],
    ],
    [
      withSpec((spec) => ({ ...spec, mode: { $case: "global", value: {} } })),
      [
        "replace service web",
        "deploy.mode: replicated to global",
        "deploy.replicas: 1 to -",
        "RESTART a service cannot change its mode: it is removed, and made anew",
      ],
    ],
    [
      withTask(() => ({
        resources: {
          limits: { nanoCpus: 5e8, memoryBytes: 2 ** 29, generic: [] },
          reservations: undefined,
          limitPids: 0,
          swapBytes: undefined,
          memorySwappiness: undefined,
        },
      })),
      [
        ONE,
        "deploy.resources.limits.cpus: - to 0.5",
        "deploy.resources.limits.memory: - to 512 MiB",
        "RESTART tasks are replaced: limits",
      ],
    ],
    [
      withTask(() => ({ placement: placement(["node.role == manager"]) })),
      [
        ONE,
        "deploy.placement.constraints: - to node.role == manager",
        "tasks on nodes that do not meet the constraints are replaced",
      ],
    ],
    [
      withSpec((spec) => ({
        ...spec,
        update: {
          parallelism: 2,
          delayMs: 10_000,
          failureAction: "FAILURE_ACTION_ROLLBACK",
          monitorMs: undefined,
          maxFailureRatio: 0,
          order: UpdateOrder.START_FIRST,
        },
      })),
      [
        ONE,
        "deploy.update_config.delay: - to 10s",
        "deploy.update_config.failure_action: - to rollback",
        "deploy.update_config.order: - to start-first",
        "deploy.update_config.parallelism: 1 to 2",
      ],
    ],
    [
      withSpec((spec) => ({ ...spec, endpoint: spec.endpoint && { ...spec.endpoint, ports: [] } })),
      [ONE, "ports.8080:80/tcp: ingress to -"],
    ],
    [
      withSpec((spec) => ({
        ...spec,
        endpoint: spec.endpoint && {
          ...spec.endpoint,
          mode: EndpointMode.DNSRR,
          ports: spec.endpoint.ports.map((port) => ({ ...port, publishMode: PublishMode.HOST })),
        },
      })),
      [
        ONE,
        "deploy.endpoint_mode: - to dnsrr",
        "ports.8080:80/tcp: ingress to host",
        "RESTART tasks are replaced: published ports",
      ],
    ],
    [
      withSpec((spec) => ({ ...spec, annotations: { name: "shop_web", labels: { team: "a" } } })),
      [ONE, "deploy.labels.team: - to a"],
    ],
    [
      { ...BASE, services: BASE.services.map((one) => ({ ...one, dependsOn: [depends("db")] })) },
      [ONE, "depends_on.db: - to healthy, restart"],
    ],
    [
      {
        ...BASE,
        networks: BASE.networks.map((one) => ({ ...one, spec: one.spec && { ...one.spec, internal: true } })),
      },
      [
        "replace network default",
        "internal: - to true",
        "what changes of it cannot be changed: it is made anew, and its services move to the new one",
      ],
    ],
    [
      definitionOf({ ...BASE, secrets: [{ key: "key", annotations: { name: "shop_key" }, version: 1 }] }),
      ["add secret key"],
    ],
    [
      definitionOf({ services: [serviceOf("db")] }),
      ["add service db", "remove service web", "its tasks end"],
    ],
  ];
  for (const [after, expected] of cases) assert.deepEqual(await told(after), expected);
});

test("what means the same is no difference", async () => {
  assert.deepEqual(await told(BASE), []);
  const spelled = [
    withContainer(() => ({ image: "docker.io/library/app:1" })),
    withContainer(({ env }) => ({ env: [...env].reverse() })),
    withContainer(() => ({ stopGracePeriodMs: 10_000 })),
    withTask(({ networks }) => ({
      networks: networks.map((one) => ({ ...one, aliases: [...one.aliases] })),
    })),
  ];
  for (const after of spelled) assert.deepEqual(await told(after), []);
});

test("each field of a specification that differs has a line, whatever it is", async () => {
  // every setting of the container that is a plain value, changed alone
  const { task } = BASE.services[0]?.spec ?? {};
  for (const [name, value] of Object.entries(task?.container ?? {})) {
    const other = typeof value === "string" ? "other" : typeof value === "boolean" ? !value : undefined;
    if (other === undefined || name === "pullAuth") continue;
    const lines = await told(withContainer(() => ({ [name]: other })));
    assert.equal(lines.length, 3, `${name}: ${lines.join(" | ")}`);
    assert.ok(!lines.includes("other settings: - to -"), name);
  }
});

test("values are cut where they differ, and lines are counted", async () => {
  const long = "x".repeat(500);
  const changes = await stackChanges(
    definitionChanges(
      withContainer(() => ({ env: [`A=${long}1`] })),
      withContainer(() => ({ env: [`A=${long}2`] })),
    ),
  );
  const field = changes[0]?.fields[0];
  assert.match(field?.before ?? "", /^…x{50}1$/);
  assert.match(field?.after ?? "", /^…x{50}2$/);
  const many = Array.from({ length: 150 }, (_, i) => `V${i}=1`);
  const [first] = await stackChanges(
    definitionChanges(
      BASE,
      withContainer(() => ({ env: many })),
    ),
  );
  assert.equal(first?.fields.length, 100);
  assert.deepEqual(first?.fields.at(-1), { path: "…", before: "", after: "and 53 more" });
});

test("a sentence about a revision names what changed, within bounds", () => {
  const many = definitionOf({ services: ["a", "b", "c", "d", "e", "f", "g"].map((key) => serviceOf(key)) });
  assert.equal(
    changeWords(definitionChanges(undefined, many), true),
    "new: services: a, b, c, d, e and 2 more; network: default",
  );
  assert.equal(
    changeWords(
      definitionChanges(
        BASE,
        withContainer(() => ({ image: "app:2", env: [] })),
      ),
    ),
    "service: web changed (image app:1 to app:2, 2 variables)",
  );
  assert.equal(changeWords([]), "nothing");
});

test("a field has no line for what everybody has", () => {
  const spec = StackDefinition.fromPartial({ services: [serviceOf("web")] }).services[0]?.spec;
  assert.ok(spec !== undefined);
  assert.deepEqual(Object.fromEntries(serviceFields(spec)), {
    image: "docker.io/library/app:1",
    stop_grace_period: "10s",
    isolation: "default",
    pull_policy: "missing",
    "networks.shop_default": "attached",
    "networks.shop_default.aliases": "web",
    "deploy.mode": "replicated",
    "deploy.replicas": "1",
    "deploy.restart_policy.delay": "5s",
    "deploy.update_config.parallelism": "1",
    "deploy.update_config.monitor": "5s",
    "deploy.rollback_config.parallelism": "1",
    "deploy.rollback_config.monitor": "5s",
  });
});

function placement(constraints: string[]): Task["placement"] {
  return {
    constraints,
    spreadPreferences: [],
    platforms: [],
    maxReplicas: 0,
    strategy: "PLACEMENT_STRATEGY_DEFAULT",
  };
}

function depends(service: string) {
  return { service, condition: "STACK_CONDITION_HEALTHY", optional: false, restart: true } as const;
}
