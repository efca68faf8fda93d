import assert from "node:assert/strict";
import { test } from "node:test";
import { ServiceSpec, UpdateState } from "../../proto/gen/skein/v1/types.js";
import {
  addReferences,
  createService as create,
  createTestControl,
  serviceSpec,
  updateService as update,
  versionIn,
} from "./control-fixtures.js";

test("an update keeps the old specification and moves the spec version", async () => {
  const t = await createTestControl();
  const before = await create(t, serviceSpec("web"));
  const after = await update(
    t,
    "web",
    serviceSpec("web", { mode: { $case: "replicated", value: { replicas: 3 } } }),
  );
  assert.equal(after.specVersion?.index, after.meta?.version?.index);
  assert.notEqual(after.specVersion?.index, before.specVersion?.index);
  assert.deepEqual(after.previousSpec, before.spec);
  assert.deepEqual(after.previousSpecVersion, before.specVersion);
  assert.deepEqual(after.spec?.task, before.spec?.task);
});

test("an update that only spells the same thing otherwise changes nothing", async () => {
  const t = await createTestControl();
  const task = {
    container: {
      image: "a",
      env: ["A=1", "B=2"],
      mounts: [
        { type: "tmpfs", target: "/x" },
        { type: "tmpfs", target: "/y" },
      ],
    },
    placement: { constraints: ["node.role == manager", "node.id != x"] },
  };
  const before = await create(t, serviceSpec("web", { task }));
  const { index } = t.store;
  const after = await update(
    t,
    "web",
    serviceSpec("web", {
      task: {
        container: {
          ...task.container,
          env: ["B=2", "A=1"],
          mounts: [...task.container.mounts].reverse(),
          stopGracePeriodMs: 10_000,
        },
        placement: { constraints: [...task.placement.constraints].reverse() },
        restart: { delayMs: 5_000 },
        resources: { limits: {} },
      },
      update: { parallelism: 1, monitorMs: 5_000 },
      endpoint: {},
    }),
  );
  assert.deepEqual(after, before);
  assert.equal(t.store.index, index, "no entry was written");
});

test("an update that changes labels only keeps the task's old spelling, so that nothing restarts", async () => {
  const t = await createTestControl();
  const before = await create(
    t,
    serviceSpec("web", { task: { container: { image: "a", env: ["A=1", "B=2"] } } }),
  );
  const after = await update(
    t,
    "web",
    serviceSpec("web", {
      annotations: { name: "web", labels: { a: "b" } },
      task: { container: { image: "a", env: ["B=2", "A=1"] } },
    }),
  );
  assert.deepEqual(after.spec?.task, before.spec?.task);
  assert.notEqual(after.specVersion?.index, before.specVersion?.index);
});

test("a forced update changes the specification though nothing else differs", async () => {
  const t = await createTestControl();
  const before = await create(t, serviceSpec("web"));
  const after = await update(
    t,
    "web",
    serviceSpec("web", { task: { container: { image: "busybox:latest" }, forceUpdate: 1 } }),
  );
  assert.notEqual(after.specVersion?.index, before.specVersion?.index);
});

test("an update from before the last change of the specification is out of sequence", async () => {
  const t = await createTestControl();
  const before = await create(t, serviceSpec("web"));
  const version = before.meta?.version?.index ?? 0;
  await update(t, "web", serviceSpec("web", { annotations: { name: "web", labels: { a: "1" } } }));
  const late = { code: "aborted", message: "update out of sequence" };
  await assert.rejects(update(t, "web", serviceSpec("web"), { version }), late);
  await assert.rejects(update(t, "web", serviceSpec("web"), { version: version + 100 }), late);
});

test("writes of the allocator between inspect and update do not make the update stale", async () => {
  const t = await createTestControl();
  const before = await create(t, serviceSpec("web"));
  const version = before.meta?.version?.index ?? 0;
  await t.store.update((tx) => {
    const found = tx.get("service", before.id);
    assert.ok(found);
    tx.update("service", { ...found, endpoint: { spec: undefined, ports: [], virtualIps: [] } });
  });
  await update(t, "web", serviceSpec("web", { annotations: { name: "web", labels: { a: "1" } } }), {
    version,
  });
});

test("of two updates in flight from the same version one wins, the other is out of sequence", async () => {
  const t = await createTestControl({ delay: () => Promise.resolve() });
  await create(t, serviceSpec("web"));
  const labelled = (value: string): ServiceSpec =>
    serviceSpec("web", { annotations: { name: "web", labels: { value } } });
  const both = await Promise.allSettled([update(t, "web", labelled("1")), update(t, "web", labelled("2"))]);
  assert.equal(both[0]?.status, "fulfilled");
  assert.ok(both[1]?.status === "rejected");
  assert.match(String(both[1].reason), /update out of sequence/);
});

test("renaming and changing the mode are refused", async () => {
  const t = await createTestControl();
  await create(t, serviceSpec("web"));
  await assert.rejects(
    update(t, "web", serviceSpec("api"), { version: versionIn(t.store, "web") }),
    /renaming services is not supported/,
  );
  const [service] = t.store.view((tx) => tx.list("service"));
  assert.ok(service);
  await assert.rejects(
    update(t, service.id, serviceSpec("web", { mode: { $case: "global", value: {} } })),
    /service mode change is not allowed/,
  );
});

