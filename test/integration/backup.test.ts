/**
 * A swarm of three managers is backed up while it is written to, loses every host, and is restored on another
 * host with another address. Real daemons, real files.
 */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  createService,
  dissolve,
  formSwarm,
  HTTPD,
  join,
  logLines,
  messageIn,
  nodes,
  serviceSpec,
  tokens,
  until,
  untilNodes,
  untilRunning,
} from "../support/lab/lab-swarm.js";
import { run } from "../support/lab/shell.js";

const SECRET = "the cake is in the cellar";
const folder = mkdtempSync(joinPath(tmpdir(), "skein-backup-"));
const file = joinPath(folder, "swarm.skb");
const keyFile = joinPath(folder, "key");
let lab: Lab;
let oldTokens: { Manager: string; Worker: string };
let acknowledged: string[] = [];
let swarmId: string;
let unlockKey: string;

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const names = async (host: LabHost, path: string): Promise<string[]> =>
  (await call<readonly { Spec?: { Name: string }; Name?: string }[]>(host, "GET", path))
    .map(({ Spec, Name }) => Spec?.Name ?? Name ?? "")
    .sort();

before(async () => {
  lab = await Lab.open({ hosts: 5, clients: 1 });
  await formSwarm(lab, { managers: 3, members: 3 }); // host4 and host5 are strangers
  const one = lab.host(1);
  await call(one, "POST", "/networks/create", { Name: "front", Driver: "overlay" });
  const secret = await call<{ ID: string }>(one, "POST", "/secrets/create", {
    Name: "cake",
    Data: base64(SECRET),
  });
  await createService(one, {
    name: "web",
    command: HTTPD,
    replicas: 4,
    networks: ["front"],
    ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: 8080, PublishMode: "ingress" }],
  });
  await call(one, "POST", "/configs/create", {
    Name: "big",
    Data: Buffer.alloc(300_000, 7).toString("base64"),
  });
  const spec = serviceSpec({
    name: "reader",
    command: [
      "sh",
      "-c",
      "cat /run/secrets/cake; echo; trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done",
    ],
  }) as { TaskTemplate: { ContainerSpec: Record<string, unknown> } };
  spec.TaskTemplate.ContainerSpec["Secrets"] = [
    { SecretID: secret.ID, SecretName: "cake", File: { Name: "cake", UID: "0", GID: "0", Mode: 0o444 } },
  ];
  await call(one, "POST", "/services/create", spec);
  await untilRunning(one, "web", 4);
  await untilRunning(one, "reader", 1);
  const swarm = await call<{ Version: { Index: number }; Spec: object }>(one, "GET", "/swarm");
  const locked = { ...swarm.Spec, EncryptionConfig: { AutoLockManagers: true } };
  await call(one, "POST", `/swarm/update?version=${swarm.Version.Index}`, locked);
  unlockKey = (await call<{ UnlockKey: string }>(one, "GET", "/swarm/unlockkey")).UnlockKey;
  assert.match(unlockKey, /^SWMKEY-1-/);
  oldTokens = await tokens(one);
  swarmId = (await call<{ ID: string }>(one, "GET", "/swarm")).ID;
});

after(async () => {
  rmSync(folder, { recursive: true });
  assert.deepEqual(await dissolve(lab), []);
});

test("a backup is made by any manager while others write, and holds what was acknowledged before it", async () => {
  let ended = false;
  const written: string[] = [];
  const writer = (async () => {
    for (let count = 0; !ended; count++) {
      const name = `w-${count}`;
      const answer = await lab
        .host(1 + (count % 3))
        .api("POST", "/configs/create", { Name: name, Data: "YQ==" });
      if (answer.status === 201) written.push(name);
    }
  })();
  await until("some writes", 10_000, async () => (written.length > 20 ? true : undefined));
  acknowledged = [...written];
  const made = await lab.host(2).skein(["swarm", "backup", file]);
  ended = true;
  await writer;
  assert.equal(made.code, 0, `${made.stderr}\n${lab.host(2).logTail(60)}`);
  const key = /^ {4}(SKBAK-1-\S{43})$/m.exec(made.stdout)?.[1];
  assert.ok(key, made.stdout);
  writeFileSync(keyFile, `${key}\n`, { mode: 0o600 });
  assert.match(made.stderr, /^Backed up \d+ objects as of index \d+: /);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const bytes = readFileSync(file);
  for (const plain of [SECRET, oldTokens.Manager, oldTokens.Worker, "PRIVATE KEY", unlockKey, key])
    assert.equal(bytes.includes(plain), false, "nothing stands there in plain text");
  assert.ok(written.length > acknowledged.length, "writes went on meanwhile");
});

