import assert from "node:assert/strict";
import { test } from "node:test";
import { AlreadyExistsError, FailedPreconditionError } from "../../base/errors/errors.js";
import { Network, Secret, Service } from "../../proto/gen/skein/v1/objects.js";
import { PublishMode } from "../../proto/gen/skein/v1/types.js";
import { createTestStore } from "../../test/support/test-store.js";

function service(id: string, name = id): Service {
  return Service.fromPartial({
    id,
    spec: { annotations: { name }, task: { container: { image: "busybox" } } },
  });
}

test("a secret in use cannot be removed, an unknown one not be used, even when both are in flight", async () => {
  const { store } = createTestStore({ delay: () => Promise.resolve() });
  await store.update((tx) =>
    tx.create("secret", Secret.fromPartial({ id: "x1", annotations: { name: "key" } })),
  );
  const user = Service.fromPartial({
    id: "s1",
    spec: { annotations: { name: "web" }, task: { container: { secrets: [{ secretId: "x1" }] } } },
  });
  const both = await Promise.allSettled([
    store.update((tx) => tx.create("service", user)),
    store.update((tx) => tx.remove("secret", "x1")),
  ]);
  assert.equal(both[0]?.status, "fulfilled");
  assert.ok(both[1]?.status === "rejected" && both[1].reason instanceof FailedPreconditionError);
  await store.update((tx) => {
    tx.remove("service", "s1");
    tx.remove("secret", "x1");
  });
  await assert.rejects(
    store.update((tx) => tx.create("service", user)),
    /secret x1 not found/,
  );
});

test("a network of the node is no reference; any other name is one", async () => {
  const { store } = createTestStore();
  const on = (id: string, target: string): Promise<unknown> => {
    const spec = { annotations: { name: id }, task: { networks: [{ target }] } };
    return store.update((tx) => tx.create("service", Service.fromPartial({ id, spec })));
  };
  await on("s1", "host");
  await on("s2", "none");
  await assert.rejects(on("s3", "bridge"), /network bridge not found/);
});

test("a going network takes no new service, and one in use does not go, even when both are in flight", async () => {
  const { store } = createTestStore({ delay: () => Promise.resolve() });
  const network = (pendingDelete: boolean): Network =>
    Network.fromPartial({ ...store.view((tx) => tx.get("network", "n1")), id: "n1", pendingDelete });
  await store.update((tx) => tx.create("network", network(false)));
  const user = Service.fromPartial({
    id: "s1",
    spec: { annotations: { name: "web" }, task: { networks: [{ target: "n1" }] } },
  });
  const first = await Promise.allSettled([
    store.update((tx) => tx.create("service", user)),
    store.update((tx) => tx.update("network", network(true))),
  ]);
  assert.deepEqual(
    first.map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
  await store.update((tx) => tx.remove("service", "s1"));
  const second = await Promise.allSettled([
    store.update((tx) => tx.update("network", network(true))),
    store.update((tx) => tx.create("service", user)),
  ]);
  assert.deepEqual(
    second.map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
  await store.update((tx) => tx.update("network", { ...network(true), vni: 7 })); // going on goes on
});

test("a rollback to a secret that is gone is not voided: its tasks say what is missing", async () => {
  const { store } = createTestStore();
  const spec = Service.fromPartial({ spec: { task: { container: { secrets: [{ secretId: "x1" }] } } } }).spec;
  await store.update((tx) => {
    tx.create("secret", Secret.fromPartial({ id: "x1" }));
    tx.create("service", Service.fromPartial({ id: "s1", spec: {}, previousSpec: spec }));
  });
  await store.update((tx) => tx.remove("secret", "x1"));
  await store.update((tx) => {
    const found = tx.get("service", "s1");
    assert.ok(found);
    tx.update("service", { ...found, spec, previousSpec: undefined });
  });
  assert.deepEqual(store.view((tx) => tx.list("service", { by: "secretId", secretId: "x1" })).length, 1);
});

test("an ingress port is given once; host ports may repeat among themselves", async () => {
  const { store } = createTestStore();
  const publishing = (id: string, publishMode: PublishMode): Service =>
    Service.fromPartial({
      id,
      spec: {
        annotations: { name: id },
        endpoint: { ports: [{ publishedPort: 80, targetPort: 80, publishMode }] },
      },
    });
  await store.update((tx) => tx.create("service", publishing("h1", PublishMode.HOST)));
  await store.update((tx) => tx.create("service", publishing("h2", PublishMode.HOST)));
  await assert.rejects(
    store.update((tx) => tx.create("service", publishing("i1", PublishMode.INGRESS))),
    /port '80' is already in use/,
  );
});

test("names are unique without regard to case, in services, networks, secrets and configs", async () => {
  const { store } = createTestStore();
  await store.update((tx) => tx.create("service", service("s1", "web")));
  await assert.rejects(
    store.update((tx) => tx.create("service", service("s2", "WEB"))),
    (error: unknown) =>
      error instanceof AlreadyExistsError &&
      error.message === "name conflicts with an existing object: service WEB already exists",
  );
  await store.update((tx) =>
    tx.create("secret", Secret.fromPartial({ id: "x", annotations: { name: "web" } })),
  );
  assert.equal(store.view((tx) => tx.list("service", { by: "name", name: "Web" }))[0]?.id, "s1");
});

test("two creations of one name in flight: the second is void and told that the name is taken", async () => {
  const { store } = createTestStore({ delay: () => Promise.resolve() });
  const both = await Promise.allSettled([
    store.update((tx) => tx.create("service", service("s1", "web"))),
    store.update((tx) => tx.create("service", service("s2", "web"))),
  ]);
  assert.equal(both[0]?.status, "fulfilled");
  assert.ok(both[1]?.status === "rejected" && both[1].reason instanceof AlreadyExistsError);
  assert.equal(store.view((tx) => tx.list("service")).length, 1);
});

test("a name freed in the same transaction may be taken again", async () => {
  const { store } = createTestStore();
  await store.update((tx) => tx.create("service", service("s1", "web")));
  await store.update((tx) => {
    tx.remove("service", "s1");
    tx.create("service", service("s2", "web"));
  });
  assert.deepEqual(
    store.view((tx) => tx.list("service")).map(({ id }) => id),
    ["s2"],
  );
});
