/** Secret drivers: a server of the protocol on a unix socket, also one that refuses, lies or says nothing. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import { askSecretPlugin, secretAnswer } from "./unix-secret-plugin.js";

class FakePlugin implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "skein-secret-plugin-"));
  readonly folders = { sockets: [this.folder], specs: [] };
  readonly asked: unknown[] = [];
  answers: Record<string, { status?: number; json: object; text?: string } | undefined> = {};
  readonly #server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer); // no encoding is set
    this.asked.push(JSON.parse(Buffer.concat(chunks).toString("utf8")));
    const answer = this.answers[(request.url ?? "").slice(1)];
    if (answer === undefined) return;
    response.writeHead(answer.status ?? 200).end(answer.text ?? JSON.stringify(answer.json));
  });

  async open(): Promise<this> {
    this.#server.listen(join(this.folder, "vault.sock"));
    await once(this.#server, "listening");
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    rmSync(this.folder, { recursive: true });
  }
}

const ACTIVE = { json: { Implements: ["secretprovider"] } };

test("a driver gives a task's data, and says whether others may have it", async () => {
  await using plugin = await new FakePlugin().open();
  plugin.answers = {
    "Plugin.Activate": ACTIVE,
    "SecretProvider.GetSecret": {
      json: { Value: Buffer.from("s3cret").toString("base64"), DoNotReuse: true },
    },
  };
  const answer = await askSecretPlugin("vault", { SecretName: "db" }, { folders: plugin.folders });
  assert.deepEqual([Buffer.from(answer.data).toString(), answer.doNotReuse], ["s3cret", true]);
  assert.deepEqual(plugin.asked.at(-1), { SecretName: "db" });
  plugin.answers["Plugin.Activate"] = { status: 404, json: {} };
  const managed = await askSecretPlugin("vault", {}, { folders: plugin.folders });
  assert.equal(Buffer.from(managed.data).toString(), "s3cret", "a managed plugin has no such handshake");
});

test("what is no driver, refuses or does not answer is told in words", async () => {
  await using plugin = await new FakePlugin().open();
  const ask = (name = "vault"): Promise<unknown> =>
    askSecretPlugin(name, {}, { folders: plugin.folders, timeoutMs: 200 });
  await assert.rejects(ask("other"), /there is no plugin other on this manager/);
  await assert.rejects(ask("../vault"), /there is no plugin/);
  await assert.rejects(ask(), /did not answer in 200 ms/);
  plugin.answers = { "Plugin.Activate": { json: { Implements: ["VolumeDriver"] } } };
  await assert.rejects(ask(), /the plugin vault gives no secrets: it is for VolumeDriver/);
  plugin.answers["Plugin.Activate"] = ACTIVE;
  plugin.answers["SecretProvider.GetSecret"] = { json: { Err: "path secret/db is sealed" } };
  await assert.rejects(ask(), /SecretProvider\.GetSecret: path secret\/db is sealed/);
});

test("data that comes with a failure, or broken, stands in no error", async () => {
  await using plugin = await new FakePlugin().open();
  const value = Buffer.from("s3cret").toString("base64");
  const get = "SecretProvider.GetSecret";
  const told = async (): Promise<string> => {
    const error: unknown = await askSecretPlugin("vault", {}, { folders: plugin.folders }).then(
      () => "none",
      (reason: unknown) => reason,
    );
    return inspect(error, { depth: 5 });
  };
  for (const [status, text] of [
    [201, JSON.stringify({ Value: value })],
    [500, JSON.stringify([value])],
    [500, JSON.stringify(value)],
    [200, `"${value}`],
    [200, `{"Value":"${value}`],
  ] as const) {
    plugin.answers = { "Plugin.Activate": ACTIVE, [get]: { status, json: {}, text } };
    const words = await told();
    assert.match(words, /InternalError: SecretProvider\.GetSecret: the plugin/);
    assert.ok(!words.includes(value), words);
  }
  plugin.answers = { "Plugin.Activate": ACTIVE, [get]: { status: 503, json: {}, text: "not unsealed\n" } };
  assert.match(await told(), /the plugin answered 503: not unsealed/);
});

test("only data of the size of a secret, in base64, is taken", () => {
  for (const Value of [undefined, "", "A", "==", 7, "no base64!", null])
    assert.throws(() => secretAnswer({ Value }), /gave no data in base64/);
  const large = Buffer.alloc(500 * 1024 + 1).toString("base64");
  assert.throws(() => secretAnswer({ Value: large }), /may have 512000 bytes, the plugin gave 512001/);
});
