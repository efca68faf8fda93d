import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CreateConfigRequest,
  CreateSecretRequest,
  UpdateConfigRequest,
  UpdateSecretRequest,
} from "../../proto/gen/skein/v1/control.js";
import { Service } from "../../proto/gen/skein/v1/objects.js";
import { CONFIG_BYTES_MAX } from "./configs.js";
import { createTestControl, serviceSpec } from "./control-fixtures.js";
import { SECRET_BYTES_MAX } from "./secrets.js";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const secret = (name: string, changes: object = {}): CreateSecretRequest =>
  CreateSecretRequest.fromPartial({ annotations: { name }, data: bytes("s3cret"), ...changes });
const config = (name: string, changes: object = {}): CreateConfigRequest =>
  CreateConfigRequest.fromPartial({ annotations: { name }, data: bytes("page"), ...changes });

test("a secret's data goes in and never comes out", async () => {
  const t = await createTestControl();
  const created = (await t.ask(t.control.createSecret, secret("key"))).secret;
  assert.ok(created);
  const got = (await t.ask(t.control.getSecret, { id: "key" })).secret;
  const listed = (await t.ask(t.control.listSecrets, { filters: undefined })).secrets[0];
  for (const answer of [created, got, listed]) assert.equal(answer?.data.length, 0);
  const stored = t.store.view((tx) => tx.get("secret", created.id));
  assert.equal(Buffer.from(stored?.data ?? []).toString(), "s3cret");
});

test("a config's data comes out as it went in", async () => {
  const t = await createTestControl();
  await t.ask(t.control.createConfig, config("page"));
  const { config: got } = await t.ask(t.control.getConfig, { id: "page" });
  assert.equal(Buffer.from(got?.data ?? []).toString(), "page");
  assert.equal((await t.ask(t.control.listConfigs, { filters: undefined })).configs.length, 1);
});

test("names, sizes and drivers have rules", async () => {
  const t = await createTestControl();
  for (const name of ["", "-a", "a b", "a.", "x".repeat(65)]) {
    await assert.rejects(t.ask(t.control.createSecret, secret(name)), { code: "invalid-argument" });
    await assert.rejects(t.ask(t.control.createConfig, config(name)), { code: "invalid-argument" });
  }
  const large = new Uint8Array(SECRET_BYTES_MAX + 1);
  await assert.rejects(
    t.ask(t.control.createSecret, secret("a", { data: large })),
    /larger than 0 and at most 512000 bytes/,
  );
  await assert.rejects(t.ask(t.control.createSecret, secret("a", { data: bytes("") })), /larger than 0/);
  await assert.rejects(
    t.ask(t.control.createConfig, config("a", { data: new Uint8Array(CONFIG_BYTES_MAX + 1) })),
    /at most 1024000 bytes/,
  );
  await assert.rejects(
    t.ask(t.control.createSecret, secret("a", { driverName: "vault" })),
    /a secret of the driver vault has no data/,
  );
  await assert.rejects(
    t.ask(t.control.createSecret, secret("a", { driverName: "../vault", data: bytes("") })),
    /must be the name of a plugin, got "\.\.\/vault"/,
  );
  const driven = await t.ask(
    t.control.createSecret,
    secret("driven", { driverName: "vault", data: bytes("") }),
  );
  await assert.rejects(
    t.ask(t.control.updateSecret, {
      id: driven.secret?.id ?? "",
      version: driven.secret?.meta?.version?.index ?? 0,
      annotations: undefined,
      data: bytes("x"),
    }),
    /comes from its driver vault/,
  );
  await assert.rejects(
    t.ask(t.control.createConfig, config("a", { templateDriver: "jinja" })),
    /only golang/,
  );
  await t.ask(t.control.createSecret, secret("a", { data: new Uint8Array(SECRET_BYTES_MAX) }));
  await t.ask(t.control.createConfig, config("a", { data: new Uint8Array(CONFIG_BYTES_MAX) }));
});

test("a taken name is refused", async () => {
  const t = await createTestControl();
  await t.ask(t.control.createSecret, secret("key"));
  await assert.rejects(t.ask(t.control.createSecret, secret("KEY")), {
    code: "already-exists",
    message: /secret KEY already exists/,
  });
});

test("labels and data are updated, with the version they were read at; names are not", async () => {
  const t = await createTestControl();
  const { secret: s } = await t.ask(t.control.createSecret, secret("key"));
  const { config: c } = await t.ask(t.control.createConfig, config("page"));
  const version = { secret: s?.meta?.version?.index ?? 0, config: c?.meta?.version?.index ?? 0 };
  const labelled = { name: "key", labels: { a: "b" } };
  const updateSecret = (changes: object) =>
    t.ask(t.control.updateSecret, UpdateSecretRequest.fromPartial({ id: "key", ...changes }));
  const updateConfig = (changes: object) =>
    t.ask(t.control.updateConfig, UpdateConfigRequest.fromPartial({ id: "page", ...changes }));
  await assert.rejects(updateSecret({ version: 99, annotations: labelled }), /update out of sequence/);
  await assert.rejects(
    updateSecret({ version: version.secret, annotations: { name: "other" } }),
    /cannot be renamed/,
  );
  await assert.rejects(
    updateConfig({ version: version.config, annotations: { name: "other" } }),
    /cannot be renamed/,
  );
  assert.deepEqual(
    (await updateSecret({ version: version.secret, annotations: labelled })).secret?.annotations,
    labelled,
  );
  const { config: changed } = await updateConfig({
    version: version.config,
    annotations: { name: "page" },
    data: bytes("new"),
  });
  assert.equal(Buffer.from(changed?.data ?? []).toString(), "new");
  const kept = t.store.view((tx) => tx.list("secret"))[0];
  assert.equal(Buffer.from(kept?.data ?? []).toString(), "s3cret", "no data given: kept");
});

