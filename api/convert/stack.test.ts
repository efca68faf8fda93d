/**
 * Stacks between the shapes of proto/stack-api.ts and the control API's.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Stack, StackRevision } from "../../proto/gen/skein/v1/objects.js";
import {
  RevisionOrigin,
  RevisionOutcome,
  StackCondition,
  StackOnFailure,
  StackPhase,
  StackServiceState,
} from "../../proto/gen/skein/v1/stack_types.js";
import type { StackRequest } from "../../proto/stack-api.js";
import { Fields } from "./fields.js";
import { deployStackIn, rollbackStackIn } from "./stack-in.js";
import { acceptedOut, changesOut, revisionOut, stateOut, summaryOut } from "./stack-out.js";

const REQUEST: StackRequest = {
  Networks: [
    { Key: "default", Spec: { Name: "shop_default", Driver: "overlay", Labels: { a: "b" }, Internal: true } },
    { Key: "outer", External: true, Spec: { Name: "edge" } },
  ],
  Secrets: [
    { Key: "key", Spec: { Name: "shop_key", Data: "czNjcmV0", Templating: { Name: "golang" } } },
    { Key: "tls", External: true, Spec: {} },
  ],
  Configs: [{ Key: "page", Spec: { Name: "shop_page", Data: "cGFnZQ==" } }],
  Services: [
    {
      Key: "web",
      Spec: {
        Name: "shop_web",
        TaskTemplate: {
          ContainerSpec: {
            Image: "app:1",
            Secrets: [{ SecretName: "shop_key", File: { Name: "key", UID: "0", GID: "0", Mode: 292 } }],
          },
          Networks: [{ Target: "shop_default", Aliases: ["web"] }],
        },
        Mode: { Replicated: { Replicas: 3 } },
      },
      DependsOn: [
        { Service: "db", Condition: "healthy", Restart: true },
        { Service: "cache", Condition: "started", Required: false },
      ],
      RegistryAuth: "e30=",
    },
  ],
  Prune: true,
  OnFailure: "keep",
  Timeout: 90_000,
  By: "anna@host1",
};

const fields = (value: unknown): Fields => Fields.of(JSON.parse(JSON.stringify(value)));

test("a request is read whole, and nothing of it is left unread", () => {
  const body = fields(REQUEST);
  const request = deployStackIn("shop", body);
  assert.deepEqual(body.unread(), []);
  assert.deepEqual(
    [request.name, request.prune, request.onFailure, request.timeoutMs, request.madeBy, request.dryRun],
    ["shop", true, StackOnFailure.KEEP, 90_000, "anna@host1", false],
  );
  const { networks, secrets, configs, services } = request.definition ?? assert.fail("no definition");
  assert.deepEqual(
    networks.map(({ key, external, spec }) => [key, external, spec?.annotations, spec?.internal]),
    [
      ["default", false, { name: "shop_default", labels: { a: "b" } }, true],
      ["outer", true, { name: "edge", labels: {} }, false],
    ],
  );
  assert.deepEqual(
    [...secrets, ...configs].map(({ key, external, annotations, data, templateDriver }) => [
      key,
      external,
      annotations?.name,
      Buffer.from(data).toString(),
      templateDriver,
    ]),
    [
      ["key", false, "shop_key", "s3cret", "golang"],
      ["tls", true, "tls", "", ""],
      ["page", false, "shop_page", "page", ""],
    ],
  );
  const [web] = services;
  assert.equal(web?.registryAuth, "e30=");
  assert.equal(web?.spec?.task?.container?.secrets[0]?.secretName, "shop_key");
  assert.deepEqual(web?.dependsOn, [
    { service: "db", condition: StackCondition.HEALTHY, restart: true, optional: false },
    { service: "cache", condition: StackCondition.STARTED, restart: false, optional: true },
  ]);
});

test("what cannot be read is refused with its place, and secrets are not quoted", () => {
  const refused = (change: object, pattern: RegExp): void => {
    assert.throws(() => deployStackIn("shop", fields({ ...REQUEST, ...change })), pattern);
  };
  refused({ Services: [{ Key: "web" }] }, /body\.Services\[0\]\.Spec must be a JSON object/);
  refused({ OnFailure: "explode" }, /body\.OnFailure must be one of rollback, keep/);
  refused({ Timeout: -1 }, /body\.Timeout must be an integer of at least 0/);
  refused(
    { Secrets: [{ Key: "k", Spec: { Name: "k", Data: "§hidden" } }] },
    /^InvalidArgumentError: Data must be base64$/,
  );
  refused(
    { Secrets: [{ Key: "k", Spec: { Name: "k", Data: 7 } }] },
    /Data must be a string, got something else$/,
  );
  refused(
    { Networks: [{ Key: "n", Spec: { Name: "n", ConfigFrom: { Network: "settings" } } }] },
    /ConfigFrom: settings of a node's own network \(settings\) cannot be used in a stack/,
  );
  const misspelled = fields({ ...REQUEST, Prun: true });
  deployStackIn("shop", misspelled);
  assert.deepEqual(misspelled.unread(), ["body.Prun"]);
});

test("a rollback needs no body", () => {
  assert.deepEqual(rollbackStackIn("shop", Fields.of({})), {
    name: "shop",
    revision: 0,
    onFailure: StackOnFailure.GO_BACK,
    timeoutMs: 0,
    madeBy: "",
  });
});

const STACK = Stack.fromPartial({
  id: "s1",
  annotations: { name: "shop" },
  newestRevision: 4,
  goodRevision: 3,
  deployment: {
    revision: 4,
    phase: StackPhase.GOING_BACK,
    startedAtMs: 1_700_000_000_000,
    failure: "web: exit code 1",
    goingBackTo: 3,
    services: [
      {
        key: "web",
        name: "shop_web",
        serviceId: "w",
        state: StackServiceState.FAILED,
        message: "exit code 1",
      },
      { key: "db", name: "shop_db", state: StackServiceState.WAITING, message: "waits for web" },
    ],
  },
});

test("a state tells of the deployment's services, and of those it does not know", () => {
  const counts = (running: number) => ({ running, desired: 2, completed: 0 });
  const state = stateOut("shop", {
    stack: STACK,
    counts: [
      { key: "web", counts: counts(1), trouble: "shop_web.1: exit code 1" },
      { key: "other", counts: counts(2), trouble: "" },
    ],
  });
  assert.deepEqual(
    [state.Phase, state.GoingBackTo, state.Failure, state.StartedAt, state.EndedAt, state.Gone],
    ["going back", 3, "web: exit code 1", "2023-11-14T22:13:20Z", "", undefined],
  );
  assert.deepEqual(
    state.Services.map((one) => [
      one.Key,
      one.Name,
      one.State,
      one.Message,
      one.Running,
      one.Desired,
      one.Trouble,
    ]),
    [
      ["web", "shop_web", "failed", "exit code 1", 1, 2, "shop_web.1: exit code 1"],
      ["db", "shop_db", "waiting", "waits for web", 0, 0, ""],
      ["other", "shop_other", "unchanged", "", 2, 2, ""],
    ],
  );
  assert.deepEqual(stateOut("shop", { stack: undefined, counts: [] }), {
    Name: "shop",
    ID: "",
    Gone: true,
    Revision: 0,
    GoodRevision: 0,
    Phase: "",
    Failure: "",
    StartedAt: "",
    EndedAt: "",
    Services: [],
  });
  assert.deepEqual(summaryOut({ stack: STACK, counts: undefined }), {
    Name: "shop",
    ID: "s1",
    Services: 0,
    Running: 0,
    Desired: 0,
    Revision: 4,
    GoodRevision: 3,
    Phase: "going back",
  });
});

test("a revision tells images and versions; its definition alone where it is asked for", () => {
  const { definition } = deployStackIn("shop", fields(REQUEST));
  const revision = StackRevision.fromPartial({
    number: 2,
    madeBy: "anna",
    madeAtMs: 1_700_000_000_000,
    changes: "web changed",
    outcome: RevisionOutcome.FAILED,
    origin: RevisionOrigin.ROLLBACK,
    failure: "web",
    restores: 1,
    definition: {
      ...definition,
      secrets: [{ key: "key", annotations: { name: "shop_key" }, version: 3 }],
      configs: [{ key: "page", external: true, annotations: { name: "page" } }],
    },
  });
  const short = revisionOut(revision, { whole: false });
  assert.deepEqual(short, {
    Number: 2,
    By: "anna",
    At: "2023-11-14T22:13:20Z",
    Changes: "web changed",
    Outcome: "failed",
    Failure: "web",
    Origin: "rollback",
    Restores: 1,
    Images: { web: "app:1" },
    Files: { "secret shop_key": 3 },
  });
  const { Definition } = revisionOut(revision, { whole: true });
  const again = deployStackIn("shop", fields({ ...Definition, Secrets: [], Configs: [] }));
  assert.deepEqual(
    again.definition?.networks,
    definition?.networks.map((one) => ({ ...one })),
  );
  assert.deepEqual(again.definition?.services[0]?.dependsOn, definition?.services[0]?.dependsOn);
  assert.equal(again.definition?.services[0]?.spec?.task?.container?.image, "app:1");
});

test("what a newer manager says in words we do not know is still told", () => {
  const change = {
    key: "x",
    fields: [{ path: "p", before: "a", after: "b" }],
    restartsTasks: true,
    reason: "r",
  };
  assert.deepEqual(changesOut([{ ...change, kind: "volume", action: "rename" }]), [
    {
      Kind: "service",
      Key: "x",
      Action: "change",
      Fields: [{ Path: "p", Before: "a", After: "b" }],
      RestartsTasks: true,
      Reason: "r",
    },
  ]);
  assert.deepEqual(acceptedOut({ stack: STACK, revision: 4, changed: true, warnings: ["w"] }), {
    Name: "shop",
    Revision: 4,
    Changed: true,
    Warnings: ["w"],
  });
});