test("a file that is there stays, unless it shall be replaced", async () => {
  const bytes = readFileSync(file);
  const again = await lab.host(1).skein(["swarm", "backup", file]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /exists already: it is replaced only with --force/);
  assert.deepEqual(readFileSync(file), bytes);
  const other = joinPath(folder, "other.skb");
  const passphrase = joinPath(folder, "passphrase");
  writeFileSync(passphrase, "correct horse battery\n");
  for (const args of [[], ["--force"]]) {
    const made = await lab
      .host(3)
      .skein(["swarm", "backup", other, "--passphrase-file", passphrase, ...args]);
    assert.equal(made.code, 0, made.stderr);
    assert.doesNotMatch(made.stdout, /SKBAK/);
  }
});

test("what cannot be restored is refused with its reason, and leaves nothing behind", async () => {
  const four = lab.host(4);
  const restore = (host: LabHost, path: string, key: string) =>
    host.skein(["swarm", "restore", path, "--key-file", key, "--advertise-addr", host.address]);
  const wrongKey = joinPath(folder, "wrong");
  writeFileSync(wrongKey, `SKBAK-1-${"A".repeat(43)}`);
  const bytes = readFileSync(file);
  const damaged = joinPath(folder, "damaged");
  const middle = Buffer.from(bytes);
  middle[bytes.length - 20] = (middle[bytes.length - 20] ?? 0) ^ 4;
  writeFileSync(damaged, middle);
  const cut = joinPath(folder, "cut");
  writeFileSync(cut, bytes.subarray(0, bytes.length - 1000));
  const newer = joinPath(folder, "newer");
  const version = Buffer.from(bytes);
  version[9] = 7;
  writeFileSync(newer, version);
  for (const [path, key, words] of [
    [file, wrongKey, /wrong recovery key: it does not open this backup/],
    [file, joinPath(folder, "passphrase"), /opens with the recovery key that was shown/],
    [damaged, keyFile, /the backup is damaged/],
    [cut, keyFile, /the backup is damaged, or cut off/],
    [newer, keyFile, /has format 7, this Skein reads formats up to 1/],
    [keyFile, keyFile, /this is no Skein backup/],
  ] as const) {
    const refused = await restore(four, path, key);
    assert.equal(refused.code, 1, `${words}: ${refused.stdout}`);
    assert.match(refused.stderr, words);
    for (const name of ["manager", "swarm"])
      assert.equal(existsSync(joinPath(four.dataDir, name)), false, name);
  }
  const member = await restore(lab.host(1), file, keyFile);
  assert.equal(member.code, 1);
  assert.match(member.stderr, /already part of a swarm/);
});

test("a crash in the middle of a restore leaves a host in no swarm, and nothing of the backup", async () => {
  const five = lab.host(5);
  const bytes = readFileSync(file);
  let restoring = false;
  const upload = request({
    socketPath: five.socketPath,
    method: "POST",
    path: `/skein/v1/swarm/restore?advertiseAddr=${five.address}`,
    headers: { "x-skein-backup-key": base64(readFileSync(keyFile, "utf8").trim()) },
  });
  upload.on("error", () => undefined); // the daemon is killed under it
  upload.on("response", () => {
    restoring = true;
  });
  upload.write(bytes.subarray(0, bytes.length - 100)); // the rest never comes
  await until("the restore has begun", 10_000, async () => (restoring ? true : undefined));
  assert.equal(existsSync(joinPath(five.dataDir, "swarm", "restoring")), true);
  await five.killDaemon();
  upload.destroy();
  await five.start();
  await until("what was restored is gone", 10_000, async () =>
    ["manager", "swarm"].some((name) => existsSync(joinPath(five.dataDir, name))) ? undefined : true,
  );
  const { Swarm } = await call<{ Swarm: { LocalNodeState: string } }>(five, "GET", "/info");
  assert.equal(Swarm.LocalNodeState, "inactive");
});