test("what services use is not removed, and they are named", async () => {
  const t = await createTestControl();
  const { secret: s } = await t.ask(t.control.createSecret, secret("key"));
  const { config: c } = await t.ask(t.control.createConfig, config("page"));
  const container = {
    image: "a",
    secrets: [{ secretId: s?.id ?? "" }],
    configs: [{ configId: c?.id ?? "" }],
  };
  await t.store.update((tx) =>
    tx.create(
      "service",
      Service.fromPartial({ id: "s1", spec: serviceSpec("web", { task: { container } }) }),
    ),
  );
  await assert.rejects(t.ask(t.control.removeSecret, { id: "key" }), {
    code: "failed-precondition",
    message: "secret 'key' is in use by the following service: web",
  });
  await assert.rejects(
    t.ask(t.control.removeConfig, { id: "page" }),
    /config 'page' is in use by the following service: web/,
  );
  await t.store.update((tx) => tx.remove("service", "s1"));
  await t.ask(t.control.removeSecret, { id: "key" });
  await t.ask(t.control.removeConfig, { id: "page" });
  await assert.rejects(t.ask(t.control.removeSecret, { id: "key" }), /secret key not found/);
});

async function serviceWith(t: Awaited<ReturnType<typeof createTestControl>>, name: string, changes: object) {
  const spec = serviceSpec(name, {
    task: {
      container: {
        image: "a",
        secrets: [{ secretName: "key" }],
        configs: [{ configName: "page", file: { name: "page" } }],
      },
    },
    ...changes,
  });
  const { service } = await t.ask(t.control.createService, { spec, registryAuth: "" });
  assert.ok(service);
  return () => {
    const stored = t.store.view((tx) => tx.get("service", service.id));
    assert.ok(stored);
    return stored;
  };
}

const versionsOf = (service: Service): readonly (number | undefined)[] => [
  service.spec?.task?.container?.secrets[0]?.version,
  service.spec?.task?.container?.configs[0]?.version,
];

test("new data rolls the services that use it, and they go back to what they had", async () => {
  const t = await createTestControl();
  await t.ask(t.control.createSecret, secret("key"));
  await t.ask(t.control.createConfig, config("page"));
  const web = await serviceWith(t, "web", {});
  const job = await serviceWith(t, "job", { mode: { $case: "globalJob", value: {} } });
  assert.deepEqual(versionsOf(web()), [1, 1]);
  const { config: page } = await t.ask(t.control.getConfig, { id: "page" });
  const update = (data: string) =>
    UpdateConfigRequest.fromPartial({
      id: "page",
      version: t.store.view((tx) => tx.get("config", page?.id ?? ""))?.meta?.version?.index ?? 0,
      annotations: { name: "page" },
      data: bytes(data),
    });
  await t.ask(t.control.updateConfig, update("page"));
  assert.deepEqual(versionsOf(web()), [1, 1], "the same data rolls nothing");
  await t.ask(t.control.updateConfig, update("page 2"));
  assert.deepEqual(versionsOf(web()), [1, 2]);
  assert.equal(web().specChange, "config page version 2");
  assert.equal(web().previousSpec?.task?.container?.configs[0]?.version, 1);
  assert.ok((web().specVersion?.index ?? 0) > 0);
  assert.deepEqual(versionsOf(job()), [1, 1], "a job keeps what it began with");

  const request = {
    id: "web",
    version: web().meta?.version?.index ?? 0,
    registryAuth: "",
    registryAuthFrom: "",
  };
  await t.ask(t.control.updateService, { ...request, spec: undefined, rollback: true });
  assert.deepEqual(versionsOf(web()), [1, 1]);
  const asked = web().spec;
  assert.ok(asked);
  const again = (forceUpdate: number) => ({
    ...request,
    version: web().meta?.version?.index ?? 0,
    rollback: false,
    spec: { ...asked, task: asked.task && { ...asked.task, forceUpdate } },
  });
  await t.ask(t.control.updateService, again(0));
  assert.deepEqual(versionsOf(web()), [1, 1], "an unrelated update keeps the version");
  await t.ask(t.control.updateService, again(1));
  assert.deepEqual(versionsOf(web()), [1, 2], "a forced one takes the newest");
});

test("old versions of a secret are listed without their data", async () => {
  const t = await createTestControl();
  const created = (await t.ask(t.control.createSecret, secret("key"))).secret;
  const { secret: after } = await t.ask(
    t.control.updateSecret,
    UpdateSecretRequest.fromPartial({
      id: "key",
      version: created?.meta?.version?.index ?? 0,
      annotations: { name: "key" },
      data: bytes("newer"),
    }),
  );
  assert.equal(after?.dataVersion, 2);
  assert.deepEqual(
    after?.oldVersions.map(({ number, data }) => ({ number, bytes: data.length })),
    [{ number: 1, bytes: 0 }],
  );
});
