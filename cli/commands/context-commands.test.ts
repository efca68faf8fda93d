import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FakeDaemon } from "../daemon-fixtures.js";
import { buildProgram } from "../program.js";

test("a context is created, used, shown, listed, changed, carried elsewhere and removed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-contexts-"));
  const before = { ...process.env };
  for (const name of ["SKEIN_HOST", "SKEIN_CONTEXT", "DOCKER_HOST", "DOCKER_CONTEXT"])
    delete process.env[name];
  process.env["SKEIN_CONFIG"] = join(folder, "skein");
  process.env["DOCKER_CONFIG"] = join(folder, "docker");
  try {
    await using daemon = await FakeDaemon.open(() => ({ json: "OK" }));
    const skein = async (...words: string[]): Promise<string> => {
      daemon.printed.length = 0;
      const program = await buildProgram(daemon.context, "all");
      await program.parseAsync(words, { from: "user" });
      return daemon.printed.join("\n");
    };
    const pem = join(folder, "pem");
    writeFileSync(pem, "PEM");
    await skein("context", "create", "here", "--host", daemon.host, "--check");
    await skein("context", "create", "prod", "--docker", `host=tcp://h:1,ca=${pem},cert=${pem},key=${pem}`);
    await assert.rejects(skein("context", "create", "prod", "--host", "tcp://h"), /is there already/);
    await assert.rejects(skein("context", "create", "x"), /needs --host/);
    await assert.rejects(skein("context", "create", "x", "--host", "ftp://h"), /--host must be unix/);
    await assert.rejects(skein("context", "create", "x", "--host", "tcp://h", "--cert", pem), /go together/);
    await assert.rejects(skein("context", "create", "x", "--docker", "hots=a"), /--docker knows host, ca/);
    const skip = "host=tcp://h,skip-tls-verify=yes";
    await assert.rejects(
      skein("context", "create", "x", "--docker", skip),
      /skip-tls-verify must be true or/,
    );
    assert.equal(await skein("context", "show"), "default");
    await skein("context", "use", "prod");
    assert.equal(await skein("context", "show"), "prod");
    assert.equal(
      await skein("context", "ls", "--format", "{{.Name}} {{.Current}} {{.DockerEndpoint}}"),
      `default false unix:///run/skein/skein.sock\nhere false ${daemon.host}\nprod true tcp://h:1`,
    );
    assert.equal(
      await skein("context", "inspect", "-f", '{{.Endpoints.docker.Host}} {{join .TLSMaterial.docker ","}}'),
      "tcp://h:1 ca.pem,cert.pem,key.pem",
    );
    await skein("context", "update", "prod", "--description", "the shop");
    const archive = join(folder, "prod.tar");
    await skein("context", "export", "prod", archive);
    assert.equal(statSync(archive).mode & 0o777, 0o600);
    await assert.rejects(skein("context", "export", "prod", archive), /cannot write/);
    await skein("context", "import", "copy", archive);
    const copy = JSON.parse(await skein("context", "inspect", "copy"));
    const prod = JSON.parse(await skein("context", "inspect", "prod"));
    assert.deepEqual({ ...copy[0], Name: "prod" }, { ...prod[0], Name: "prod" });
    await assert.rejects(skein("context", "rm", "prod"), /is in use/);
    assert.equal(await skein("context", "rm", "--force", "prod", "copy"), "prod\ncopy");
    assert.equal(await skein("context", "show"), "default");
    await assert.rejects(skein("context", "rm", "gone"), /"gone" does not exist/);
    await assert.rejects(skein("context", "rm", "default"), /cannot be removed/);
    await assert.rejects(skein("context", "use", "gone"), /"gone" does not exist/);
  } finally {
    process.env = before;
    rmSync(folder, { recursive: true });
  }
});
