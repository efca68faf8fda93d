/** Real TLS, and ssh with a stand-in for the ssh command that runs the far side here. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { FakeDaemon } from "../daemon-fixtures.js";
import type { Endpoint, TlsMaterial } from "./endpoint.js";
import { openClient } from "./open-client.js";

const SOURCE = import.meta.url.endsWith(".ts");
const MAIN = fileURLToPath(new URL(SOURCE ? "../main.ts" : "../main.js", import.meta.url));
const LOADER = SOURCE ? `--import ${fileURLToPath(import.meta.resolve("tsx"))}` : "";

async function ping(endpoint: Endpoint): Promise<string> {
  const client = await openClient(endpoint);
  try {
    return await client.text("GET", "/_ping");
  } finally {
    client.close();
  }
}

/** A CA of its own for each name; the certificate is for 127.0.0.1. */
function certificate(folder: string, name: string): { cert: Buffer; key: Buffer } {
  const file = (kind: string): string => join(folder, `${name}-${kind}.pem`);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file("key")];
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...key, ...subject, "-out", file("cert")], { stdio: "ignore" });
  return { cert: readFileSync(file("cert")), key: readFileSync(file("key")) };
}

test("TLS checks the daemon, shows our certificate, and says what is missing", async () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-tls-"));
  const [daemon, client, other] = ["daemon", "client", "other"].map((name) => certificate(folder, name));
  const server = createServer(
    { ...daemon, ca: client?.cert ?? "", requestCert: true, rejectUnauthorized: true },
    (_, response) => response.end("OK"),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const host = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`; // of TCP
  const ask = (tls: TlsMaterial): Promise<string> => ping({ host, source: "--host", tls });
  try {
    const known = { ca: daemon?.cert ?? Buffer.of(), ...client };
    assert.equal(await ask({ ...known, verify: true }), "OK");
    assert.equal(await ask({ ...client, verify: false }), "OK");
    await assert.rejects(
      ask({ ...client, verify: true }),
      /named by --host\): .*name its CA with --tlscacert/,
    );
    await assert.rejects(
      ask({ ...known, ...other, verify: true }),
      /--tlscert and --tlskey|closed the connection/,
    );
    await assert.rejects(ping({ host, source: "--host" }), /does it expect TLS|client sent an HTTP request/);
  } finally {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  }
});

class FakeSsh implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "skein-ssh-"));
  readonly #path = process.env["PATH"] ?? "";

  constructor(script: string) {
    writeFileSync(join(this.folder, "ssh"), `#!/bin/sh\necho "$@" >> ${this.folder}/calls\n${script}\n`);
    chmodSync(join(this.folder, "ssh"), 0o755);
    process.env["PATH"] = `${this.folder}:${this.#path}`;
  }

  get calls(): string[] {
    return readFileSync(join(this.folder, "calls"), "utf8").trimEnd().split("\n");
  }

  [Symbol.dispose](): void {
    process.env["PATH"] = this.#path;
    rmSync(this.folder, { recursive: true });
  }
}

test("over ssh, one connection serves many requests, small and large", { timeout: 60_000 }, async () => {
  const large = "x".repeat(3_000_000);
  await using daemon = await FakeDaemon.open(({ path, body }) => ({
    json: path === "/large" ? large : `${path} ${body.length}`,
  }));
  using ssh = new FakeSsh(
    `while [ "$1" != skein ]; do shift; done; shift; exec ${process.execPath} ${LOADER} ${MAIN} "$@"`,
  );
  const socket = daemon.host.replace("unix://", "");
  const client = await openClient({ host: `ssh://me@far:2222${socket}`, source: "--host" });
  assert.equal(await client.call("GET", "/one"), "/one 0");
  assert.equal(await client.call("POST", "/two", { body: large }), `/two ${large.length + 2}`);
  assert.equal(await client.call("GET", "/large"), large);
  assert.equal(ssh.calls.length, 1);
  assert.match(ssh.calls[0] ?? "", /-l me -p 2222 -- far skein --host unix:.* system dial-stdio$/);
  const many = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => client.call("GET", `/${n}`)));
  assert.equal(many.length, 6);
  assert.ok(ssh.calls.length <= 4, "connections have a bound");
  client.close();
});

test("what goes wrong with ssh is told in its words, with what to do", async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      "echo 'Permission denied (publickey).' >&2; exit 255",
      /could not connect: Permission denied.*Try 'ssh me@far -p 22 true'/s,
    ],
    ["exit 127", /there is no skein command on that host.*Install Skein there/s],
    [
      "echo 'Error: cannot reach skeind at unix:///x' >&2; exit 1",
      /ssh ended with 1: Error: cannot reach skeind/,
    ],
  ];
  for (const [script, expected] of cases) {
    using _ssh = new FakeSsh(script);
    await assert.rejects(ping({ host: "ssh://me@far:22", source: "the context prod" }), (error: Error) => {
      assert.match(
        error.message,
        /^cannot reach skeind at ssh:\/\/me@far:22 \(named by the context prod\): /,
      );
      assert.match(error.message, expected);
      return true;
    });
  }
});
