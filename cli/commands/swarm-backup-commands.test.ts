import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { accountLines } from "./swarm-backup-commands.js";

const SOURCE = import.meta.url.endsWith(".ts");
const MAIN = fileURLToPath(new URL(SOURCE ? "../main.ts" : "../main.js", import.meta.url));
const KEY = `SKBAK-1-${"k".repeat(43)}`;
/** No text, and more than one chunk. */
const FILE = Buffer.alloc(300_000, 0xfe);

const dir = mkdtempSync(join(tmpdir(), "skein-backup-cli-"));
const socket = join(dir, "s");
const out = join(dir, "out");
const keyFile = join(dir, "key");
let handle: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;
let requests = 0;
let server: Server;

before(async () => {
  writeFileSync(keyFile, "pass phrase \u00e9\n");
  server = createServer((request, response) => {
    requests += 1;
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => handle(request, response, Buffer.concat(chunks)));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
});

after(() => {
  server.close();
  server.closeAllConnections();
  rmSync(dir, { recursive: true });
});

function skein(...args: string[]): Promise<{ code: number; stdout: Buffer; stderr: string }> {
  return new Promise((ended) => {
    execFile(
      process.execPath,
      [...(SOURCE ? ["--import", "tsx"] : []), MAIN, "-H", `unix://${socket}`, "swarm", ...args],
      { encoding: "buffer" },
      (error, stdout, stderr) =>
        ended({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr: stderr.toString() }),
    );
  });
}

function sendBackup(end: "complete" | "no trailer" | "broken"): typeof handle {
  return (_request, response) => {
    response.writeHead(200, {
      "content-type": "application/octet-stream",
      "skein-backup-key": KEY,
      "skein-backup-index": "77",
      trailer: "Skein-Backup-Complete, Skein-Backup-Objects",
    });
    response.write(FILE);
    if (end === "broken") {
      setTimeout(() => response.destroy(), 50);
      return;
    }
    if (end === "complete")
      response.addTrailers({ "Skein-Backup-Complete": "true", "Skein-Backup-Objects": "12" });
    response.end();
  };
}

test("a backup goes to its file, and the recovery key to the terminal", async () => {
  handle = sendBackup("complete");
  const made = await skein("backup", out);
  assert.equal(made.code, 0, made.stderr);
  assert.deepEqual(readFileSync(out), FILE);
  assert.ok(made.stdout.includes(`\n    ${KEY}\n`));
  assert.equal(made.stderr, `Backed up 12 objects as of index 77: 300kB in ${out}.\n`);
  const before = requests;
  const again = await skein("backup", out);
  assert.deepEqual([again.code, requests], [1, before], "refused before the daemon was asked");
  rmSync(out);
});

test("to standard output goes the file alone", async () => {
  handle = (request, response, body) => {
    assert.deepEqual(JSON.parse(body.toString()), { Passphrase: "pass phrase \u00e9", Stale: true });
    sendBackup("complete")(request, response, body);
  };
  const made = await skein("backup", "-", "--stale", "--passphrase-file", keyFile);
  assert.equal(made.code, 0, made.stderr);
  assert.deepEqual(made.stdout, FILE);
  assert.match(made.stderr, new RegExp(`^Backed up 12 objects[^]*${KEY}`));
});

test("a backup that breaks off leaves no file, however it breaks off", async () => {
  for (const end of ["no trailer", "broken"] as const) {
    handle = sendBackup(end);
    const broken = await skein("backup", out);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /^Error: the backup broke off/);
    assert.equal(broken.stdout.length, 0, "a key to nothing is not shown");
    assert.equal(existsSync(out), false);
    assert.deepEqual(
      readdirSync(dir).filter((name) => name.includes("part")),
      [],
    );
  }
});

test("a restore sends the file and its key, and tells the account or the failure", async () => {
  const path = join(dir, "b.skb");
  writeFileSync(path, FILE);
  const seen: { key: string; url: string; whole: boolean }[] = [];
  let answer: object = { Restored: RESTORED };
  handle = (request, response, body) => {
    const key = Buffer.from(String(request.headers["x-skein-backup-key"]), "base64").toString();
    seen.push({ key, url: request.url ?? "", whole: body.equals(FILE) });
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write(`${JSON.stringify({ Progress: { Bytes: 7, Objects: 1, ObjectsEstimate: 2 } })}\n`);
    response.end(`${JSON.stringify(answer)}\n`);
  };
  const done = await skein("restore", path, "--key-file", keyFile, "--advertise-addr", "10.0.0.4");
  assert.deepEqual([done.code, done.stdout.toString()], [0, `${accountLines(RESTORED).join("\n")}\n`]);
  assert.equal(seen[0]?.key, "pass phrase \u00e9");
  assert.equal(seen[0]?.whole, true);
  assert.match(seen[0]?.url ?? "", /advertiseAddr=10.0.0.4&listenAddr=0.0.0.0%3A2377&availability=active/);
  assert.doesNotMatch(seen[0]?.url ?? "", /pass/);
  answer = { Error: { Code: "invalid-argument", Message: "the backup is cut off after 88 bytes" } };
  const failed = await skein("restore", path, "--key-file", keyFile);
  assert.deepEqual([failed.code, failed.stderr], [1, "Error: the backup is cut off after 88 bytes\n"]);
});

const RESTORED = {
  NodeID: "n9",
  ClusterID: "c1",
  Objects: 120,
  Index: 113_000_000_000_000,
  Autolock: true,
  Backup: { Index: 4711, Term: 3, CreatedAt: "2026-11-21T03:00:00.000Z", SkeinVersion: "0.1.0" },
  FormerManagers: [
    { ID: "n1", Hostname: "alpha", Addr: "10.0.0.1:2377" },
    { ID: "n2", Hostname: "", Addr: "10.0.0.2:2377" },
  ],
};

test("the account of a restore says what came back, what did not, and what is left to do", () => {
  assert.deepEqual(accountLines(RESTORED), [
    "Swarm c1 restored: current node (n9) is its only manager.",
    "  backup     of 2026-11-21T03:00:00.000Z, index 4711, term 3, written by Skein 0.1.0",
    "  restored   120 objects; the index goes on from 113000000000000",
    "  not in it  what was changed after the backup; volumes and images",
    "  autolock   is on, and the unlock key is the one it had when the backup was made",
    "",
    "Managers of before are workers now; none of them may still run the old swarm:",
    "  n1  alpha  10.0.0.1:2377",
    "  n2  ?  10.0.0.2:2377",
    "",
    "Nodes that are gone for good: skein node rm --force NODE. For more managers: skein swarm join-token manager.",
  ]);
});

test("without autolock and managers of before the account is short", () => {
  const lines = accountLines({ ...RESTORED, Autolock: false, FormerManagers: [] });
  assert.equal(lines.length, 4);
});