test("a full disk leaves no half of a backup", async () => {
  const small = joinPath(folder, "small");
  mkdirSync(small);
  await run("mount", ["-t", "tmpfs", "-o", "size=64k", "none", small]);
  try {
    const full = await lab.host(1).skein(["swarm", "backup", joinPath(small, "b.skb")]);
    assert.equal(full.code, 1);
    assert.match(full.stderr, /cannot write .*ENOSPC/);
    assert.doesNotMatch(full.stdout, /SKBAK/);
    assert.deepEqual(readdirSync(small), []);
  } finally {
    await run("umount", [small]);
  }
});

test("after the loss of every host, another one is the swarm again", async () => {
  const [one, four] = [lab.host(1), lab.host(4)];
  const counts = async (host: LabHost) => ({
    services: await names(host, "/services"),
    secrets: await names(host, "/secrets"),
    networks: (await names(host, "/networks")).filter((name) => ["front", "ingress"].includes(name)),
  });
  const had = await counts(one);
  for (const number of [1, 2, 3]) await lab.host(number).killHost();

  const restored = await four.skein([
    "swarm",
    "restore",
    file,
    "--key-file",
    keyFile,
    "--advertise-addr",
    four.address,
  ]);
  assert.equal(restored.code, 0, `${restored.stderr}\n${four.logTail()}`);
  for (const name of ["host1", "host2", "host3"])
    assert.match(restored.stdout, new RegExp(`^  \\S+  ${name}  10`, "m"));

  assert.deepEqual(await counts(four), had);
  assert.equal((await call<{ ID: string }>(four, "GET", "/swarm")).ID, swarmId);
  const configs = new Set(await names(four, "/configs"));
  assert.deepEqual(
    acknowledged.filter((name) => !configs.has(name)),
    [],
    "acknowledged before the backup, and lost",
  );

  await untilRunning(four, "web", 4);
  await untilRunning(four, "reader", 1);
  await until("the secret is in the task", 10_000, async () =>
    (await logLines(four, "/services/reader")).some((line) => line.includes(SECRET)) ? true : undefined,
  );
  const all = await untilNodes(
    four,
    "three nodes of before are down",
    (list) => list.filter(({ Status }) => Status.State === "down").length === 3,
  );
  assert.equal(all.length, 4);
  assert.deepEqual(
    all
      .filter(({ ManagerStatus }) => ManagerStatus !== undefined)
      .map(({ Description }) => Description.Hostname),
    ["host4"],
  );
});

test("the old tokens count: a new worker joins with one, and nodes that are gone can be removed", async () => {
  const [four, five] = [lab.host(4), lab.host(5)];
  assert.deepEqual(await tokens(four), oldTokens);
  const answer = await join(five, four, oldTokens.Worker);
  assert.equal(answer.status, 200, messageIn(answer));
  await untilNodes(four, "host5 is ready", (list) =>
    list.some(({ Description, Status }) => Description.Hostname === "host5" && Status.State === "ready"),
  );
  await createService(four, { name: "late", replicas: 1, constraints: ["node.hostname==host5"] });
  await untilRunning(four, "late", 1);
  const down = (await nodes(four)).filter(({ Status }) => Status.State === "down");
  for (const { ID } of down) await call(four, "DELETE", `/nodes/${ID}?force=1`);
  assert.equal((await nodes(four)).length, 2);
});

test("a second restore is refused, and after a crash the old unlock key opens what was restored", async () => {
  const four = lab.host(4);
  const again = await four.skein([
    "swarm",
    "restore",
    file,
    "--key-file",
    keyFile,
    "--advertise-addr",
    four.address,
  ]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /already part of a swarm/);
  await four.killDaemon();
  await four.start();
  const { Swarm } = await call<{ Swarm: { LocalNodeState: string } }>(four, "GET", "/info");
  assert.equal(Swarm.LocalNodeState, "locked");
  await call(four, "POST", "/swarm/unlock", { UnlockKey: unlockKey });
  await untilNodes(four, "host4 leads again", (list) =>
    list.some(({ ManagerStatus }) => ManagerStatus?.Leader === true),
  );
  await untilRunning(four, "web", 4);
  assert.equal((await call<{ ID: string }>(four, "GET", "/swarm")).ID, swarmId);
});