test("rollback swaps the specifications and says so", async () => {
  const t = await createTestControl();
  const { id, spec, specVersion } = await create(t, serviceSpec("web"));
  await assert.rejects(update(t, id, undefined, { rollback: true }), {
    code: "failed-precondition",
    message: "service web does not have a previous spec",
  });
  const changed = await update(t, id, serviceSpec("web", { task: { container: { image: "b" } } }));
  const back = await update(t, id, undefined, { rollback: true });
  assert.deepEqual(back.spec, spec);
  assert.ok((back.specVersion?.index ?? 0) > (specVersion?.index ?? 0), "a version of its own");
  assert.equal(back.specChange, "image b to busybox:latest");
  assert.deepEqual(back.previousSpec, changed.spec);
  assert.equal(back.updateStatus?.state, UpdateState.ROLLBACK_STARTED);
  await assert.rejects(
    update(t, id, serviceSpec("web"), { version: changed.meta?.version?.index ?? 0 }),
    /out of sequence/,
    "a version from before the rollback is stale",
  );
});

test("a second rollback goes forward again", async () => {
  const t = await createTestControl();
  const { id, spec } = await create(t, serviceSpec("web"));
  const changed = await update(t, id, serviceSpec("web", { task: { container: { image: "b" } } }));
  await update(t, id, undefined, { rollback: true });
  const forward = await update(t, id, undefined, { rollback: true });
  assert.deepEqual([forward.spec, forward.previousSpec], [changed.spec, spec]);
});

test("an update that changes nothing lets a paused update go on, and no other", async () => {
  const t = await createTestControl();
  const { id } = await create(t, serviceSpec("web"));
  const before = await update(t, id, serviceSpec("web", { task: { container: { image: "b" } } }));
  const set = (state: UpdateState) =>
    t.store.update((tx) => {
      const service = tx.get("service", id);
      assert.ok(service);
      const updateStatus = { state, startedAtMs: 1, completedAtMs: 0, message: "" };
      tx.update("service", { ...service, updateStatus });
    });
  for (const [state, goesOn] of [
    [UpdateState.UPDATING, false],
    [UpdateState.COMPLETED, false],
    [UpdateState.PAUSED, true],
    [UpdateState.ROLLBACK_PAUSED, true],
  ] as const) {
    await set(state);
    const stored = t.store.view((tx) => tx.get("service", id));
    const after = await update(t, id, serviceSpec("web", { task: { container: { image: "b" } } }));
    assert.equal(after.updateStatus === undefined, goesOn, state);
    assert.equal(after.specVersion?.index !== stored?.specVersion?.index, goesOn, state);
    assert.deepEqual([after.spec, after.previousSpec], [before.spec, before.previousSpec], state);
  }
});

test("rollback to a specification whose secret is gone is refused", async () => {
  const t = await createTestControl();
  await addReferences(t);
  const { id } = await create(
    t,
    serviceSpec("web", { task: { container: { image: "a", secrets: [{ secretName: "key" }] } } }),
  );
  await update(t, id, serviceSpec("web", { task: { container: { image: "a" } } }));
  await t.ask(t.control.removeSecret, { id: "key" });
  await assert.rejects(update(t, id, undefined, { rollback: true }), /secret key not found/);
});

test("registry credentials are stored, taken over by updates, and never answered", async () => {
  const t = await createTestControl();
  const service = await create(t, serviceSpec("web"), "auth1");
  const stored = (): string | undefined =>
    t.store.view((tx) => tx.get("service", service.id))?.spec?.task?.container?.pullAuth;
  assert.equal(service.spec?.task?.container?.pullAuth, "");
  assert.equal(stored(), "auth1");
  await update(t, service.id, serviceSpec("web", { task: { container: { image: "b" } } }));
  assert.equal(stored(), "auth1");
  const same = await update(t, service.id, serviceSpec("web", { task: { container: { image: "b" } } }), {
    registryAuth: "auth2",
  });
  assert.equal(stored(), "auth2");
  assert.notEqual(
    same.specVersion?.index,
    same.meta?.version?.index,
    "new credentials alone restart nothing",
  );
  assert.equal(same.previousSpec?.task?.container?.pullAuth, "");
});

test("a job counts its iterations", async () => {
  const t = await createTestControl();
  const job = (forceUpdate: number): ServiceSpec =>
    serviceSpec("job", {
      mode: { $case: "replicatedJob", value: { maxConcurrent: 2, totalCompletions: 5 } },
      task: { container: { image: "a" }, forceUpdate },
    });
  const created = await create(t, job(0));
  assert.equal(created.jobStatus?.iteration, 0);
  assert.equal((await update(t, created.id, job(1))).jobStatus?.iteration, 1);
  const wider = {
    ...job(1),
    mode: { $case: "replicatedJob", value: { maxConcurrent: 3, totalCompletions: 5 } },
  };
  const after = await update(t, created.id, ServiceSpec.fromPartial(wider as ServiceSpec));
  assert.equal(after.jobStatus?.iteration, 1, "the same tasks need not run again");
});
