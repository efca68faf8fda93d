import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { importContext } from "./context-archive.js";
import { ContextStore, metaOf } from "./fs-context-store.js";
import { choiceOf, resolveEndpoint } from "./resolve-endpoint.js";

class Home implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "skein-home-"));
  readonly skein = join(this.path, ".skein");
  readonly docker = join(this.path, ".docker");
  readonly env = { SKEIN_CONFIG: this.skein, DOCKER_CONFIG: this.docker };
  readonly store = new ContextStore(this.skein, this.docker);

  /** As docker's own command writes one. */
  addDockers(name: string, host: string): void {
    const id = createHash("sha256").update(name).digest("hex");
    const folder = join(this.docker, "contexts", "meta", id);
    mkdirSync(folder, { recursive: true });
    const meta = { Name: name, Metadata: {}, Endpoints: { docker: { Host: host, SkipTLSVerify: false } } };
    writeFileSync(join(folder, "meta.json"), JSON.stringify(meta));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

const PLAIN = { description: "", host: "tcp://host1", skipVerify: false, tls: {} };

test("a context comes back as it was saved, and nobody else may read its key", () => {
  using home = new Home();
  const tls = { ca: Buffer.from("ca"), cert: Buffer.from("cert"), key: Buffer.from("key") };
  home.store.save({ ...PLAIN, name: "prod", description: "the shop", tls });
  home.store.save({ ...PLAIN, name: "a", skipVerify: true });
  assert.deepEqual(home.store.get("prod"), {
    ...PLAIN,
    name: "prod",
    description: "the shop",
    tls,
    from: "skein",
  });
  assert.deepEqual(
    home.store.list().map(({ name }) => name),
    ["a", "prod"],
  );
  for (const entry of readdirSync(home.skein, { recursive: true, withFileTypes: true })) {
    const mode = statSync(join(entry.parentPath, entry.name)).mode & 0o777;
    assert.equal(mode, entry.isDirectory() ? 0o700 : 0o600, entry.name);
  }
  home.store.save({ ...PLAIN, name: "prod" });
  assert.deepEqual(home.store.get("prod").tls, {}, "certificates of before are gone");
  home.store.remove("prod");
  assert.throws(() => home.store.get("prod"), /context "prod" does not exist: see 'skein context ls'/);
});

test("names that would leave the folder, or mean the default, are refused", () => {
  using home = new Home();
  for (const name of ["../x", ".x", "", "a/b", "-c", "x".repeat(200)])
    assert.throws(() => home.store.save({ ...PLAIN, name }), /must begin with a letter or digit/, name);
  assert.throws(() => home.store.save({ ...PLAIN, name: "default" }), /"default" is no stored context/);
});

test("docker's contexts are found behind ours of the same name", () => {
  using home = new Home();
  home.addDockers("theirs", "ssh://host9");
  home.addDockers("both", "tcp://theirs");
  home.store.save({ ...PLAIN, name: "both" });
  assert.deepEqual(
    home.store.list().map(({ name, from, host }) => [name, from, host]),
    [
      ["both", "skein", "tcp://host1"],
      ["theirs", "docker", "ssh://host9"],
    ],
  );
});

test("the daemon is the one of the first that names one", async () => {
  using home = new Home();
  for (const name of ["flagged", "ours", "dockers", "used"])
    home.store.save({ ...PLAIN, name, host: `tcp://${name}` });
  home.store.use("used");
  const env: Record<string, string> = {
    ...home.env,
    DOCKER_CONTEXT: "dockers",
    DOCKER_HOST: "tcp://docker-host",
    SKEIN_CONTEXT: "ours",
    SKEIN_HOST: "tcp://skein-host",
  };
  const found = async (flags: object): Promise<string> => {
    const { host, source } = await resolveEndpoint(flags, env);
    return `${host} ${source}`;
  };
  assert.equal(await found({ host: "tcp://flag" }), "tcp://flag --host");
  assert.equal(await found({ context: "flagged" }), "tcp://flagged the context flagged, chosen by --context");
  const order = [
    ["SKEIN_HOST", "tcp://skein-host SKEIN_HOST"],
    ["SKEIN_CONTEXT", "tcp://ours the context ours, chosen by SKEIN_CONTEXT"],
    ["DOCKER_HOST", "tcp://docker-host DOCKER_HOST"],
    ["DOCKER_CONTEXT", "tcp://dockers the context dockers, chosen by DOCKER_CONTEXT"],
  ] as const;
  for (const [name, expected] of order) {
    assert.equal(await found({}), expected);
    delete env[name];
  }
  assert.equal(await found({}), "tcp://used the context used, chosen by 'skein context use'");
  home.store.use(undefined);
  assert.match(await found({}), /^unix:\/\/\/run\/skein\/skein\.sock/);
  assert.throws(() => choiceOf({ host: "a", context: "b" }, {}), /--host and --context both name a daemon/);
  await assert.rejects(resolveEndpoint({ context: "gone" }, home.env), /context "gone" does not exist/);
});

test("TLS comes from flags, from docker's variables, or from the context", async () => {
  using home = new Home();
  const folder = join(home.path, "certs");
  mkdirSync(folder);
  for (const name of ["ca", "cert", "key"]) writeFileSync(join(folder, `${name}.pem`), name);
  const env = { ...home.env, DOCKER_CERT_PATH: folder, DOCKER_HOST: "tcp://h" };
  assert.equal((await resolveEndpoint({}, env)).tls, undefined);
  const { tls } = await resolveEndpoint({}, { ...env, DOCKER_TLS_VERIFY: "1" });
  assert.deepEqual([tls?.verify, tls?.ca?.toString(), tls?.key?.toString()], [true, "ca", "key"]);
  assert.equal((await resolveEndpoint({ tls: true }, env)).tls?.verify, false);
  assert.equal((await resolveEndpoint({ tlscacert: join(folder, "ca.pem") }, env)).tls?.verify, true);
  await assert.rejects(resolveEndpoint({ tlscacert: join(folder, "none") }, env), /file of --tlscacert/);
  await assert.rejects(
    resolveEndpoint(
      { tls: true, tlscert: join(folder, "cert.pem") },
      { ...home.env, DOCKER_CERT_PATH: home.path },
    ),
    /--tlscert and --tlskey go together/,
  );
  home.store.save({ ...PLAIN, name: "secure", tls: { ca: Buffer.from("mine") } });
  const kept = await resolveEndpoint({ context: "secure" }, home.env);
  assert.deepEqual([kept.tls?.ca?.toString(), kept.tls?.verify], ["mine", true]);
});

test("what is no context is refused with its place", async () => {
  assert.throws(() => metaOf("{", "meta.json"), /meta\.json must be JSON/);
  assert.throws(() => metaOf("null", "meta.json"), /must have Name and Endpoints\.docker\.Host/);
  assert.throws(() => metaOf("{}", "meta.json"), /must have Name and Endpoints\.docker\.Host/);
  await assert.rejects(importContext(Buffer.from("nonsense")), /no archive of a context/);
  await assert.rejects(importContext(Buffer.alloc(1024)), /meta\.json is missing/);
});
